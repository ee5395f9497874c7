/*
 * mini_leaf(a): a + 1
 *
 * reached   call
 * in        edi  a
 * out       eax  a + 1
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     none: what a leaf is to the tracer
 */
	.global	mini_leaf
mini_leaf:
	.global	__mcount_loc_mini_leaf
__mcount_loc_mini_leaf:
	call	__fentry__
	lea	eax, [rdi + 0x1]
	ret
