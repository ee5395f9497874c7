/*
 * lp_vic_show (arm64): replacement of vic_show: call fn(first, second), as tasks call the others
 *
 * reached   from the trampoline at vic_show's site, by RET with x30 = the caller
 * in        x0   fn         x1   first      x2   second
 * out       x0   what fn returned, all 64 bits: no room to tell the version
 * clobbers  x0-x17, nzcv
 * stack     0x10 bytes, a frame record
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_vic_show starts behind it
	.global	lp_vic_show
lp_vic_show:
	.global	__mcount_loc_lp_vic_show
__mcount_loc_lp_vic_show:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	mov	x16, x0
	mov	x0, x1
	mov	x1, x2
	blr	x16
	ldp	x29, x30, [sp], #0x10
	ret
