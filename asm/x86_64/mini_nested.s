/*
 * mini_nested(a, b): mini_leaf(a) + mini_leaf(b)
 *
 * reached   call
 * in        edi a    esi b
 * out       eax  the sum
 * clobbers  what a C function may
 * stack     0x18 bytes
 * ordering  none
 * linux     none: a function that calls traced functions
 */
	.global	mini_nested
mini_nested:
	.global	__mcount_loc_mini_nested
__mcount_loc_mini_nested:
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
	pop	r12
	pop	rbx
	pop	rbp
	ret
