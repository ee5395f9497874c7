/*
 * lp_mini_nested (arm64): replacement of mini_nested: mini_leaf(a) + mini_leaf(b)
 *
 * reached   from the trampoline at mini_nested's site, by RET with x30 = the caller
 * in        x0   a          x1   b
 * out       x0   low half as the original's, upper half KLP_VERSION
 * clobbers  x1-x17, nzcv: mini_leaf may be patched
 * stack     0x20 bytes with a frame record
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_mini_nested starts behind it
	.global	lp_mini_nested
lp_mini_nested:
	.global	__mcount_loc_lp_mini_nested
__mcount_loc_lp_mini_nested:
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
	movk	x0, #KLP_VERSION, lsl #0x20	// who answered
	ret
