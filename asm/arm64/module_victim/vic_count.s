/*
 * vic_count (arm64): call itself n times
 *
 * reached   by calls
 * in        x0   n, at most 0xff
 * out       x0   how many of the n levels each answered: the original in byte 0, replacements in
 *           byte 1; in byte 2 the version of the innermost, that was called with 0
 * clobbers  x0-x17, nzcv: its own entry may be patched
 * stack     0x10 bytes with a frame record, n times
 * ordering  none
 * linux     none: a function to be patched
 */
	.set	ONE_LEVEL, 0x1		// counts in the lowest byte
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; vic_count starts behind it
	.global	vic_count
vic_count:
	.global	__mcount_loc_vic_count
__mcount_loc_vic_count:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	cbz	w0, .Linnermost
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	sub	w0, w0, #0x1
	bl	vic_count
	add	w0, w0, #ONE_LEVEL
	ldp	x29, x30, [sp], #0x10
	ret
.Linnermost:
	mov	w0, wzr
	ret
