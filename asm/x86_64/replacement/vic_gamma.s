/*
 * lp_vic_gamma(): replacement of vic_gamma
 *
 * reached   ret of a trampoline, in place of vic_gamma
 * in        nothing
 * out       eax  KLP_VERSION
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_vic_gamma
lp_vic_gamma:
	.global	__mcount_loc_lp_vic_gamma
__mcount_loc_lp_vic_gamma:
	call	__fentry__
	mov	eax, KLP_VERSION
	ret
