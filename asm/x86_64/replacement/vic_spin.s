/*
 * lp_vic_spin(gate): replacement of vic_spin
 *
 * reached   ret of a trampoline, in place of vic_spin
 * in        edi  gate, 0 to 0xf
 * out       eax  KLP_VERSION
 * clobbers  what a C function may
 * stack     0x18 bytes
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_vic_spin
lp_vic_spin:
	.global	__mcount_loc_lp_vic_spin
__mcount_loc_lp_vic_spin:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	push	rbx
	sub	rsp, 0x8			# calls want 16-byte alignment
	mov	ebx, edi
	lea	rbx, [rbx*0x8 + vic_gates]
.Lspin:
	cmp	qword ptr [rbx], 0x0
	jne	.Lopen
	call	cond_resched
	jmp	.Lspin
.Lopen:
	mov	eax, KLP_VERSION
	add	rsp, 0x8
	pop	rbx
	pop	rbp
	ret
