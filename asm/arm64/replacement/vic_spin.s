/*
 * lp_vic_spin (arm64): replacement of vic_spin: burn cycles until a gate is open, then tell which version ran
 *
 * reached   from the trampoline at vic_spin's site, by RET with x30 = the caller
 * in        x0   gate, 0 to 0xf
 * out       x0   KLP_VERSION
 * clobbers  x0-x17, nzcv
 * stack     0x20 bytes with a frame record
 * ordering  ldar of the gate: what was stored before it was opened is seen
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_vic_spin starts behind it
	.global	lp_vic_spin
lp_vic_spin:
	.global	__mcount_loc_lp_vic_spin
__mcount_loc_lp_vic_spin:
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
	bl	cond_resched
	b	.Lspin
.Lopen:
	mov	w0, #KLP_VERSION
	ldr	x19, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	ret
