/*
 * lp_vic_wait (arm64): replacement of vic_wait: pass a gate, then tell which version ran
 *
 * reached   from the trampoline at vic_wait's site, by RET with x30 = the caller
 * in        x0   gate       x1   interruptible, as vic_gate_wait takes them
 * out       x0   KLP_VERSION; -ERESTARTSYS if a signal came first
 * clobbers  x0-x17, nzcv
 * stack     0x10 bytes, a frame record
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_vic_wait starts behind it
	.global	lp_vic_wait
lp_vic_wait:
	.global	__mcount_loc_lp_vic_wait
__mcount_loc_lp_vic_wait:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	movz	x9, #vic_gate_wait_LO16		// by address: it may be out of a BL's reach
	movk	x9, #vic_gate_wait_HI16, lsl #0x10
	blr	x9
	tbnz	w0, #0x1f, .Lout
	mov	w0, #KLP_VERSION
.Lout:
	ldp	x29, x30, [sp], #0x10
	ret
