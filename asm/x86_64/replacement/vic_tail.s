/*
 * lp_vic_tail(): replacement of vic_tail: jumps to vic_alpha, too
 *
 * reached   ret of a trampoline, in place of vic_tail
 * in        nothing
 * out       eax  vic_alpha's reply: nothing of this runs after the jump
 * clobbers  what a C function may
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_vic_tail
lp_vic_tail:
	.global	__mcount_loc_lp_vic_tail
__mcount_loc_lp_vic_tail:
	call	__fentry__
	jmp	vic_alpha			# its ret is ours: parent_ip there is our caller
