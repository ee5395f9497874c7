/*
 * dup1(): ask the first vic_dup
 *
 * reached   call
 * in        nothing
 * out       eax  its reply
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none
 * linux     none: a function of a module that is there to be patched
 */
	.global	dup1
dup1:
	.global	__mcount_loc_dup1
__mcount_loc_dup1:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	call	vic_dup__1
	pop	rbp
	ret
