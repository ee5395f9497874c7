/*
 * vic_tail (arm64): vic_alpha, reached by a jump
 *
 * reached   by calls
 * in        nothing
 * out       x0   vic_alpha's reply
 * clobbers  x9-x17, nzcv: vic_alpha may be patched
 * stack     none
 * ordering  none
 * linux     none: a sibling call
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; vic_tail starts behind it
	.global	vic_tail
vic_tail:
	.global	__mcount_loc_vic_tail
__mcount_loc_vic_tail:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	b	vic_alpha			// its result is ours
