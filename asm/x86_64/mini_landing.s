/*
 * mini_landing(a): a * 3, with a landing pad
 *
 * reached   call
 * in        edi  a
 * out       eax  a * 3
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     none: what IBT kernels put before each site
 */
	.global	mini_landing
mini_landing:
	.byte	0xf3, 0x0f, 0x1e, 0xfa		# endbr64: Keystone has none
	.global	__mcount_loc_mini_landing
__mcount_loc_mini_landing:
	call	__fentry__
	lea	eax, [rdi + rdi*0x2]
	ret
