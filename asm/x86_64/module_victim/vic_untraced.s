/*
 * vic_untraced(): tell which version ran, without an entry site
 *
 * reached   call
 * in        nothing
 * out       eax  0
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     none: what notrace makes of a function, so nothing can take its place
 */
	.global	vic_untraced
vic_untraced:
	xor	eax, eax			# the original's version
	ret
