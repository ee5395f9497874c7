/*
 * vic_dup__1(): the first of two static functions vic_dup: tell which version ran
 *
 * reached   call from dup1
 * in        nothing
 * out       eax  0
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     none: files of a module may have static functions of one name; kallsyms lists
 *           both as vic_dup, this one at position 1
 */
	.global	vic_dup__1
vic_dup__1:
	.global	__mcount_loc_vic_dup__1
__mcount_loc_vic_dup__1:
	call	__fentry__
	xor	eax, eax			# the original's version
	ret
