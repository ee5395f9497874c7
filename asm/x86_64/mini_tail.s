/*
 * mini_tail(a): mini_leaf(2 * a), reached by a jump
 *
 * reached   call
 * in        edi  a
 * out       eax  2 * a + 1
 * clobbers  what a C function may
 * stack     none
 * ordering  none
 * linux     none: a sibling call
 */
	.global	mini_tail
mini_tail:
	.global	__mcount_loc_mini_tail
__mcount_loc_mini_tail:
	call	__fentry__
	lea	edi, [rdi + rdi]
	jmp	mini_leaf			# its ret is ours: parent_ip there is our caller
