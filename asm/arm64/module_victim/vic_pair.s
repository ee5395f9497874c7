/*
 * vic_pair (arm64): vic_alpha, a gate, vic_beta
 *
 * reached   by calls
 * in        x0   gate       x1   interruptible, as vic_gate_wait takes them
 * out       x0   0 | first reply << 8 | second reply << 16; -ERESTARTSYS if a signal came first
 * clobbers  x0-x17, nzcv
 * stack     0x20 bytes with a frame record
 * ordering  none
 * linux     none: a function to be patched
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; vic_pair starts behind it
	.global	vic_pair
vic_pair:
	.global	__mcount_loc_vic_pair
__mcount_loc_vic_pair:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	stp	x19, x20, [sp, #0x10]
	mov	w19, w0
	mov	w20, w1
	bl	vic_alpha
	mov	w9, w0
	mov	w0, w19
	mov	w1, w20
	and	w19, w9, #0xff
	bl	vic_gate_wait
	tbnz	w0, #0x1f, .Lout
	bl	vic_beta
	and	w0, w0, #0xff
	lsl	w0, w0, #0x10
	orr	w0, w0, w19, lsl #0x8
.Lout:
	ldp	x19, x20, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	ret
