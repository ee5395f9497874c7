/*
 * mini_recursive(n): n == 0: 0; else n + mini_recursive(n - 1)
 *
 * reached   call
 * in        edi  n
 * out       eax  n * (n + 1) / 2
 * clobbers  what a C function may
 * stack     0x18 bytes each level
 * ordering  none
 * linux     none: one function many times on a stack
 */
	.global	mini_recursive
mini_recursive:
	.global	__mcount_loc_mini_recursive
__mcount_loc_mini_recursive:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	push	rbx
	sub	rsp, 0x8			# calls want 16-byte alignment
	xor	eax, eax
	mov	ebx, edi
	test	edi, edi
	jz	.Ldone
	dec	edi
	call	mini_recursive			# by its name: through the entry again
	add	eax, ebx
.Ldone:
	add	rsp, 0x8
	pop	rbx
	pop	rbp
	ret
