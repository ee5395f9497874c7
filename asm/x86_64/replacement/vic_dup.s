/*
 * lp_vic_dup(): replacement of vic_dup, whichever of the two
 *
 * reached   ret of a trampoline, in place of vic_dup
 * in        nothing
 * out       eax  KLP_VERSION
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_vic_dup
lp_vic_dup:
	.global	__mcount_loc_lp_vic_dup
__mcount_loc_lp_vic_dup:
	call	__fentry__
	mov	eax, KLP_VERSION
	ret
