/*
 * lp_vic_beta(): replacement of vic_beta
 *
 * reached   ret of a trampoline, in place of vic_beta
 * in        nothing
 * out       eax  KLP_VERSION
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_vic_beta
lp_vic_beta:
	.global	__mcount_loc_lp_vic_beta
__mcount_loc_lp_vic_beta:
	call	__fentry__
	mov	eax, KLP_VERSION
	ret
