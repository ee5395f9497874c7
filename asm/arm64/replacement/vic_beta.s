/*
 * lp_vic_beta (arm64): replacement of vic_beta: tell which version ran
 *
 * reached   from the trampoline at vic_beta's site, by RET with x30 = the caller
 * in        nothing
 * out       x0   KLP_VERSION
 * clobbers  x9: the site's
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_vic_beta starts behind it
	.global	lp_vic_beta
lp_vic_beta:
	.global	__mcount_loc_lp_vic_beta
__mcount_loc_lp_vic_beta:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	mov	w0, #KLP_VERSION
	ret
