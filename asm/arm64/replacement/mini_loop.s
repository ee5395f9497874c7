/*
 * lp_mini_loop (arm64): replacement of mini_loop: n * (n + 1) / 2, by a loop of n
 *
 * reached   from the trampoline at mini_loop's site, by RET with x30 = the caller
 * in        x0   n
 * out       x0   low half as the original's, upper half KLP_VERSION
 * clobbers  x9
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_mini_loop starts behind it
	.global	lp_mini_loop
lp_mini_loop:
	.global	__mcount_loc_lp_mini_loop
__mcount_loc_lp_mini_loop:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	mov	w9, wzr
.Lagain:
	cbz	w0, .Ldone
	add	w9, w9, w0
	sub	w0, w0, #0x1
	b	.Lagain
.Ldone:
	mov	w0, w9
	movk	x0, #KLP_VERSION, lsl #0x20	// who answered
	ret
