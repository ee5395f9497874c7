/*
 * vic_count(n): call itself n times
 *
 * reached   call
 * in        edi  n, at most 0xff
 * out       eax  how many of the n levels each answered: the original in byte 0, replacements
 *           in byte 1; in byte 2 the version of the innermost, that was called with 0
 * clobbers  what a C function may
 * stack     a frame-pointer pair each level
 * ordering  none
 * linux     none: a function of a module that is there to be patched
 */
	.set	ONE_LEVEL, 0x1		# counts in the lowest byte
	.global	vic_count
vic_count:
	.global	__mcount_loc_vic_count
__mcount_loc_vic_count:
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
	xor	eax, eax
	pop	rbp
	ret
