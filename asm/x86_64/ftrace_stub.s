/*
 * ftrace_stub(ip, parent_ip, op, fregs): the handler while none is set
 *
 * reached   call at ftrace_call, ftrace_regs_call
 * in        as every handler
 * out       fregs as they were
 * clobbers  nothing
 * stack     none
 * ordering  none
 * linux     arch/x86/kernel/ftrace_64.S ftrace_stub
 */
	.global	ftrace_stub
ftrace_stub:
	ret
