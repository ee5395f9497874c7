/*
 * lp_loadavg_proc_show (arm64): replacement of loadavg_proc_show: show /proc/loadavg: 8 bytes
 *
 * reached   from the trampoline at loadavg_proc_show's site, by RET with x30 = the caller
 * in        x0   buffer
 * out       x0   low half 0, upper half KLP_VERSION; `lp`, NUL, version, four NULs in the buffer
 * clobbers  x9, x10
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_loadavg_proc_show starts behind it
	.global	lp_loadavg_proc_show
lp_loadavg_proc_show:
	.global	__mcount_loc_lp_loadavg_proc_show
__mcount_loc_lp_loadavg_proc_show:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	movz	x9, #0x706c			// "lp", NUL, the version as a byte, four NULs
	mov	x10, #KLP_VERSION
	orr	x9, x9, x10, lsl #0x18
	str	x9, [x0]
	mov	x0, xzr
	movk	x0, #KLP_VERSION, lsl #0x20	// who answered
	ret
