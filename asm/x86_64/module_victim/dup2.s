/*
 * dup2(): ask the second vic_dup
 *
 * reached   call
 * in        nothing
 * out       eax  its reply
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none
 * linux     none: a function of a module that is there to be patched
 */
	.global	dup2
dup2:
	.global	__mcount_loc_dup2
__mcount_loc_dup2:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	call	vic_dup__2
	pop	rbp
	ret
