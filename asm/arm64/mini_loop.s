/*
 * mini_loop (arm64): n * (n + 1) / 2, by a loop of n
 *
 * reached   by calls
 * in        x0   n
 * out       x0   the result, zero-extended
 * clobbers  x9
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; mini_loop starts behind it
	.global	mini_loop
mini_loop:
	.global	__mcount_loc_mini_loop
__mcount_loc_mini_loop:
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
	ret
