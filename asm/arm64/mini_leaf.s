/*
 * mini_leaf (arm64): a + 1
 *
 * reached   by calls
 * in        x0   a
 * out       x0   the result, zero-extended
 * clobbers  x9: the site's
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; mini_leaf starts behind it
	.global	mini_leaf
mini_leaf:
	.global	__mcount_loc_mini_leaf
__mcount_loc_mini_leaf:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	add	w0, w0, #0x1
	ret
