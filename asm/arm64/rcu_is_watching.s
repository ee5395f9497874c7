/*
 * rcu_is_watching (arm64): may this CPU be in a read-side critical section now?
 *
 * reached   by BL from ftrace_ops_list_func, for ops with RCU
 * in        nothing
 * out       x0   0 in the idle task outside of interrupts, else 1
 * clobbers  x9-x11, nzcv
 * stack     none
 * ordering  none: all of it is this CPU's own
 * linux     kernel/rcu/tree.c; there the idle task is watched until ct_idle_enter
 */
	.set	HARDIRQ_NMI_MASK, 0xff0000

	.balign	0x8
	.global	rcu_is_watching
rcu_is_watching:
	mrs	x9, tpidr_el1
	mov	x0, #0x1
	ldr	w10, [x9, #PCPU_PREEMPT_COUNT]
	tst	x10, #HARDIRQ_NMI_MASK
	b.ne	.Lwatching
	ldr	x10, [x9, #PCPU_CURRENT_TASK]
	ldr	x11, [x9, #PCPU_IDLE_TASK]
	cmp	x10, x11
	cset	x0, ne
.Lwatching:
	ret
