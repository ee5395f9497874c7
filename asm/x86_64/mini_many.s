/*
 * mini_many(a1 .. a10): sum of i * ai
 *
 * reached   call
 * in        edi esi edx ecx r8d r9d  a1 to a6    [rsp + 8]  a7 to a10
 * out       eax  the sum
 * clobbers  rax, rcx, rdx, r8, r9
 * stack     none
 * ordering  none
 * linux     none: stack arguments a trampoline must not move
 */
	.set	STACK_A7, 0x8
	.set	STACK_A8, 0x10
	.set	STACK_A9, 0x18
	.set	STACK_A10, 0x20
	.global	mini_many
mini_many:
	.global	__mcount_loc_mini_many
__mcount_loc_mini_many:
	call	__fentry__
	mov	eax, edi
	lea	eax, [rax + rsi*0x2]
	lea	edx, [rdx + rdx*0x2]
	add	eax, edx
	lea	eax, [rax + rcx*0x4]
	lea	r8d, [r8 + r8*0x4]
	add	eax, r8d
	imul	r9d, r9d, 0x6
	add	eax, r9d
	imul	ecx, dword ptr [rsp + STACK_A7], 0x7
	add	eax, ecx
	imul	ecx, dword ptr [rsp + STACK_A8], 0x8
	add	eax, ecx
	imul	ecx, dword ptr [rsp + STACK_A9], 0x9
	add	eax, ecx
	imul	ecx, dword ptr [rsp + STACK_A10], 0xa
	add	eax, ecx
	ret
