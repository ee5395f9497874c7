/*
 * ftrace_regs_caller_ops (arm64): ftrace_regs_caller for CALL_OPS: each function brings its own ops
 *
 * reached   by  MOV x9, x30 ; BL ftrace_regs_caller_ops  at the site, before any prologue
 * in        x0-x28  as the traced function got them, but x9: its return address
 *           x30     the instruction behind the BL; the 8-aligned word before the function holds its ops
 * out       pc      pt_regs.pc, as the handler left it
 *           x0-x8, x10-x30 and nzcv from pt_regs, as the handler left them
 * clobbers  x9: the site's own scratch register carries the target
 * stack     as in ftrace_regs_caller
 * ordering  the load of op.func depends on the ops' address; pairs with the patching CPU's barrier between
 *           filling an ops and storing its address before the function
 * linux     arch/arm64/kernel/entry-ftrace.S has CALL_OPS only without a regs variant; this one is klpemu's
 */
	.balign	0x8
	.global	ftrace_regs_caller_ops
ftrace_regs_caller_ops:
	hint	#0x22					// BTI C: a veneer may come by BR
	stp	x29, x9, [sp, #-0x10]!			// record of the caller, which the site has not made yet
	sub	sp, sp, #PTREGS_SIZE
	stp	x0, x1, [sp, #PTREGS_X0]
	stp	x2, x3, [sp, #PTREGS_X2]
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
	stp	x28, x29, [sp, #PTREGS_X28]
	mrs	x11, nzcv				// nothing so far has changed the flags
	stp	x30, x11, [sp, #PTREGS_PC]		// pc, so far: the function as it was; pstate
	add	x29, sp, #PTREGS_SIZE
	add	x10, x29, #0x10
	stp	x9, x10, [sp, #PTREGS_LR]		// lr, sp: as before the call of the traced function
	str	x0, [sp, #PTREGS_ORIG_X0]
	stp	x29, x30, [sp, #PTREGS_STACKFRAME]	// record of the traced function
	add	x29, sp, #PTREGS_STACKFRAME
	sub	x0, x30, #0x4				// ip: the BL
	mov	x1, x9					// parent_ip
	bic	x2, x30, #0x7				// function + 8, with and without a BTI in front of the site
	ldur	x2, [x2, #-0x10]			// ops: the literal is at function - 8
	mov	x3, sp					// fregs
	ldr	x16, [x2, #FTRACE_OPS_FUNC]
	blr	x16
	.global	ftrace_regs_caller_ops_return
ftrace_regs_caller_ops_return:
	ldp	x9, x10, [sp, #PTREGS_PC]		// pc, pstate
	msr	nzcv, x10
	ldp	x0, x1, [sp, #PTREGS_X0]
	ldp	x2, x3, [sp, #PTREGS_X2]
	ldp	x4, x5, [sp, #PTREGS_X4]
	ldp	x6, x7, [sp, #PTREGS_X6]
	ldr	x8, [sp, #PTREGS_X8]
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
	ldr	x30, [sp, #PTREGS_LR]
	add	sp, sp, #PTREGS_SIZE
	add	sp, sp, #0x10				// the caller's record
	ret	x9					// a return, as the BL was a call
