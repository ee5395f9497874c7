/*
 * vic_beta (arm64): tell which version ran
 *
 * reached   by calls
 * in        nothing
 * out       x0   0
 * clobbers  x9: the site's
 * stack     none
 * ordering  none
 * linux     none: a function to be patched
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; vic_beta starts behind it
	.global	vic_beta
vic_beta:
	.global	__mcount_loc_vic_beta
__mcount_loc_vic_beta:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	mov	w0, wzr				// the original's version
	ret
