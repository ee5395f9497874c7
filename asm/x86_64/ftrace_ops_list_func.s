/*
 * ftrace_ops_list_func(ip, parent_ip, op, fregs): call every ops that wants this site
 *
 * reached   call at ftrace_call, ftrace_regs_call, and from mcount_caller
 * in        rdi ip    rsi parent_ip    rdx op, not used    rcx fregs
 * out       fregs as the ops left them
 * clobbers  what a C function may
 * stack     0x38 bytes
 * ordering  ops and hashes are published by one pointer store each, and x86 keeps the loads
 *           behind it in order; they go away after a grace period, which preempt_count holds
 *           off. Pairs with ftrace_add_ops / synchronize in unregister_ftrace_function
 * linux     kernel/trace/ftrace.c __ftrace_ops_list_func, and what is in line there:
 *           trace_test_and_set_recursion with its LIST bits. A tick that came while preemption was
 *           off does not switch tasks at the end, as preempt_enable_notrace does, but at the next
 *           interrupt: ticks are so close here that most switches would be inside traced functions,
 *           and no transition would end
 *
 * The recursion bits are those of the handler (contexts NMI, IRQ, SOFTIRQ, NORMAL, then TRANSITION
 * once), 8 higher: a range of their own, as TRACE_LIST_* and TRACE_FTRACE_* have.
 */
	.set	LIST_SHIFT, 0x8
	.set	LIST_TRANSITION, 0x100 << TRACE_TRANSITION_BIT
	.set	NMI_MASK, NMI_OFFSET * 0xf
	.set	HARDIRQ_NMI_MASK, NMI_OFFSET * 0xf + HARDIRQ_OFFSET * 0xf
	.set	ANY_MASK, NMI_OFFSET * 0xf + HARDIRQ_OFFSET * 0xf + SOFTIRQ_OFFSET
	.set	FLAG_STUB, 0x1 << FTRACE_OPS_STUB_BIT
	.set	FLAG_RCU, 0x1 << FTRACE_OPS_RCU_BIT
	.global	ftrace_ops_list_func
ftrace_ops_list_func:
	push	rbp
	mov	rbp, rsp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	sub	rsp, 0x8			# calls want 16-byte alignment
	mov	rbx, rdi
	mov	r12, rsi
	mov	r13, rcx
	rdgsbase	r8
	mov	r9, [r8 + PCPU_CURRENT_TASK]
	mov	rax, [r8 + PCPU_PREEMPT_COUNT]
	mov	ecx, TRACE_NORMAL_BIT + LIST_SHIFT	# less one for each level of interrupt_context_level
	xor	edx, edx
	test	eax, NMI_MASK
	setne	dl
	sub	ecx, edx
	xor	edx, edx
	test	eax, HARDIRQ_NMI_MASK
	setne	dl
	sub	ecx, edx
	xor	edx, edx
	test	eax, ANY_MASK
	setne	dl
	sub	ecx, edx
	mov	r14d, 0x1
	shl	r14d, cl
	mov	rax, [r9 + TASK_TRACE_RECURSION]
	test	rax, r14
	jz	.Ltake
	mov	r14d, LIST_TRANSITION		# preempt_count may lag behind the context
	test	rax, r14
	jnz	.Lreturn			# recursion: these ops have seen this
.Ltake:
	or	rax, r14
	mov	[r9 + TASK_TRACE_RECURSION], rax	# an interrupt leaves the word as it found it
	add	qword ptr [r8 + PCPU_PREEMPT_COUNT], PREEMPT_OFFSET
	mov	eax, ftrace_ops_list
	mov	r15, [rax]
.Lop:
	mov	rax, [r15 + FTRACE_OPS_FLAGS]
	test	eax, FLAG_STUB
	jnz	.Lnext				# the end of an empty list
	test	eax, FLAG_RCU
	jz	.Ltest
	call	rcu_is_watching
	test	eax, eax
	jz	.Lnext
.Ltest:
	xor	edx, edx			# regs: none
	cmp	qword ptr [r13 + PTREGS_CS], 0x0
	cmovne	rdx, r13			# ftrace_get_regs: a frame with cs is a whole one
	mov	rdi, r15
	mov	rsi, rbx
	call	ftrace_ops_test
	test	eax, eax
	jz	.Lnext
	mov	rax, [r15 + FTRACE_OPS_FUNC]
	test	rax, rax
	jz	.Lno_func
	mov	rdi, rbx
	mov	rsi, r12
	mov	rdx, r15
	mov	rcx, r13
	call	rax
.Lnext:
	mov	r15, [r15 + FTRACE_OPS_NEXT]	# after the call: the ops is there while we are
	test	r15, r15
	jz	.Lunlock
	mov	eax, ftrace_list_end
	cmp	r15, rax
	jne	.Lop
.Lunlock:
	rdgsbase	r8
	mov	r9, [r8 + PCPU_CURRENT_TASK]
	sub	qword ptr [r8 + PCPU_PREEMPT_COUNT], PREEMPT_OFFSET
	not	r14
	and	[r9 + TASK_TRACE_RECURSION], r14
.Lreturn:
	add	rsp, 0x8
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret
.Lno_func:
	.global	__warn_ftrace_ops_without_func
__warn_ftrace_ops_without_func:
	ud2
	jmp	.Lunlock
