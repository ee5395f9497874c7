/*
 * mini_notrace (arm64): a ^ 0x55, never traced
 *
 * reached   by calls
 * in        x0   a
 * out       x0   the result, zero-extended
 * clobbers  x9
 * stack     none: and no site, no room for an ops pointer
 * ordering  none
 * linux     functions marked notrace
 */
	.balign	0x8
	.global	mini_notrace
mini_notrace:
	mov	w9, #0x55			// no bit mask that EOR could hold
	eor	w0, w0, w9
	ret
