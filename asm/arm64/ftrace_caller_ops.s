/*
 * ftrace_caller_ops (arm64): ftrace_caller for CALL_OPS: each function brings its own ops
 *
 * reached   by  MOV x9, x30 ; BL ftrace_caller_ops  at the site, before any prologue
 * in        x0-x8   arguments of the traced function          x9   its return address
 *           x30     the instruction behind the BL; the 8-aligned word before the function holds its ops
 * out       pc      pt_regs.pc, as the handler left it
 *           x0-x8, x29, x30 from pt_regs; x30 is x9, as if the site had not run
 * clobbers  x9-x17, nzcv
 * stack     as in ftrace_caller
 * ordering  the load of op.func depends on the ops' address; pairs with the patching CPU's barrier between
 *           filling an ops and storing its address before the function
 * linux     ftrace_caller with CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS, arch/arm64/kernel/entry-ftrace.S
 */
	.balign	0x8
	.global	ftrace_caller_ops
ftrace_caller_ops:
	hint	#0x22					// BTI C: a veneer may come by BR
	mov	x10, sp
	stp	x29, x9, [sp, #-0x10]!			// record of the caller, which the site has not made yet
	sub	sp, sp, #PTREGS_SIZE
	stp	x0, x1, [sp, #PTREGS_X0]		// the handler may clobber arguments
	stp	x2, x3, [sp, #PTREGS_X2]
	stp	x4, x5, [sp, #PTREGS_X4]
	stp	x6, x7, [sp, #PTREGS_X6]
	str	x8, [sp, #PTREGS_X8]
	str	x29, [sp, #PTREGS_X29]
	stp	x9, x10, [sp, #PTREGS_LR]		// lr, sp: as before the call of the traced function
	str	x30, [sp, #PTREGS_PC]			// so far: the function as it was
	add	x29, sp, #PTREGS_SIZE
	stp	x29, x30, [sp, #PTREGS_STACKFRAME]	// record of the traced function
	add	x29, sp, #PTREGS_STACKFRAME
	sub	x0, x30, #0x4				// ip: the BL
	mov	x1, x9					// parent_ip
	bic	x2, x30, #0x7				// function + 8, with and without a BTI in front of the site
	ldur	x2, [x2, #-0x10]			// ops: the literal is at function - 8
	mov	x3, sp					// fregs
	ldr	x16, [x2, #FTRACE_OPS_FUNC]
	blr	x16
	.global	ftrace_caller_ops_return
ftrace_caller_ops_return:
	ldp	x0, x1, [sp, #PTREGS_X0]
	ldp	x2, x3, [sp, #PTREGS_X2]
	ldp	x4, x5, [sp, #PTREGS_X4]
	ldp	x6, x7, [sp, #PTREGS_X6]
	ldr	x8, [sp, #PTREGS_X8]
	ldr	x29, [sp, #PTREGS_X29]
	ldr	x30, [sp, #PTREGS_LR]
	ldr	x9, [sp, #PTREGS_PC]
	add	sp, sp, #PTREGS_SIZE
	add	sp, sp, #0x10				// the caller's record
	ret	x9					// a return, as the BL was a call
