/*
 * vic_spin (arm64): burn cycles until a gate is open, then tell which version ran
 *
 * reached   by calls
 * in        x0   gate, 0 to 0xf
 * out       x0   0
 * clobbers  x0-x17, nzcv
 * stack     0x20 bytes with a frame record
 * ordering  ldar of the gate: what was stored before it was opened is seen
 * linux     none: a function to be patched
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; vic_spin starts behind it
	.global	vic_spin
vic_spin:
	.global	__mcount_loc_vic_spin
__mcount_loc_vic_spin:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	str	x19, [sp, #0x10]
	movz	x19, #vic_gates_LO16
	movk	x19, #vic_gates_HI16, lsl #0x10
	add	x19, x19, w0, uxtw #0x3
.Lspin:
	ldar	x9, [x19]
	cbnz	x9, .Lopen
	movz	x9, #cond_resched_LO16		// by address: it may be out of a BL's reach
	movk	x9, #cond_resched_HI16, lsl #0x10
	blr	x9
	b	.Lspin
.Lopen:
	mov	w0, wzr
	ldr	x19, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	ret
