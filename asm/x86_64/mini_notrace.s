/*
 * mini_notrace(a): a ^ 0x55
 *
 * reached   call
 * in        edi  a
 * out       eax  a ^ 0x55
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     none: a function marked notrace; no site
 */
	.global	mini_notrace
mini_notrace:
	mov	eax, edi
	xor	eax, 0x55
	ret
