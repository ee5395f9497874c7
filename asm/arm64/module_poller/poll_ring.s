/*
 * poll_ring (arm64): look for work in a ring, a number of times
 *
 * reached   by calls
 * in        x0   budget: how often to look
 * out       x0   what was found, zero-extended; 0 when the budget is used up
 * clobbers  x9, x10, nzcv
 * stack     none
 * ordering  none
 * linux     none: the poll function of a driver, which a kernel thread calls over and over
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; poll_ring starts behind it
	.global	poll_ring
poll_ring:
	.global	__mcount_loc_poll_ring
__mcount_loc_poll_ring:
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
	ret
