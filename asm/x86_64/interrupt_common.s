/*
 * interrupt_common: save, handle, perhaps switch tasks, restore
 *
 * reached   jump from vector_timer, vector_reschedule; interrupts off
 * in        rdi  the handler    stack  rdi, rbp (in orig_ax), rip, cs, rflags, rsp, ss
 * out       iretq, every register as it was
 * clobbers  nothing
 * stack     PTREGS_SIZE bytes with the machine's part, then 8
 * ordering  iretq serialises
 * linux     arch/x86/entry/entry_64.S idtentry_irq, common_interrupt_return;
 *           kernel/entry/common.c irqentry_exit
 *
 * Linux marks the frame by an odd rbp (ENCODE_FRAME_POINTER). Here orig_ax, which has no use
 * for an interrupt, holds the interrupted rbp: with the rip above it this is an ordinary
 * frame record, so a frame-pointer walk goes from interrupt_common into the interrupted code.
 * What that code had not pushed yet is missing: such a stack is not a reliable one.
 */
	.set	USER_TEXT_SIZE, USER_TEXT_END - USER_TEXT_BASE
	.global	interrupt_common
interrupt_common:
	push	rsi
	push	rdx
	push	rcx
	push	rax
	push	r8
	push	r9
	push	r10
	push	r11
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15				# rsp is a pt_regs now
	mov	rbx, rsp
	lea	rbp, [rsp + PTREGS_ORIG_AX]
	sub	rsp, 0x8			# calls want 16-byte alignment
	rdgsbase	r12
	add	qword ptr [r12 + PCPU_PREEMPT_COUNT], HARDIRQ_OFFSET
	call	rdi
	sub	qword ptr [r12 + PCPU_PREEMPT_COUNT], HARDIRQ_OFFSET
	mov	rax, [rbx + PTREGS_IP]
	sub	rax, USER_TEXT_BASE
	cmp	rax, USER_TEXT_SIZE
	jb	.Lfrom_user
	cmp	qword ptr [r12 + PCPU_PREEMPT_COUNT], 0x0
	jne	.Lrestore			# a handler, an outer interrupt or int3 is at work
	cmp	qword ptr [r12 + PCPU_NEED_RESCHED], 0x0
	je	.Lrestore
	call	preempt_schedule_irq
	jmp	.Lrestore
.Lfrom_user:
	xor	ebp, ebp			# user frames are nobody's business
	call	exit_to_user_mode
.Lrestore:
	add	rsp, 0x8
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rax
	pop	rcx
	pop	rdx
	pop	rsi
	pop	rdi
	add	rsp, 0x8			# orig_ax
	iretq
