/*
 * lp_vic_count(n): replacement of vic_count
 *
 * reached   ret of a trampoline, in place of vic_count
 * in        edi  n, at most 0xff
 * out       eax  how many of the n levels each answered: the original in byte 0, replacements
 *           in byte 1; in byte 2 the version of the innermost, that was called with 0
 * clobbers  what a C function may
 * stack     a frame-pointer pair each level
 * ordering  none
 * linux     new_func of a klp_func
 */
	.set	ONE_LEVEL, 0x100		# counts in the second byte
	.global	lp_vic_count
lp_vic_count:
	.global	__mcount_loc_lp_vic_count
__mcount_loc_lp_vic_count:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	test	edi, edi
	jz	.Linnermost
	dec	edi
	call	vic_count			# by its name: through the entry again
	add	eax, ONE_LEVEL
	pop	rbp
	ret
.Linnermost:
	mov	eax, KLP_VERSION
	shl	eax, 0x10
	pop	rbp
	ret
