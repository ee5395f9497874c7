/*
 * lp_vic_untraced(): what would replace vic_untraced, if that had an entry site
 *
 * reached   never, unless called by name
 * in        nothing
 * out       eax  KLP_VERSION
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_vic_untraced
lp_vic_untraced:
	.global	__mcount_loc_lp_vic_untraced
__mcount_loc_lp_vic_untraced:
	call	__fentry__
	mov	eax, KLP_VERSION
	ret
