/*
 * lp_poll_ring (arm64): replacement of poll_ring: look for work in a ring, a number of times
 *
 * reached   from the trampoline at poll_ring's site, by RET with x30 = the caller
 * in        x0   budget: how often to look
 * out       x0   low half as the original's, upper half KLP_VERSION
 * clobbers  x9, x10, nzcv
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_poll_ring starts behind it
	.global	lp_poll_ring
lp_poll_ring:
	.global	__mcount_loc_lp_poll_ring
__mcount_loc_lp_poll_ring:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	movz	x9, #poll_ring_head_LO16
	movk	x9, #poll_ring_head_HI16, lsl #0x10
.Llook:
	ldr	w10, [x9]
	cbnz	w10, .Lfound
	subs	w0, w0, #0x1
	b.gt	.Llook
.Lfound:
	mov	w0, w10
	movk	x0, #KLP_VERSION, lsl #0x20	// who answered
	ret
