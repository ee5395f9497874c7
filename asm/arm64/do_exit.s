/*
 * do_exit (arm64): the current task is over
 *
 * reached   call
 * in        nothing
 * out       never
 * clobbers  everything
 * stack     0x10 bytes, a frame record
 * ordering  none
 * linux     kernel/exit.c do_exit; the task's slot stays, for another
 */
	.balign	0x8
	.global	do_exit
do_exit:
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	mrs	x9, tpidr_el1
	ldr	x19, [x9, #PCPU_CURRENT_TASK]
.Ldead:
	mov	x10, #TASK_DEAD
	str	x10, [x19, #TASK_STATE]
	bl	schedule
	b	.Ldead				// a stale task pointer must not run off the end
