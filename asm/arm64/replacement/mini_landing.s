/*
 * lp_mini_landing (arm64): replacement of mini_landing: a * 3, with a landing pad
 *
 * reached   from the trampoline at mini_landing's site, by RET with x30 = the caller
 * in        x0   a
 * out       x0   low half as the original's, upper half KLP_VERSION
 * clobbers  x9: the site's
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_mini_landing starts behind it
	.global	lp_mini_landing
lp_mini_landing:
	hint	#0x22				// BTI C
	.global	__mcount_loc_lp_mini_landing
__mcount_loc_lp_mini_landing:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	add	w0, w0, w0, lsl #0x1
	movk	x0, #KLP_VERSION, lsl #0x20	// who answered
	ret
