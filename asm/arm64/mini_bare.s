/*
 * mini_bare (arm64): a + 7, without an entry stub
 *
 * reached   by calls
 * in        x0   a
 * out       x0   the result, zero-extended
 * clobbers  nothing
 * stack     none: and no site, no room for an ops pointer
 * ordering  none
 * linux     functions in assembly
 */
	.balign	0x8
	.global	mini_bare
mini_bare:
	add	w0, w0, #0x7
	ret
