/*
 * lp_vic_tail (arm64): replacement of vic_tail: vic_alpha, reached by a jump
 *
 * reached   from the trampoline at vic_tail's site, by RET with x30 = the caller
 * in        nothing
 * out       x0   vic_alpha's reply
 * clobbers  x9-x17, nzcv: vic_alpha may be patched
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_vic_tail starts behind it
	.global	lp_vic_tail
lp_vic_tail:
	.global	__mcount_loc_lp_vic_tail
__mcount_loc_lp_vic_tail:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	movz	x16, #vic_alpha_LO16		// its result is ours; by address: it may be out of a B's reach
	movk	x16, #vic_alpha_HI16, lsl #0x10
	br	x16
