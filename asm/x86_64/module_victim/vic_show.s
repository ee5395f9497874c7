/*
 * vic_show(fn, first, second): call fn(first, second): what tasks call the others through
 *
 * reached   call
 * in        rdi  fn    rsi  first    rdx  second
 * out       rax  what fn returned, all 64 bits
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none
 * linux     none: the show function of a seq_file
 */
	.global	vic_show
vic_show:
	.global	__mcount_loc_vic_show
__mcount_loc_vic_show:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	mov	rax, rdi
	mov	rdi, rsi
	mov	rsi, rdx
	call	rax
	pop	rbp
	ret
