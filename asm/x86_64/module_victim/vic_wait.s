/*
 * vic_wait(gate, interruptible): pass a gate, then tell which version ran
 *
 * reached   call
 * in        edi  gate    esi  interruptible, as vic_gate_wait takes them
 * out       eax  0; -ERESTARTSYS if a signal came first
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none
 * linux     none: a function of a module that is there to be patched
 */
	.global	vic_wait
vic_wait:
	.global	__mcount_loc_vic_wait
__mcount_loc_vic_wait:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	call	vic_gate_wait			# a frame of ours stays below the sleeper's
	mov	eax, eax			# 32 bits of it: 0, the original's version, if it passed
	pop	rbp
	ret
