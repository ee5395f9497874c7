/*
 * ftrace_test_recursion_trylock (arm64), that does not look: every handler is let in, again and again
 *
 * reached   by BL from handlers
 * in        nothing
 * out       x0   a bit; preempt_count up
 * clobbers  x9, x10
 * stack     none
 * ordering  none
 * linux     handlers before they had recursion protection of their own, 13f3ea9a2c82 and its like
 */
	.balign	0x8
	.global	ftrace_test_recursion_trylock
ftrace_test_recursion_trylock:
	mrs	x9, tpidr_el1
	ldr	w10, [x9, #PCPU_PREEMPT_COUNT]
	add	x10, x10, #PREEMPT_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]
	mov	x0, #0x1
	lsl	x0, x0, #TRACE_NORMAL_BIT
	ret
