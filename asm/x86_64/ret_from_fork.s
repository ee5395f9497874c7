/*
 * ret_from_fork: where a new kernel thread begins
 *
 * reached   ret of finish_task_switch, interrupts off
 * in        current  the thread    rsp  its empty stack
 * out       does not return
 * clobbers  everything
 * stack     none of its own
 * ordering  none
 * linux     arch/x86/entry/entry_64.S ret_from_fork; kernel/kthread.c kthread
 */
	.global	ret_from_fork
ret_from_fork:
	xor	ebp, ebp			# end of the frame-pointer chain
	and	rsp, -0x10			# whatever alignment the frame was made with
	rdgsbase	rax
	mov	rbx, [rax + PCPU_CURRENT_TASK]
	sti
	mov	rdi, [rbx + TASK_ARG]
	call	qword ptr [rbx + TASK_ENTRY]
.Ldead:
	mov	qword ptr [rbx + TASK_STATE], TASK_DEAD
	call	schedule
	jmp	.Ldead				# a stale task pointer must not run off the end
