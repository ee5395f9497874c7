/*
 * cb (arm64): the handler of module ops_user: it counts
 *
 * reached   as op.func, by the BL of a trampoline or the BLR of ftrace_ops_list_func
 * in        x2   the ftrace_ops
 * out       op.hits up, atomically
 * clobbers  x9-x11
 * stack     none
 * ordering  none: the count is read when all is over
 * linux     none: a module of the observations
 */
	.balign	0x8
	.global	cb
cb:
	hint	#0x22				// BTI C: also reached by BLR
	add	x9, x2, #FTRACE_OPS_HITS
.Lagain:
	ldxr	x10, [x9]
	add	x10, x10, #0x1
	stxr	w11, x10, [x9]
	cbnz	w11, .Lagain			// another CPU counted in between
	ret
