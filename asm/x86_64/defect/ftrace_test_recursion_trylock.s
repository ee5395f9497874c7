/*
 * ftrace_test_recursion_trylock(), that does not look: every handler is let in, again and again
 *
 * reached   call from handlers
 * in        gs base  percpu
 * out       eax  a bit; preempt_count up
 * clobbers  r8, flags
 * stack     none
 * ordering  none
 * linux     handlers before they had recursion protection of their own, 13f3ea9a2c82 and its like
 */
	.set	FTRACE_NORMAL, 0x1 << TRACE_NORMAL_BIT
	.global	ftrace_test_recursion_trylock
ftrace_test_recursion_trylock:
	rdgsbase	r8
	add	qword ptr [r8 + PCPU_PREEMPT_COUNT], PREEMPT_OFFSET
	mov	eax, FTRACE_NORMAL
	ret
