/*
 * cb(ip, parent_ip, op, fregs): the handler of module ops_user: it counts
 *
 * reached   call at ftrace_call or ftrace_regs_call, or from ftrace_ops_list_func
 * in        rdx  the ftrace_ops
 * out       op.hits + 1
 * clobbers  flags
 * stack     none
 * ordering  locked: one ops may be hit on all CPUs at once
 * linux     none: a module of the observations
 */
	.global	cb
cb:
	lock inc	qword ptr [rdx + FTRACE_OPS_HITS]
	ret
