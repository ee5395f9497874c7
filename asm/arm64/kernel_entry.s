/*
 * kernel_entry (arm64): save everything in a pt_regs frame, whatever was interrupted
 *
 * reached   by  MSR TPIDRRO_EL0, x30 ; BL kernel_entry  at the start of every vector, interrupts masked
 * in        ELR_EL1, SPSR_EL1   the interrupted PC and PSTATE     TPIDRRO_EL0   its x30
 * out       sp   the pt_regs, all members set          x29   its frame record
 * clobbers  x0-x30, nzcv: all are saved; SP_EL0, percpu.scratch0 and scratch1
 * stack     PTREGS_SIZE bytes on the interrupted kernel stack; from user text, whose sp the
 *           hardware leaves in place here, on percpu.top_of_stack
 * ordering  dmb ish when coming from user text: the machine took that for a quiescent state, so no load
 *           of this task may be older; pairs with the patching CPU's barrier before it looks
 * linux     kernel_entry in arch/arm64/kernel/entry.S; ct_user_exit for the barrier
 */
	.balign	0x8
	.global	kernel_entry
kernel_entry:
	msr	sp_el0, x29				// x29 and x30 are free from here on
	mrs	x29, elr_el1
	sub	x29, x29, #USER_TEXT_END		// negative: user text, the lowest of all; nzcv is left alone
	tbnz	x29, #0x3f, .Lfrom_user
	sub	sp, sp, #PTREGS_SIZE
	stp	x0, x1, [sp, #PTREGS_X0]
	stp	x2, x3, [sp, #PTREGS_X2]
	mrs	x0, sp_el0				// interrupted x29
	add	x1, sp, #PTREGS_SIZE			// interrupted sp
	mrs	x2, elr_el1
	stp	x0, x2, [sp, #PTREGS_STACKFRAME]	// backtraces go on in the interrupted function
	b	.Lsave_rest
.Lfrom_user:
	mrs	x29, tpidr_el1
	str	x28, [x29, #PCPU_SCRATCH1]		// one more register to bring sp to memory
	mov	x28, sp
	str	x28, [x29, #PCPU_SCRATCH0]
	ldr	x28, [x29, #PCPU_TOP_OF_STACK]
	mov	sp, x28
	ldr	x28, [x29, #PCPU_SCRATCH1]
	sub	sp, sp, #PTREGS_SIZE
	stp	x0, x1, [sp, #PTREGS_X0]
	stp	x2, x3, [sp, #PTREGS_X2]
	mrs	x0, sp_el0				// interrupted x29
	ldr	x1, [x29, #PCPU_SCRATCH0]		// interrupted sp
	mrs	x2, elr_el1
	stp	xzr, xzr, [sp, #PTREGS_STACKFRAME]	// final frame record: backtraces end here
	dmb	ish					// no longer quiescent
.Lsave_rest:
	mrs	x3, spsr_el1
	stp	x2, x3, [sp, #PTREGS_PC]		// pc, pstate
	stp	x4, x5, [sp, #PTREGS_X4]
	stp	x6, x7, [sp, #PTREGS_X6]
	stp	x8, x9, [sp, #PTREGS_X8]
	stp	x10, x11, [sp, #PTREGS_X10]
	stp	x12, x13, [sp, #PTREGS_X12]
	stp	x14, x15, [sp, #PTREGS_X14]
	stp	x16, x17, [sp, #PTREGS_X16]
	stp	x18, x19, [sp, #PTREGS_X18]
	stp	x20, x21, [sp, #PTREGS_X20]
	stp	x22, x23, [sp, #PTREGS_X22]
	stp	x24, x25, [sp, #PTREGS_X24]
	stp	x26, x27, [sp, #PTREGS_X26]
	stp	x28, x0, [sp, #PTREGS_X28]
	mrs	x0, tpidrro_el0				// interrupted x30
	stp	x0, x1, [sp, #PTREGS_LR]		// lr, sp
	ldr	x0, [sp, #PTREGS_X0]
	str	x0, [sp, #PTREGS_ORIG_X0]
	add	x29, sp, #PTREGS_STACKFRAME
	ret
