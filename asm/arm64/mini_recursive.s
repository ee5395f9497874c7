/*
 * mini_recursive (arm64): 0 for n == 0, else n + mini_recursive(n - 1)
 *
 * reached   by calls
 * in        x0   n
 * out       x0   the result, zero-extended
 * clobbers  x1-x17, nzcv: its own entry may be patched
 * stack     0x20 bytes with a frame record, n times
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; mini_recursive starts behind it
	.global	mini_recursive
mini_recursive:
	.global	__mcount_loc_mini_recursive
__mcount_loc_mini_recursive:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	cbz	w0, .Lzero
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	str	x19, [sp, #0x10]
	mov	w19, w0
	sub	w0, w0, #0x1
	bl	mini_recursive
	add	w0, w0, w19
	ldr	x19, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	ret
.Lzero:
	mov	w0, wzr
	ret
