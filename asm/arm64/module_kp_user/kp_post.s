/*
 * kp_post (arm64): the post handler of module kp_user: it counts
 *
 * reached   by BLR from kprobe_ftrace_handler or kprobe_breakpoint_handler
 * in        x0   the kprobe          x1   regs: it looks at neither
 * out       nothing
 * clobbers  x9-x11
 * stack     none
 * ordering  none: the count is read when all is over
 * linux     none: a module of the observations
 */
	.balign	0x8
	.global	kp_post
kp_post:
	hint	#0x22				// BTI C: reached by BLR
	movz	x9, #kp_hits_LO16
	movk	x9, #kp_hits_HI16, lsl #0x10
	add	x9, x9, #0x8
.Lagain:
	ldxr	x10, [x9]
	add	x10, x10, #0x1
	stxr	w11, x10, [x9]
	cbnz	w11, .Lagain			// another CPU counted in between
	ret
