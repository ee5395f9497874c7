/*
 * vic_gamma(): tell which version ran
 *
 * reached   call
 * in        nothing
 * out       eax  0
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     none: a function of a module that is there to be patched
 */
	.global	vic_gamma
vic_gamma:
	.global	__mcount_loc_vic_gamma
__mcount_loc_vic_gamma:
	call	__fentry__
	xor	eax, eax			# the original's version
	ret
