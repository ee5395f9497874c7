/*
 * target_sum(a, b): a + b
 *
 * reached   call
 * in        edi a    esi b
 * out       eax  the sum
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     none: a function of a module that may come and go
 */
	.global	target_sum
target_sum:
	.global	__mcount_loc_target_sum
__mcount_loc_target_sum:
	call	__fentry__
	lea	eax, [rdi + rsi]
	ret
