/*
 * ftrace_test_recursion_trylock (arm64): take the recursion bit of this context, for a handler
 *
 * reached   by BL from function_trace_call and kprobe_ftrace_handler
 * in        nothing
 * out       x0   the bit, which ftrace_test_recursion_unlock takes; preempt_count up
 *                0: the context's bit and TRANSITION are taken; nothing is changed
 * clobbers  x9-x12, nzcv
 * stack     none
 * ordering  none: the word is this task's own, and an interrupt leaves it as it found it
 * linux     include/linux/trace_recursion.h, in line there: the bits that klp_ftrace_handler takes, too
 */
	.balign	0x8
	.global	ftrace_test_recursion_trylock
ftrace_test_recursion_trylock:
	mrs	x9, tpidr_el1
	ldr	w10, [x9, #PCPU_PREEMPT_COUNT]
	mov	x11, #TRACE_NMI_BIT
	mov	x12, #NMI_OFFSET
	cmp	x10, x12
	b.hs	.Lcontext_known
	mov	x11, #TRACE_IRQ_BIT
	mov	x12, #HARDIRQ_OFFSET
	cmp	x10, x12
	b.hs	.Lcontext_known
	mov	x11, #TRACE_NORMAL_BIT
.Lcontext_known:
	mov	x12, #0x1
	lsl	x0, x12, x11
	ldr	x10, [x9, #PCPU_CURRENT_TASK]
	ldr	x11, [x10, #TASK_TRACE_RECURSION]
	tst	x11, x0
	b.eq	.Ltake_bit
	lsl	x0, x12, #TRACE_TRANSITION_BIT	// between two contexts preempt_count lags: allow it once
	tst	x11, x0
	b.ne	.Lnone
.Ltake_bit:
	orr	x11, x11, x0
	str	x11, [x10, #TASK_TRACE_RECURSION]
	ldr	w11, [x9, #PCPU_PREEMPT_COUNT]
	add	x11, x11, #PREEMPT_OFFSET
	str	w11, [x9, #PCPU_PREEMPT_COUNT]
	ret
.Lnone:
	mov	x0, xzr
	ret
