/*
 * preempt_schedule_irq(): the CPU is taken from a task on the way out of an interrupt
 *
 * reached   call from interrupt_common, interrupts off, preempt_count 0
 * in        nothing
 * out       returns when the task is picked again, interrupts still off
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none
 * linux     kernel/sched/core.c preempt_schedule_irq; that one loops until need_resched is
 *           clear, here interrupts stay off and nobody can set it again
 */
	.global	preempt_schedule_irq
preempt_schedule_irq:
	push	rbp
	mov	rbp, rsp
	mov	edi, TASK_NIVCSW
	call	__schedule
	pop	rbp
	ret
