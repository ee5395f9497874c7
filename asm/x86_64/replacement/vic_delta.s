/*
 * lp_vic_delta(): replacement of vic_delta
 *
 * reached   ret of a trampoline, in place of vic_delta
 * in        nothing
 * out       eax  KLP_VERSION
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_vic_delta
lp_vic_delta:
	.global	__mcount_loc_lp_vic_delta
__mcount_loc_lp_vic_delta:
	call	__fentry__
	mov	eax, KLP_VERSION
	ret
