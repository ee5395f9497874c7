/*
 * ret_from_fork (arm64): where a new kernel thread begins
 *
 * reached   by finish_task_switch: it is the lr of the frame that Python made
 * in        current is the new task; interrupts masked
 * out       never: the task is dead when its function returns
 * clobbers  everything
 * stack     a final frame record {0, 0} at the top ends backtraces
 * ordering  none
 * linux     ret_from_fork in arch/arm64/kernel/entry.S; kthread_exit
 */
	.balign	0x8
	.global	ret_from_fork
ret_from_fork:
	stp	xzr, xzr, [sp, #-0x10]!		// final frame record: there is no caller
	mov	x29, sp
	msr	daifclr, #0x2
	mrs	x9, tpidr_el1
	ldr	x9, [x9, #PCPU_CURRENT_TASK]
	ldr	x0, [x9, #TASK_ARG]
	ldr	x16, [x9, #TASK_ENTRY]
	blr	x16
.Ldead:
	mrs	x9, tpidr_el1
	ldr	x9, [x9, #PCPU_CURRENT_TASK]
	mov	x10, #TASK_DEAD
	str	x10, [x9, #TASK_STATE]
	bl	schedule
	b	.Ldead
