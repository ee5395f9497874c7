/*
 * ftrace_test_recursion_unlock(bit): give back what ftrace_test_recursion_trylock gave
 *
 * reached   call from function_trace_call and kprobe_ftrace_handler
 * in        edi  the bit
 * out       trace_recursion without it; preempt_count down
 * clobbers  rdi, r8, r9, flags
 * stack     none
 * ordering  the caller's last use of what RCU protects is older; x86 keeps loads before stores
 * linux     include/linux/trace_recursion.h, in line there
 */
	.global	ftrace_test_recursion_unlock
ftrace_test_recursion_unlock:
	rdgsbase	r8
	mov	r9, [r8 + PCPU_CURRENT_TASK]
	sub	qword ptr [r8 + PCPU_PREEMPT_COUNT], PREEMPT_OFFSET
	not	rdi
	and	[r9 + TASK_TRACE_RECURSION], rdi
	ret
