/*
 * lp_dup2(): replacement of dup2
 *
 * reached   ret of a trampoline, in place of dup2
 * in        nothing
 * out       eax  vic_dup's reply; upper half  KLP_VERSION
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_dup2
lp_dup2:
	.global	__mcount_loc_lp_dup2
__mcount_loc_lp_dup2:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	call	vic_dup__2
	mov	eax, eax			# 32 bits of it
	mov	ecx, KLP_VERSION		# the version signs the upper half
	shl	rcx, 0x20
	or	rax, rcx
	pop	rbp
	ret
