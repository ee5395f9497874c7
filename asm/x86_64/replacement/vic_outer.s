/*
 * lp_vic_outer(gate, interruptible): replacement of vic_outer: vic_alpha, a gate, vic_alpha
 *
 * reached   ret of a trampoline, in place of vic_outer
 * in        edi  gate    esi  interruptible, as vic_gate_wait takes them
 * out       eax  KLP_VERSION | first reply << 8 | second reply << 16; -ERESTARTSYS if a signal came first
 * clobbers  what a C function may
 * stack     0x18 bytes
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_vic_outer
lp_vic_outer:
	.global	__mcount_loc_lp_vic_outer
__mcount_loc_lp_vic_outer:
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
	or	eax, KLP_VERSION
.Lout:
	pop	r12
	pop	rbx
	pop	rbp
	ret
