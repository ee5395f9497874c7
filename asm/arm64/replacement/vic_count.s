/*
 * lp_vic_count (arm64): replacement of vic_count: call itself n times
 *
 * reached   from the trampoline at vic_count's site, by RET with x30 = the caller
 * in        x0   n, at most 0xff
 * out       x0   how many of the n levels each answered: the original in byte 0, replacements in
 *           byte 1; in byte 2 the version of the innermost, that was called with 0
 * clobbers  x0-x17, nzcv: its own entry may be patched
 * stack     0x10 bytes with a frame record, n times
 * ordering  none
 * linux     none
 */
	.set	ONE_LEVEL, 0x100		// counts in the second byte
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_vic_count starts behind it
	.global	lp_vic_count
lp_vic_count:
	.global	__mcount_loc_lp_vic_count
__mcount_loc_lp_vic_count:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	cbz	w0, .Linnermost
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	sub	w0, w0, #0x1
	movz	x9, #vic_count_LO16		// the original's name: through the patched entry again
	movk	x9, #vic_count_HI16, lsl #0x10
	blr	x9
	add	w0, w0, #ONE_LEVEL
	ldp	x29, x30, [sp], #0x10
	ret
.Linnermost:
	mov	w0, #KLP_VERSION
	lsl	w0, w0, #0x10
	ret
