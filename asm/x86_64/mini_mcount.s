/*
 * mini_mcount(a): a + 0x10, with an old-style site
 *
 * reached   call
 * in        edi  a
 * out       eax  a + 0x10
 * clobbers  rax
 * stack     a frame-pointer pair
 * ordering  none
 * linux     none: what gcc -pg without -mfentry makes; the site lies behind the frame
 */
	.global	mini_mcount
mini_mcount:
	push	rbp
	mov	rbp, rsp
	.global	__mcount_loc_mini_mcount
__mcount_loc_mini_mcount:
	call	mcount
	lea	eax, [rdi + 0x10]
	pop	rbp
	ret
