/*
 * mini_landing (arm64): a * 3, with a landing pad
 *
 * reached   by calls, also indirect ones
 * in        x0   a
 * out       x0   the result, zero-extended
 * clobbers  x9: the site's
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; mini_landing starts behind it
	.global	mini_landing
mini_landing:
	hint	#0x22				// BTI C
	.global	__mcount_loc_mini_landing
__mcount_loc_mini_landing:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	add	w0, w0, w0, lsl #0x1
	ret
