/*
 * ftrace_count_hits (arm64): a handler that counts
 *
 * reached   as op.func, by the BL of a trampoline or the BLR of ftrace_ops_list_func
 * in        x0   ip          x1   parent_ip          x2   the ftrace_ops          x3   fregs
 * out       op.hits up, atomically
 * clobbers  x9-x11
 * stack     none
 * ordering  none: the count is read when all is over
 * linux     function_stat and its kin count per CPU; this one shares a word
 */
	.balign	0x8
	.global	ftrace_count_hits
ftrace_count_hits:
	hint	#0x22				// BTI C: also reached by BLR
	add	x9, x2, #FTRACE_OPS_HITS
.Lagain:
	ldxr	x10, [x9]
	add	x10, x10, #0x1
	stxr	w11, x10, [x9]
	cbnz	w11, .Lagain			// another CPU counted in between
	ret
