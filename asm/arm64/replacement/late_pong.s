/*
 * lp_late_pong (arm64): replacement of late_pong: tell which version ran
 *
 * reached   from the trampoline at late_pong's site, by RET with x30 = the caller
 * in        nothing
 * out       x0   KLP_VERSION
 * clobbers  x9: the site's
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_late_pong starts behind it
	.global	lp_late_pong
lp_late_pong:
	.global	__mcount_loc_lp_late_pong
__mcount_loc_lp_late_pong:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	mov	w0, #KLP_VERSION
	ret
