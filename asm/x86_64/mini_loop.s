/*
 * mini_loop(n): n * (n + 1) / 2, by a loop of n
 *
 * reached   call
 * in        edi  n
 * out       eax  the sum
 * clobbers  rax, rdi
 * stack     none
 * ordering  none
 * linux     none: long in one function
 */
	.global	mini_loop
mini_loop:
	.global	__mcount_loc_mini_loop
__mcount_loc_mini_loop:
	call	__fentry__
	xor	eax, eax
	test	edi, edi
	jz	.Ldone
.Lloop:
	add	eax, edi
	dec	edi
	jnz	.Lloop
.Ldone:
	ret
