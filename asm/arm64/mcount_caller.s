/*
 * mcount_caller (arm64): trampoline of old-style sites
 *
 * reached   by the BL that stands where the compiler (-pg) put BL _mcount: behind the prologue
 * in        x0    the traced function's return address, as -pg passes it
 *           x29   the traced function's frame record: it has made one
 *           x30   the instruction behind the BL
 * out       to x30: the frame is built, so no handler can send the call elsewhere
 *           x0-x8, x29 as they were
 * clobbers  x9-x17, x30, nzcv: the function expects a call here
 * stack     PTREGS_SIZE bytes, of which x0-x8, fp, lr, sp, pc are set and stackframe is the record of
 *           this call
 * ordering  none here: the handlers' loads pair with the patching CPU's
 * linux     _mcount with dynamic ftrace but no patchable entries, arch/arm64/kernel/entry-ftrace.S
 */
	.balign	0x8
	.global	mcount_caller
mcount_caller:
	mov	x10, sp
	sub	sp, sp, #PTREGS_SIZE
	stp	x0, x1, [sp, #PTREGS_X0]
	stp	x2, x3, [sp, #PTREGS_X2]
	stp	x4, x5, [sp, #PTREGS_X4]
	stp	x6, x7, [sp, #PTREGS_X6]
	str	x8, [sp, #PTREGS_X8]
	str	x29, [sp, #PTREGS_X29]
	stp	x0, x10, [sp, #PTREGS_LR]		// lr, sp
	str	x30, [sp, #PTREGS_PC]
	stp	x29, x30, [sp, #PTREGS_STACKFRAME]
	add	x29, sp, #PTREGS_STACKFRAME
	mov	x1, x0					// parent_ip
	sub	x0, x30, #0x4				// ip: the BL
	movz	x2, #function_trace_op_LO16
	movk	x2, #function_trace_op_HI16, lsl #0x10
	ldr	x2, [x2]				// ops
	mov	x3, sp					// fregs
	bl	ftrace_ops_list_func
	.global	mcount_caller_return
mcount_caller_return:
	ldp	x29, x30, [sp, #PTREGS_STACKFRAME]	// not pt_regs.pc: see out
	ldp	x0, x1, [sp, #PTREGS_X0]
	ldp	x2, x3, [sp, #PTREGS_X2]
	ldp	x4, x5, [sp, #PTREGS_X4]
	ldp	x6, x7, [sp, #PTREGS_X6]
	ldr	x8, [sp, #PTREGS_X8]
	add	sp, sp, #PTREGS_SIZE
	ret
