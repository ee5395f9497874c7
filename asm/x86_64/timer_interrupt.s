/*
 * timer_interrupt(): one tick of this CPU
 *
 * reached   call from interrupt_common, interrupts off, HARDIRQ_OFFSET in preempt_count
 * in        gs base  percpu
 * out       nothing
 * clobbers  rax, flags
 * stack     none
 * ordering  none: percpu
 * linux     kernel/time/timer.c update_process_times, kernel/sched/core.c scheduler_tick
 */
	.global	timer_interrupt
timer_interrupt:
	rdgsbase	rax
	inc	qword ptr [rax + PCPU_JIFFIES]
	mov	qword ptr [rax + PCPU_NEED_RESCHED], 0x1	# every tick ends the time slice
	ret
