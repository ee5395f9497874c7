/*
 * vic_outer(gate, interruptible): vic_alpha, a gate, vic_alpha
 *
 * reached   call
 * in        edi  gate    esi  interruptible, as vic_gate_wait takes them
 * out       eax  0 | first reply << 8 | second reply << 16; -ERESTARTSYS if a signal came first
 * clobbers  what a C function may
 * stack     0x18 bytes
 * ordering  none
 * linux     none: a function of a module that is there to be patched
 */
	.global	vic_outer
vic_outer:
	.global	__mcount_loc_vic_outer
__mcount_loc_vic_outer:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	push	rbx
	push	r12
	mov	ebx, edi
	mov	r12d, esi
	call	vic_alpha
	mov	edi, ebx
	mov	esi, r12d
	movzx	ebx, al
	call	vic_gate_wait
	test	eax, eax
	js	.Lout
	call	vic_alpha
	movzx	eax, al
	shl	eax, 0x10
	shl	ebx, 0x8
	or	eax, ebx
.Lout:
	pop	r12
	pop	rbx
	pop	rbp
	ret
