/*
 * user_spin (arm64): user text: computes until it is told to stop, then system calls for ever
 *
 * reached   from ret_to_user_first, on the user stack
 * in        sp   user stack
 * out       never
 * clobbers  x0, x9
 * stack     the word below the top of the user stack: not 0 means stop
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.global	user_spin
user_spin:
.Lspin:
	add	x0, x0, #0x1
	ldur	x9, [sp, #-0x8]
	cbz	x9, .Lspin
.Lagain:
	svc	#0x0
	b	.Lagain
