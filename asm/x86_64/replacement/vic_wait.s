/*
 * lp_vic_wait(gate, interruptible): replacement of vic_wait
 *
 * reached   ret of a trampoline, in place of vic_wait
 * in        edi  gate    esi  interruptible, as vic_gate_wait takes them
 * out       eax  KLP_VERSION; -ERESTARTSYS if a signal came first
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_vic_wait
lp_vic_wait:
	.global	__mcount_loc_lp_vic_wait
__mcount_loc_lp_vic_wait:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	call	vic_gate_wait			# a frame of ours stays below the sleeper's
	test	eax, eax
	js	.Lout
	mov	eax, KLP_VERSION
.Lout:
	pop	rbp
	ret
