/*
 * user_spin: user text that computes until it is told to stop, then enters the kernel for ever
 *
 * reached   iretq from ret_to_user_first
 * in        rsp  user stack, whose top word is 0
 * out       does not return
 * clobbers  rax; rcx, r11, by syscall
 * stack     the word below the top of the user stack: not 0 means stop
 * ordering  none
 * linux     none: a process
 */
	.global	user_spin
user_spin:
.Lspin:
	inc	rax
	cmp	qword ptr [rsp - 0x8], 0x0
	je	.Lspin
.Lagain:
	syscall
	jmp	.Lagain
