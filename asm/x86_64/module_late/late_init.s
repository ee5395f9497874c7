/*
 * late_init(): the module's init function: ask late_ping
 *
 * reached   call
 * in        nothing
 * out       eax  its reply
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none
 * linux     module_init in include/linux/module.h
 */
	.global	late_init
late_init:
	.global	__mcount_loc_late_init
__mcount_loc_late_init:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	call	late_ping
	pop	rbp
	ret
