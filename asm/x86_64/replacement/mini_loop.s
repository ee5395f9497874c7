/*
 * lp_mini_loop(n): replacement of mini_loop
 *
 * reached   ret of a trampoline, in place of mini_loop
 * in        edi  n
 * out       eax  the sum; upper half  KLP_VERSION
 * clobbers  rax, rcx, rdi
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_mini_loop
lp_mini_loop:
	.global	__mcount_loc_lp_mini_loop
__mcount_loc_lp_mini_loop:
	call	__fentry__
	xor	eax, eax
	test	edi, edi
	jz	.Ldone
.Lloop:
	add	eax, edi
	dec	edi
	jnz	.Lloop
.Ldone:
	mov	ecx, KLP_VERSION		# the version signs the upper half
	shl	rcx, 0x20
	or	rax, rcx
	ret
