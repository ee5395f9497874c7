/*
 * mini_tail (arm64): mini_leaf(a + a), reached by a jump
 *
 * reached   by calls
 * in        x0   a
 * out       x0   mini_leaf's result
 * clobbers  x9-x17, nzcv: mini_leaf may be patched
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; mini_tail starts behind it
	.global	mini_tail
mini_tail:
	.global	__mcount_loc_mini_tail
__mcount_loc_mini_tail:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	add	w0, w0, w0
	b	mini_leaf			// its result is ours
