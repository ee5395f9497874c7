/*
 * preempt_schedule_irq (arm64): switch tasks on the way out of an interrupt
 *
 * reached   by a call from irq_exit, interrupts masked
 * in        preempt_count is 0, need_resched is set
 * out       current has been picked again; interrupts still masked
 * clobbers  x0-x17, nzcv
 * stack     0x10 bytes, a frame record
 * ordering  see __schedule
 * linux     preempt_schedule_irq in kernel/sched/core.c. A task that was caught between setting its
 *           state and calling schedule is put to sleep here already: our states say by themselves
 *           when they end, so nothing is lost
 */
	.balign	0x8
	.global	preempt_schedule_irq
preempt_schedule_irq:
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	mov	x0, #TASK_NIVCSW		// the counter that a switch from here goes to
	bl	__schedule
	ldp	x29, x30, [sp], #0x10
	ret
