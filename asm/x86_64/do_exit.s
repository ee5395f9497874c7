/*
 * do_exit(): the current task is over
 *
 * reached   call
 * in        nothing
 * out       does not return
 * clobbers  everything
 * stack     a frame-pointer pair
 * ordering  none
 * linux     kernel/exit.c do_exit; the task's slot stays, for another
 */
	.global	do_exit
do_exit:
	push	rbp
	mov	rbp, rsp
	rdgsbase	rax
	mov	rbx, [rax + PCPU_CURRENT_TASK]
.Ldead:
	mov	qword ptr [rbx + TASK_STATE], TASK_DEAD
	call	schedule
	jmp	.Ldead				# a stale task pointer must not run off the end
