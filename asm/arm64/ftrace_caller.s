/*
 * ftrace_caller (arm64): entry trampoline of every traced site, arguments only
 *
 * reached   by  MOV x9, x30 ; BL ftrace_caller  at the site, before any prologue
 * in        x0-x8   arguments of the traced function          x9   its return address
 *           x30     the instruction behind the BL
 * out       pc      pt_regs.pc, as the handler left it
 *           x0-x8, x29, x30 from pt_regs; x30 is x9, as if the site had not run
 * clobbers  x9-x17, nzcv
 * stack     0x10 bytes, a frame record of the traced function's caller; below it PTREGS_SIZE bytes, of which
 *           x0-x8, fp, lr, sp, pc are set and stackframe is the traced function's record
 * ordering  none here: the handler's loads pair with the patching CPU's
 * linux     ftrace_caller in arch/arm64/kernel/entry-ftrace.S
 */
	.balign	0x8
	.global	ftrace_caller
ftrace_caller:
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
	movz	x2, #function_trace_op_LO16
	movk	x2, #function_trace_op_HI16, lsl #0x10
	ldr	x2, [x2]				// ops
	mov	x3, sp					// fregs
	.global	ftrace_call
ftrace_call:
	bl	ftrace_stub				// re-pointed while ops are registered
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
