/*
 * lp_vic_untraced (arm64): what would replace vic_untraced, if that had an entry site
 *
 * reached   never, unless called by name
 * in        nothing
 * out       x0   KLP_VERSION
 * clobbers  x9: the site's
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_vic_untraced starts behind it
	.global	lp_vic_untraced
lp_vic_untraced:
	.global	__mcount_loc_lp_vic_untraced
__mcount_loc_lp_vic_untraced:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	mov	w0, #KLP_VERSION
	ret
