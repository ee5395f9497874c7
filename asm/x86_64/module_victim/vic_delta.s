/*
 * vic_delta(): tell which version ran
 *
 * reached   call
 * in        nothing
 * out       eax  0
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     none: a function of a module that is there to be patched
 */
	.global	vic_delta
vic_delta:
	.global	__mcount_loc_vic_delta
__mcount_loc_vic_delta:
	call	__fentry__
	xor	eax, eax			# the original's version
	ret
