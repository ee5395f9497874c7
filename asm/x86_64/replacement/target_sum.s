/*
 * lp_target_sum(a, b): replacement of target_sum
 *
 * reached   ret of a trampoline, in place of target_sum
 * in        edi a    esi b
 * out       eax  the sum; upper half  KLP_VERSION
 * clobbers  rax, rcx
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_target_sum
lp_target_sum:
	.global	__mcount_loc_lp_target_sum
__mcount_loc_lp_target_sum:
	call	__fentry__
	lea	eax, [rdi + rsi]
	mov	ecx, KLP_VERSION		# the version signs the upper half
	shl	rcx, 0x20
	or	rax, rcx
	ret
