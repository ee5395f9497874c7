/*
 * lp_vic_show(fn, first, second): replacement of vic_show
 *
 * reached   ret of a trampoline, in place of vic_show
 * in        rdi  fn    rsi  first    rdx  second
 * out       rax  what fn returned, all 64 bits: no room to tell the version
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_vic_show
lp_vic_show:
	.global	__mcount_loc_lp_vic_show
__mcount_loc_lp_vic_show:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	mov	rax, rdi
	mov	rdi, rsi
	mov	rsi, rdx
	call	rax
	pop	rbp
	ret
