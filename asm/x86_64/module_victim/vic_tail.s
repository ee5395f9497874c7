/*
 * vic_tail(): vic_alpha, reached by a jump
 *
 * reached   call
 * in        nothing
 * out       eax  vic_alpha's reply
 * clobbers  what a C function may
 * stack     none
 * ordering  none
 * linux     none: a sibling call
 */
	.global	vic_tail
vic_tail:
	.global	__mcount_loc_vic_tail
__mcount_loc_vic_tail:
	call	__fentry__
	jmp	vic_alpha			# its ret is ours: parent_ip there is our caller
