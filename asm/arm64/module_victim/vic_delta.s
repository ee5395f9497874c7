/*
 * vic_delta (arm64): tell which version ran
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
	.8byte	0x0				// room for the ops pointer; vic_delta starts behind it
	.global	vic_delta
vic_delta:
	.global	__mcount_loc_vic_delta
__mcount_loc_vic_delta:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	mov	w0, wzr				// the original's version
	ret
