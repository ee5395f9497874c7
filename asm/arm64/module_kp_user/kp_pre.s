/*
 * kp_pre (arm64): the pre handler of module kp_user: it counts
 *
 * reached   by BLR from kprobe_ftrace_handler or kprobe_breakpoint_handler
 * in        x0   the kprobe          x1   regs: it looks at neither
 * out       x0   0: go on with the instruction
 * clobbers  x9-x11
 * stack     none
 * ordering  none: the count is read when all is over
 * linux     none: a module of the observations
 */
	.balign	0x8
	.global	kp_pre
kp_pre:
	hint	#0x22				// BTI C: reached by BLR
	movz	x9, #kp_hits_LO16
	movk	x9, #kp_hits_HI16, lsl #0x10
	add	x9, x9, #0x0
.Lagain:
	ldxr	x10, [x9]
	add	x10, x10, #0x1
	stxr	w11, x10, [x9]
	cbnz	w11, .Lagain			// another CPU counted in between
	mov	x0, xzr
	ret
