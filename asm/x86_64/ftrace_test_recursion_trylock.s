/*
 * ftrace_test_recursion_trylock(): take the recursion bit of this context, for a handler
 *
 * reached   call from function_trace_call and kprobe_ftrace_handler
 * in        gs base  percpu
 * out       eax  the bit, which ftrace_test_recursion_unlock takes; preempt_count up
 *                0: the context's bit and TRANSITION are taken; nothing is changed
 * clobbers  rcx, r8, r9, flags
 * stack     none
 * ordering  none: the word is this task's own, and an interrupt leaves it as it found it
 * linux     include/linux/trace_recursion.h, in line there: the bits that klp_ftrace_handler takes, too
 */
	.set	FTRACE_NMI, 0x1 << TRACE_NMI_BIT
	.set	FTRACE_IRQ, 0x1 << TRACE_IRQ_BIT
	.set	FTRACE_NORMAL, 0x1 << TRACE_NORMAL_BIT
	.set	FTRACE_TRANSITION, 0x1 << TRACE_TRANSITION_BIT
	.set	HARDIRQ_MASK, HARDIRQ_OFFSET * 0xf
	.set	NMI_MASK, NMI_OFFSET * 0xf
	.global	ftrace_test_recursion_trylock
ftrace_test_recursion_trylock:
	rdgsbase	r8
	mov	r9, [r8 + PCPU_CURRENT_TASK]
	mov	rcx, [r8 + PCPU_PREEMPT_COUNT]
	mov	eax, FTRACE_NMI
	test	ecx, NMI_MASK
	jnz	.Lcontext
	mov	eax, FTRACE_IRQ
	test	ecx, HARDIRQ_MASK
	jnz	.Lcontext
	mov	eax, FTRACE_NORMAL
.Lcontext:
	mov	rcx, [r9 + TASK_TRACE_RECURSION]
	test	rcx, rax
	jz	.Ltake
	mov	eax, FTRACE_TRANSITION		# preempt_count may lag behind the context: allowed once
	test	rcx, rax
	jnz	.Lnone
.Ltake:
	or	rcx, rax
	mov	[r9 + TASK_TRACE_RECURSION], rcx
	add	qword ptr [r8 + PCPU_PREEMPT_COUNT], PREEMPT_OFFSET
	ret
.Lnone:
	xor	eax, eax
	ret
