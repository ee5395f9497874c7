/*
 * vector_sync (arm64): answer a sync IPI: this CPU fetches no old instruction any more
 *
 * reached   by the machine, interrupts masked
 * in        ELR_EL1, SPSR_EL1
 * out       to where it came from, by way of kernel_exit
 * clobbers  nothing that the interrupted code can see
 * stack     PTREGS_SIZE bytes
 * ordering  isb, then a store-release of sync_ack: whoever sees the ack knows that this CPU's later
 *           instructions are fetched anew; pairs with the patching CPU's load of sync_ack
 * linux     the IPI of kick_all_cpus_sync, sent by flush_icache_range (arch/arm64); the release is
 *           csd_unlock's
 */
	.balign	0x8
	.global	vector_sync
vector_sync:
	msr	tpidrro_el0, x30
	bl	kernel_entry
	mrs	x9, tpidr_el1
	ldr	w10, [x9, #PCPU_PREEMPT_COUNT]
	add	x10, x10, #HARDIRQ_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]
	isb					// first serialise, then say so
	add	x11, x9, #PCPU_SYNC_ACK
	ldr	x12, [x11]
	add	x12, x12, #0x1
	stlr	x12, [x11]
	sub	x10, x10, #HARDIRQ_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]
	b	kernel_exit
