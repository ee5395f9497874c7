/*
 * poll_ring (arm64), without a budget: looks for work in a ring until there is some
 *
 * reached   by calls
 * in        x0   not used
 * out       x0   what was found, zero-extended
 * clobbers  x9, x10
 * stack     none
 * ordering  none
 * linux     a kernel thread that neither leaves the function nor calls cond_resched, e3ff7c609f39
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
	cbz	w10, .Llook			// nobody ever puts anything there
	mov	w0, w10
	ret
