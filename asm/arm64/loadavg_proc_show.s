/*
 * loadavg_proc_show (arm64): show /proc/loadavg: 8 bytes
 *
 * reached   by calls
 * in        x0   buffer
 * out       x0   0; `orig` and four NULs in the buffer
 * clobbers  x9
 * stack     none
 * ordering  none
 * linux     loadavg_proc_show in fs/proc/loadavg.c
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; loadavg_proc_show starts behind it
	.global	loadavg_proc_show
loadavg_proc_show:
	.global	__mcount_loc_loadavg_proc_show
__mcount_loc_loadavg_proc_show:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	movz	x9, #0x726f			// "orig", four NULs
	movk	x9, #0x6769, lsl #0x10
	str	x9, [x0]
	mov	x0, xzr
	ret
