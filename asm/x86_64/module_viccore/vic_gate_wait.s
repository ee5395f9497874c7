/*
 * vic_gate_wait(gate, interruptible): pass a gate, or sleep until it is open
 *
 * reached   call
 * in        edi  gate, 0 to 0xf    esi  not 0: a signal wakes the sleeper, too
 * out       eax  0 behind the open gate; -ERESTARTSYS if a signal came first
 * clobbers  what a C function may
 * stack     0x28 bytes
 * ordering  the gate is looked at by the pick in __schedule, after the state is set, so a
 *           gate opened meanwhile is not missed
 * linux     none: wait_event and wait_event_interruptible in include/linux/wait.h
 */
	.set	MINUS_ERESTARTSYS, 0xfffffe00
	.global	vic_gate_wait
vic_gate_wait:
	.global	__mcount_loc_vic_gate_wait
__mcount_loc_vic_gate_wait:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	push	rbx
	push	r12
	push	r13
	sub	rsp, 0x8			# calls want 16-byte alignment
	mov	ebx, edi
	lea	rbx, [rbx*0x8 + vic_gates]
	mov	r13d, TASK_ON_GATE
	test	esi, esi
	jz	.Lhow
	mov	r13d, TASK_ON_GATE_INTR
.Lhow:
	rdgsbase	r12
	mov	r12, [r12 + PCPU_CURRENT_TASK]
.Llook:
	xor	eax, eax
	cmp	qword ptr [rbx], 0x0
	jne	.Lout
	cmp	r13d, TASK_ON_GATE_INTR
	jne	.Lsleep
	bt	qword ptr [r12 + TASK_FLAGS], TIF_SIGPENDING
	jc	.Lsignal
.Lsleep:
	mov	[r12 + TASK_GATE], rbx	# before the state: preempted in between, the gate is known
	mov	[r12 + TASK_STATE], r13
	call	schedule
	jmp	.Llook
.Lsignal:
	mov	eax, MINUS_ERESTARTSYS
.Lout:
	add	rsp, 0x8
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret
