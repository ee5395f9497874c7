/*
 * user_loop (arm64): user text: system calls for ever
 *
 * reached   from ret_to_user_first, on the user stack
 * in        nothing
 * out       never
 * clobbers  nothing
 * stack     none
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.global	user_loop
user_loop:
	svc	#0x0
	b	user_loop
