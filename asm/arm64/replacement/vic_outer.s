/*
 * lp_vic_outer (arm64): replacement of vic_outer: vic_alpha, a gate, vic_alpha
 *
 * reached   from the trampoline at vic_outer's site, by RET with x30 = the caller
 * in        x0   gate       x1   interruptible, as vic_gate_wait takes them
 * out       x0   KLP_VERSION | first reply << 8 | second reply << 16; -ERESTARTSYS if a signal came first
 * clobbers  x0-x17, nzcv
 * stack     0x20 bytes with a frame record
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_vic_outer starts behind it
	.global	lp_vic_outer
lp_vic_outer:
	.global	__mcount_loc_lp_vic_outer
__mcount_loc_lp_vic_outer:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	stp	x19, x20, [sp, #0x10]
	mov	w19, w0
	mov	w20, w1
	movz	x9, #vic_alpha_LO16		// by address: it may be out of a BL's reach
	movk	x9, #vic_alpha_HI16, lsl #0x10
	blr	x9
	mov	w9, w0
	mov	w0, w19
	mov	w1, w20
	and	w19, w9, #0xff
	movz	x9, #vic_gate_wait_LO16		// by address: it may be out of a BL's reach
	movk	x9, #vic_gate_wait_HI16, lsl #0x10
	blr	x9
	tbnz	w0, #0x1f, .Lout
	movz	x9, #vic_alpha_LO16		// by address: it may be out of a BL's reach
	movk	x9, #vic_alpha_HI16, lsl #0x10
	blr	x9
	and	w0, w0, #0xff
	lsl	w0, w0, #0x10
	orr	w0, w0, w19, lsl #0x8
	mov	w9, #KLP_VERSION
	orr	w0, w0, w9
.Lout:
	ldp	x19, x20, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	ret
