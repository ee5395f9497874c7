/*
 * mini_nested (arm64): mini_leaf(a) + mini_leaf(b)
 *
 * reached   by calls
 * in        x0   a          x1   b
 * out       x0   the result, zero-extended
 * clobbers  x1-x17, nzcv: mini_leaf may be patched
 * stack     0x20 bytes with a frame record
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; mini_nested starts behind it
	.global	mini_nested
mini_nested:
	.global	__mcount_loc_mini_nested
__mcount_loc_mini_nested:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	stp	x19, x20, [sp, #0x10]
	mov	w19, w1
	bl	mini_leaf
	mov	w20, w0				// 32 bits: the upper half is a replacement's version
	mov	w0, w19
	bl	mini_leaf
	add	w0, w0, w20
	ldp	x19, x20, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	ret
