/*
 * lp_mini_tail (arm64): replacement of mini_tail: mini_leaf(a + a), reached by a jump
 *
 * reached   from the trampoline at mini_tail's site, by RET with x30 = the caller
 * in        x0   a
 * out       x0   mini_leaf's result
 * clobbers  x9-x17, nzcv: mini_leaf may be patched
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_mini_tail starts behind it
	.global	lp_mini_tail
lp_mini_tail:
	.global	__mcount_loc_lp_mini_tail
__mcount_loc_lp_mini_tail:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	add	w0, w0, w0
	b	mini_leaf			// its result is ours, version and all
