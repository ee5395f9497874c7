/*
 * vic_spin(gate): burn cycles until a gate is open, then tell which version ran
 *
 * reached   call
 * in        edi  gate, 0 to 0xf
 * out       eax  0
 * clobbers  what a C function may
 * stack     0x18 bytes
 * ordering  none
 * linux     none: a function of a module that is there to be patched
 */
	.global	vic_spin
vic_spin:
	.global	__mcount_loc_vic_spin
__mcount_loc_vic_spin:
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
	xor	eax, eax
	add	rsp, 0x8
	pop	rbx
	pop	rbp
	ret
