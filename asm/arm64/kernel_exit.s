/*
 * kernel_exit (arm64): give everything back from a pt_regs frame and return from the exception
 *
 * reached   by jumps at the end of exception handling
 * in        sp   the pt_regs; interrupts masked since the last look at the work that is due
 * out       the pc, pstate, sp and registers of the frame
 * clobbers  ELR_EL1, SPSR_EL1, TPIDRRO_EL0
 * stack     sp = pt_regs.sp, which also gives the frame back
 * ordering  eret is a context synchronisation event
 * linux     kernel_exit in arch/arm64/kernel/entry.S
 */
	.balign	0x8
	.global	kernel_exit
kernel_exit:
	ldp	x0, x1, [sp, #PTREGS_PC]	// pc, pstate
	msr	elr_el1, x0
	msr	spsr_el1, x1
	ldp	x30, x0, [sp, #PTREGS_LR]	// lr, sp
	msr	tpidrro_el0, x30		// x30 carries sp to the end
	mov	x30, x0
	ldp	x0, x1, [sp, #PTREGS_X0]
	ldp	x2, x3, [sp, #PTREGS_X2]
	ldp	x4, x5, [sp, #PTREGS_X4]
	ldp	x6, x7, [sp, #PTREGS_X6]
	ldp	x8, x9, [sp, #PTREGS_X8]
	ldp	x10, x11, [sp, #PTREGS_X10]
	ldp	x12, x13, [sp, #PTREGS_X12]
	ldp	x14, x15, [sp, #PTREGS_X14]
	ldp	x16, x17, [sp, #PTREGS_X16]
	ldp	x18, x19, [sp, #PTREGS_X18]
	ldp	x20, x21, [sp, #PTREGS_X20]
	ldp	x22, x23, [sp, #PTREGS_X22]
	ldp	x24, x25, [sp, #PTREGS_X24]
	ldp	x26, x27, [sp, #PTREGS_X26]
	ldp	x28, x29, [sp, #PTREGS_X28]
	mov	sp, x30
	mrs	x30, tpidrro_el0
	eret
