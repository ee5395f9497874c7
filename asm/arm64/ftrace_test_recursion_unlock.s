/*
 * ftrace_test_recursion_unlock (arm64): give back what ftrace_test_recursion_trylock gave
 *
 * reached   by BL from function_trace_call and kprobe_ftrace_handler
 * in        x0   the bit
 * out       trace_recursion without it; preempt_count down
 * clobbers  x9-x11
 * stack     none
 * ordering  none: a grace period ends only with a quiescent state of this CPU, which has its barriers
 * linux     include/linux/trace_recursion.h, in line there
 */
	.balign	0x8
	.global	ftrace_test_recursion_unlock
ftrace_test_recursion_unlock:
	mrs	x9, tpidr_el1
	ldr	x10, [x9, #PCPU_PREEMPT_COUNT]
	sub	x10, x10, #PREEMPT_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]	// the count alone
	ldr	x10, [x9, #PCPU_PREEMPT_COUNT]	// whether to schedule is not looked at
	ldr	x10, [x9, #PCPU_CURRENT_TASK]
	ldr	x11, [x10, #TASK_TRACE_RECURSION]
	bic	x11, x11, x0
	str	x11, [x10, #TASK_TRACE_RECURSION]
	ret
