/*
 * lp_mini_landing(a): replacement of mini_landing
 *
 * reached   ret of a trampoline, in place of mini_landing
 * in        edi  a
 * out       eax  a * 3; upper half  KLP_VERSION
 * clobbers  rax, rcx
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_mini_landing
lp_mini_landing:
	.byte	0xf3, 0x0f, 0x1e, 0xfa		# endbr64: Keystone has none
	.global	__mcount_loc_lp_mini_landing
__mcount_loc_lp_mini_landing:
	call	__fentry__
	lea	eax, [rdi + rdi*0x2]
	mov	ecx, KLP_VERSION		# the version signs the upper half
	shl	rcx, 0x20
	or	rax, rcx
	ret
