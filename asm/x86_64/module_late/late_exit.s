/*
 * late_exit(): the module's exit function: ask late_ping
 *
 * reached   call
 * in        nothing
 * out       eax  its reply
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none
 * linux     module_exit in include/linux/module.h
 */
	.global	late_exit
late_exit:
	.global	__mcount_loc_late_exit
__mcount_loc_late_exit:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	call	late_ping
	pop	rbp
	ret
