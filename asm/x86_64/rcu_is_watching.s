/*
 * rcu_is_watching(): may this CPU be in a read-side critical section now?
 *
 * reached   call from ftrace_ops_list_func, for ops with RCU
 * in        gs base  percpu
 * out       eax  0 in the idle task outside of interrupts, else 1
 * clobbers  rdx, r8, flags
 * stack     none
 * ordering  none: all of it is this CPU's own
 * linux     kernel/rcu/tree.c; there the idle task is watched until ct_idle_enter
 */
	.set	HARDIRQ_NMI_MASK, NMI_OFFSET * 0xf + HARDIRQ_OFFSET * 0xf
	.global	rcu_is_watching
rcu_is_watching:
	rdgsbase	r8
	mov	eax, 0x1
	mov	rdx, [r8 + PCPU_PREEMPT_COUNT]
	test	edx, HARDIRQ_NMI_MASK
	jnz	.Lwatching
	mov	rdx, [r8 + PCPU_CURRENT_TASK]
	xor	eax, eax
	cmp	rdx, [r8 + PCPU_IDLE_TASK]
	setne	al
.Lwatching:
	ret
