/*
 * lp_mini_leaf(a): replacement of mini_leaf
 *
 * reached   ret of a trampoline, in place of mini_leaf
 * in        edi  a
 * out       eax  a + 1; upper half  KLP_VERSION
 * clobbers  rax, rcx
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_mini_leaf
lp_mini_leaf:
	.global	__mcount_loc_lp_mini_leaf
__mcount_loc_lp_mini_leaf:
	call	__fentry__
	lea	eax, [rdi + 0x1]
	mov	ecx, KLP_VERSION		# the version signs the upper half
	shl	rcx, 0x20
	or	rax, rcx
	ret
