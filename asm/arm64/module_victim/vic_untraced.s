/*
 * vic_untraced (arm64): tell which version ran, without an entry site
 *
 * reached   by calls
 * in        nothing
 * out       x0   0
 * clobbers  nothing
 * stack     none
 * ordering  none
 * linux     none: what notrace makes of a function, so nothing can take its place
 */
	.balign	0x8
	.global	vic_untraced
vic_untraced:
	mov	w0, wzr				// the original's version
	ret
