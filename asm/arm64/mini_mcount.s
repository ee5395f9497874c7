/*
 * mini_mcount (arm64): a + 0x10, with an old-style site: behind the prologue
 *
 * reached   by calls
 * in        x0   a
 * out       x0   the result, zero-extended
 * clobbers  x1-x17, nzcv: the site is a call
 * stack     0x20 bytes with a frame record
 * ordering  none
 * linux     what GCC makes with -pg
 */
	.balign	0x8
	.8byte	0x0				// as before every traced function; nothing uses it here
	.global	mini_mcount
mini_mcount:
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	str	w0, [sp, #0x1c]			// -pg saves arguments around the call
	mov	x0, x30				// and passes the return address
	.global	__mcount_loc_mini_mcount
__mcount_loc_mini_mcount:
	bl	_mcount				// a NOP after boot, BL mcount_caller while traced
	ldr	w0, [sp, #0x1c]
	add	w0, w0, #0x10
	ldp	x29, x30, [sp], #0x20
	ret
