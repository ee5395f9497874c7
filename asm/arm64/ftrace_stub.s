/*
 * ftrace_stub (arm64): the handler while none is set
 *
 * reached   by the BL at ftrace_call or ftrace_regs_call, or as the func of an ftrace_ops
 * in        x0-x3 as for every handler
 * out       nothing
 * clobbers  nothing
 * stack     none
 * ordering  none
 * linux     ftrace_stub in arch/arm64/kernel/entry-ftrace.S
 */
	.balign	0x8
	.global	ftrace_stub
ftrace_stub:
	hint	#0x22				// BTI C: also reached by BLR
	ret
