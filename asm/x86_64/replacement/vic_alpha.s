/*
 * lp_vic_alpha(): replacement of vic_alpha
 *
 * reached   ret of a trampoline, in place of vic_alpha
 * in        nothing
 * out       eax  KLP_VERSION
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_vic_alpha
lp_vic_alpha:
	.global	__mcount_loc_lp_vic_alpha
__mcount_loc_lp_vic_alpha:
	call	__fentry__
	mov	eax, KLP_VERSION
	ret
