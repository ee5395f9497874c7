/*
 * user_loop: user text that enters the kernel for ever
 *
 * reached   iretq from ret_to_user_first
 * in        nothing
 * out       does not return
 * clobbers  rcx, r11, by syscall
 * stack     none
 * ordering  none
 * linux     none: a process
 */
	.global	user_loop
user_loop:
.Lagain:
	syscall
	jmp	.Lagain
