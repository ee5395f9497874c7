/*
 * irq_exit (arm64): the way out of an interrupt that may have to schedule
 *
 * reached   by jumps from vector_timer and vector_reschedule, HARDIRQ_OFFSET taken back
 * in        sp   the pt_regs          x29   its frame record; interrupts masked
 * out       by way of kernel_exit
 * clobbers  everything that the frame gives back
 * stack     none of its own. A return address in here means: the caller's frame record is
 *           pt_regs.stackframe, an exception boundary to an unwinder
 * ordering  see __schedule and exit_to_user_mode
 * linux     el1_interrupt and el0_interrupt in arch/arm64/kernel/entry-common.c
 */
	.balign	0x8
	.global	irq_exit
irq_exit:
	ldr	x9, [sp, #PTREGS_PC]
	sub	x9, x9, #USER_TEXT_END		// negative: user text, the lowest of all
	tbnz	x9, #0x3f, .Lto_user
	mrs	x9, tpidr_el1
	ldr	x10, [x9, #PCPU_PREEMPT_COUNT]
	cbnz	x10, .Lout			// what we interrupted may not be switched away
	ldr	x10, [x9, #PCPU_NEED_RESCHED]
	cbz	x10, .Lout
	bl	preempt_schedule_irq
.Lout:
	b	kernel_exit
.Lto_user:
	bl	exit_to_user_mode
	b	kernel_exit
