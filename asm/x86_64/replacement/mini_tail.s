/*
 * lp_mini_tail(a): replacement of mini_tail: tail-calls mini_leaf
 *
 * reached   ret of a trampoline, in place of mini_tail
 * in        edi  a
 * out       eax  2 * a + 1; upper half  as mini_leaf leaves it, for nothing of this runs after the jump
 * clobbers  what a C function may
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_mini_tail
lp_mini_tail:
	.global	__mcount_loc_lp_mini_tail
__mcount_loc_lp_mini_tail:
	call	__fentry__
	lea	edi, [rdi + rdi]
	jmp	mini_leaf			# its ret is ours: parent_ip there is our caller
