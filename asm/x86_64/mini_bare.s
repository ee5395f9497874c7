/*
 * mini_bare(a): a + 7
 *
 * reached   call
 * in        edi  a
 * out       eax  a + 7
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     none: assembly without an entry stub; no site
 */
	.global	mini_bare
mini_bare:
	lea	eax, [rdi + 0x7]
	ret
