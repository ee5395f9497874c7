/*
 * mini_many (arm64): sum of i * ai for i = 1 .. 10
 *
 * reached   by calls
 * in        x0-x7   a1 .. a8          [sp], [sp + 8]   a9, a10
 * out       x0   the result, zero-extended
 * clobbers  x9-x11
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; mini_many starts behind it
	.global	mini_many
mini_many:
	.global	__mcount_loc_mini_many
__mcount_loc_mini_many:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	ldp	x9, x10, [sp]			// a9, a10
	mov	w11, #0x2
	madd	w0, w1, w11, w0
	mov	w11, #0x3
	madd	w0, w2, w11, w0
	mov	w11, #0x4
	madd	w0, w3, w11, w0
	mov	w11, #0x5
	madd	w0, w4, w11, w0
	mov	w11, #0x6
	madd	w0, w5, w11, w0
	mov	w11, #0x7
	madd	w0, w6, w11, w0
	mov	w11, #0x8
	madd	w0, w7, w11, w0
	mov	w11, #0x9
	madd	w0, w9, w11, w0
	mov	w11, #0xa
	madd	w0, w10, w11, w0
	ret
