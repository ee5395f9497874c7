/*
 * late_init (arm64): ask late_ping
 *
 * reached   by calls
 * in        nothing
 * out       x0   its reply
 * clobbers  x0-x17, nzcv
 * stack     0x10 bytes, a frame record
 * ordering  none
 * linux     module_init in include/linux/module.h
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; late_init starts behind it
	.global	late_init
late_init:
	.global	__mcount_loc_late_init
__mcount_loc_late_init:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	bl	late_ping
	ldp	x29, x30, [sp], #0x10
	ret
