/*
 * vector_reschedule (arm64): another CPU asks this one to schedule
 *
 * reached   by the machine, interrupts masked
 * in        ELR_EL1, SPSR_EL1
 * out       to where it came from, perhaps after other tasks, by way of irq_exit
 * clobbers  nothing that the interrupted code can see
 * stack     PTREGS_SIZE bytes
 * ordering  none: need_resched is this CPU's own
 * linux     IPI_RESCHEDULE in arch/arm64/kernel/smp.c, scheduler_ipi
 */
	.balign	0x8
	.global	vector_reschedule
vector_reschedule:
	msr	tpidrro_el0, x30
	bl	kernel_entry
	mrs	x9, tpidr_el1
	ldr	w10, [x9, #PCPU_PREEMPT_COUNT]
	add	x10, x10, #HARDIRQ_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]
	mov	x11, #0x1
	str	x11, [x9, #PCPU_NEED_RESCHED]
	sub	x10, x10, #HARDIRQ_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]
	b	irq_exit
