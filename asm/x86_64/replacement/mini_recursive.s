/*
 * lp_mini_recursive(n): replacement of mini_recursive
 *
 * reached   ret of a trampoline, in place of mini_recursive
 * in        edi  n
 * out       eax  n * (n + 1) / 2; upper half  KLP_VERSION
 * clobbers  what a C function may
 * stack     0x18 bytes each level
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_mini_recursive
lp_mini_recursive:
	.global	__mcount_loc_lp_mini_recursive
__mcount_loc_lp_mini_recursive:
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
	mov	ecx, KLP_VERSION		# the version signs the upper half
	shl	rcx, 0x20
	or	rax, rcx
	add	rsp, 0x8
	pop	rbx
	pop	rbp
	ret
