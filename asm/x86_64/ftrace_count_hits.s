/*
 * ftrace_count_hits(ip, parent_ip, op, fregs): a handler that counts
 *
 * reached   call at ftrace_call, or from ftrace_ops_list_func
 * in        rdx  the ftrace_ops
 * out       op.hits + 1
 * clobbers  flags
 * stack     none
 * ordering  locked: one ops may be hit on all CPUs at once
 * linux     none; the simplest of the function tracers
 */
	.global	ftrace_count_hits
ftrace_count_hits:
	lock inc	qword ptr [rdx + FTRACE_OPS_HITS]
	ret
