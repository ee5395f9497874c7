/*
 * vic_wait (arm64): pass a gate, then tell which version ran
 *
 * reached   by calls
 * in        x0   gate       x1   interruptible, as vic_gate_wait takes them
 * out       x0   0; -ERESTARTSYS if a signal came first
 * clobbers  x0-x17, nzcv
 * stack     0x10 bytes, a frame record
 * ordering  none
 * linux     none: a function to be patched
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; vic_wait starts behind it
	.global	vic_wait
vic_wait:
	.global	__mcount_loc_vic_wait
__mcount_loc_vic_wait:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	bl	vic_gate_wait
	mov	w0, w0				// 32 bits of it: 0, the original's version, if it passed
	ldp	x29, x30, [sp], #0x10
	ret
