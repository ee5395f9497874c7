/*
 * reschedule_interrupt(): somebody wants this CPU to look at its ring
 *
 * reached   call from interrupt_common, interrupts off, HARDIRQ_OFFSET in preempt_count
 * in        gs base  percpu
 * out       nothing
 * clobbers  rax, flags
 * stack     none
 * ordering  none: percpu
 * linux     arch/x86/kernel/smp.c sysvec_reschedule_ipi; there the sender sets the flag
 */
	.global	reschedule_interrupt
reschedule_interrupt:
	rdgsbase	rax
	mov	qword ptr [rax + PCPU_NEED_RESCHED], 0x1
	ret
