/*
 * lp_late_init (arm64): replacement of late_init: ask late_ping
 *
 * reached   from the trampoline at late_init's site, by RET with x30 = the caller
 * in        nothing
 * out       x0   low half its reply, upper half KLP_VERSION
 * clobbers  x0-x17, nzcv
 * stack     0x10 bytes, a frame record
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_late_init starts behind it
	.global	lp_late_init
lp_late_init:
	.global	__mcount_loc_lp_late_init
__mcount_loc_lp_late_init:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	movz	x9, #late_ping_LO16		// by address: it may be out of a BL's reach
	movk	x9, #late_ping_HI16, lsl #0x10
	blr	x9
	ldp	x29, x30, [sp], #0x10
	movk	x0, #KLP_VERSION, lsl #0x20	// who answered
	ret
