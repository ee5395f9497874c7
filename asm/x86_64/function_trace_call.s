/*
 * function_trace_call(ip, parent_ip, op, fregs): the function tracer: write down who called whom
 *
 * reached   call at ftrace_call or ftrace_regs_call, or from ftrace_ops_list_func
 * in        rdi ip    rsi parent_ip    rdx op, its private a trace_array    rcx fregs, not used
 * out       an entry in the ring; where it is full, the oldest is gone
 * clobbers  what a C function may
 * stack     0x18 bytes
 * ordering  an entry's seq is 0 before its members change, and right only when all are written; x86
 *           keeps stores in order. Pairs with the reader's second load of seq, in TraceBuffer.entries
 * linux     kernel/trace/trace_functions.c function_trace_call; the ring is one for all CPUs here,
 *           and the number of an entry is its time, as with trace_clock "counter"
 */
	.set	ENTRY_SHIFT, 0x6		# of TRACE_ENTRY_SIZE, 0x40
	.set	FLAGS_IF_SHIFT, 0x9
	.global	function_trace_call
function_trace_call:
	push	rbx
	push	r12
	push	r13
	mov	rbx, rdi
	mov	r12, rsi
	mov	r13, [rdx + FTRACE_OPS_PRIVATE]
	cmp	qword ptr [r13 + TRACE_ARRAY_FUNCTION_ENABLED], 0x0
	je	.Lreturn			# being switched on or off
	call	ftrace_test_recursion_trylock
	test	eax, eax
	jz	.Lreturn
	mov	edi, eax
	cmp	qword ptr [r13 + TRACE_ARRAY_RECORD_DISABLED], 0x0
	jne	.Lunlock
	mov	ecx, 0x1
	lock xadd	qword ptr [r13 + TRACE_ARRAY_WRITTEN], rcx	# other CPUs take other entries
	mov	rdx, rcx
	and	rdx, [r13 + TRACE_ARRAY_MASK]
	shl	rdx, ENTRY_SHIFT
	add	rdx, [r13 + TRACE_ARRAY_ENTRIES]
	mov	qword ptr [rdx + TRACE_ENTRY_SEQ], 0x0
	mov	[rdx + TRACE_ENTRY_IP], rbx
	mov	[rdx + TRACE_ENTRY_PARENT_IP], r12
	rdgsbase	r8
	mov	r9, [r8 + PCPU_CURRENT_TASK]
	mov	rax, [r9 + TASK_PID]
	mov	[rdx + TRACE_ENTRY_PID], rax
	mov	rax, [r8 + PCPU_CPU_NUMBER]
	mov	[rdx + TRACE_ENTRY_CPU], rax
	pushfq
	pop	rax
	not	rax
	shr	rax, FLAGS_IF_SHIFT
	and	eax, 0x1
	mov	[rdx + TRACE_ENTRY_IRQS_OFF], rax
	mov	rax, [r8 + PCPU_NEED_RESCHED]
	mov	[rdx + TRACE_ENTRY_NEED_RESCHED], rax
	mov	rax, [r8 + PCPU_PREEMPT_COUNT]
	sub	rax, PREEMPT_OFFSET		# ours
	mov	[rdx + TRACE_ENTRY_PREEMPT_COUNT], rax
	inc	rcx
	mov	[rdx + TRACE_ENTRY_SEQ], rcx	# whole
.Lunlock:
	call	ftrace_test_recursion_unlock
.Lreturn:
	pop	r13
	pop	r12
	pop	rbx
	ret
