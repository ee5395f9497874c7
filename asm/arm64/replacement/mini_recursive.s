/*
 * lp_mini_recursive (arm64): replacement of mini_recursive: 0 for n == 0, else n + mini_recursive(n - 1)
 *
 * reached   from the trampoline at mini_recursive's site, by RET with x30 = the caller
 * in        x0   n
 * out       x0   low half as the original's, upper half KLP_VERSION
 * clobbers  x1-x17, nzcv: its own entry may be patched
 * stack     0x20 bytes with a frame record, n times
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_mini_recursive starts behind it
	.global	lp_mini_recursive
lp_mini_recursive:
	.global	__mcount_loc_lp_mini_recursive
__mcount_loc_lp_mini_recursive:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	cbz	w0, .Lzero
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	str	x19, [sp, #0x10]
	mov	w19, w0
	sub	w0, w0, #0x1
	bl	mini_recursive			// the original's name: through the patched entry again
	add	w0, w0, w19
	ldr	x19, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	movk	x0, #KLP_VERSION, lsl #0x20	// who answered
	ret
.Lzero:
	mov	w0, wzr
	movk	x0, #KLP_VERSION, lsl #0x20	// who answered
	ret
