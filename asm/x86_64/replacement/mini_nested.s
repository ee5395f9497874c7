/*
 * lp_mini_nested(a, b): replacement of mini_nested
 *
 * reached   ret of a trampoline, in place of mini_nested
 * in        edi a    esi b
 * out       eax  the sum; upper half  KLP_VERSION
 * clobbers  what a C function may
 * stack     0x18 bytes
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_mini_nested
lp_mini_nested:
	.global	__mcount_loc_lp_mini_nested
__mcount_loc_lp_mini_nested:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	push	rbx
	push	r12
	mov	r12d, esi
	call	mini_leaf
	mov	ebx, eax			# 32 bits of it: a replacement signs the rest
	mov	edi, r12d
	call	mini_leaf
	add	eax, ebx
	mov	ecx, KLP_VERSION		# the version signs the upper half
	shl	rcx, 0x20
	or	rax, rcx
	pop	r12
	pop	rbx
	pop	rbp
	ret
