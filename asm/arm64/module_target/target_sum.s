/*
 * target_sum (arm64): a + b
 *
 * reached   by calls
 * in        x0   a          x1   b
 * out       x0   the result, zero-extended
 * clobbers  x9: the site's
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; target_sum starts behind it
	.global	target_sum
target_sum:
	.global	__mcount_loc_target_sum
__mcount_loc_target_sum:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	add	w0, w0, w1
	ret
