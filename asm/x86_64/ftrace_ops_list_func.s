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
 * linux     kernel/trace/ftrace.c __ftrace_ops_list_func; an empty filter means none here,
 *           there it means all
 *
 * The recursion bits are those of the handler (contexts NMI, IRQ, NORMAL, then TRANSITION
 * once), 8 higher: a range of their own, as TRACE_LIST_* and TRACE_FTRACE_* have.
 */
	.set	LIST_NMI, 0x100 << TRACE_NMI_BIT
	.set	LIST_IRQ, 0x100 << TRACE_IRQ_BIT
	.set	LIST_NORMAL, 0x100 << TRACE_NORMAL_BIT
	.set	LIST_TRANSITION, 0x100 << TRACE_TRANSITION_BIT
	.set	HARDIRQ_MASK, HARDIRQ_OFFSET * 0xf
	.set	NMI_MASK, NMI_OFFSET * 0xf
	.set	IP_SIZE, 0x8
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
	mov	r14d, LIST_NMI
	test	eax, NMI_MASK
	jnz	.Lcontext
	mov	r14d, LIST_IRQ
	test	eax, HARDIRQ_MASK
	jnz	.Lcontext
	mov	r14d, LIST_NORMAL
.Lcontext:
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
	mov	eax, ftrace_list_end
	cmp	r15, rax
	je	.Lunlock
	mov	rax, [r15 + FTRACE_OPS_FILTER_HASH]
	test	rax, rax
	jz	.Lnext				# empty
	mov	rcx, [rax + FTRACE_HASH_COUNT]
	lea	rax, [rax + FTRACE_HASH_IPS]
.Lip:
	test	rcx, rcx
	jz	.Lnext
	cmp	[rax], rbx
	je	.Lwanted
	add	rax, IP_SIZE
	dec	rcx
	jmp	.Lip
.Lwanted:
	mov	rdi, rbx
	mov	rsi, r12
	mov	rdx, r15
	mov	rcx, r13
	call	qword ptr [r15 + FTRACE_OPS_FUNC]
.Lnext:
	mov	r15, [r15 + FTRACE_OPS_NEXT]	# after the call: the ops is there while we are
	jmp	.Lop
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
