/*
 * lp_late_exit(): replacement of late_exit
 *
 * reached   ret of a trampoline, in place of late_exit
 * in        nothing
 * out       eax  its reply; upper half  KLP_VERSION
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_late_exit
lp_late_exit:
	.global	__mcount_loc_lp_late_exit
__mcount_loc_lp_late_exit:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	call	late_ping
	mov	eax, eax			# 32 bits of it
	mov	ecx, KLP_VERSION		# the version signs the upper half
	shl	rcx, 0x20
	or	rax, rcx
	pop	rbp
	ret
