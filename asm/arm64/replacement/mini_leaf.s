/*
 * lp_mini_leaf (arm64): replacement of mini_leaf: a + 1
 *
 * reached   from the trampoline at mini_leaf's site, by RET with x30 = the caller
 * in        x0   a
 * out       x0   low half as the original's, upper half KLP_VERSION
 * clobbers  x9: the site's
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_mini_leaf starts behind it
	.global	lp_mini_leaf
lp_mini_leaf:
	.global	__mcount_loc_lp_mini_leaf
__mcount_loc_lp_mini_leaf:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	add	w0, w0, #0x1
	movk	x0, #KLP_VERSION, lsl #0x20	// who answered
	ret
