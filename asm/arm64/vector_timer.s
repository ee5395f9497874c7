/*
 * vector_timer (arm64): one tick of this CPU
 *
 * reached   by the machine, interrupts masked
 * in        ELR_EL1, SPSR_EL1
 * out       to where it came from, perhaps after other tasks, by way of irq_exit
 * clobbers  nothing that the interrupted code can see
 * stack     PTREGS_SIZE bytes
 * ordering  none: jiffies and need_resched are this CPU's own
 * linux     arch_timer_handler_virt, update_process_times, scheduler_tick
 */
	.balign	0x8
	.global	vector_timer
vector_timer:
	msr	tpidrro_el0, x30
	bl	kernel_entry
	mrs	x9, tpidr_el1
	ldr	w10, [x9, #PCPU_PREEMPT_COUNT]
	add	x10, x10, #HARDIRQ_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]
	ldr	x11, [x9, #PCPU_JIFFIES]
	add	x11, x11, #0x1
	str	x11, [x9, #PCPU_JIFFIES]
	mov	x11, #0x1
	str	x11, [x9, #PCPU_NEED_RESCHED]
	sub	x10, x10, #HARDIRQ_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]
	b	irq_exit
