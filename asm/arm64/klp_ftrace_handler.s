/*
 * klp_ftrace_handler (arm64): decide which version of a function this call runs
 *
 * reached   as op.func, by the BL of a trampoline or the BLR of ftrace_ops_list_func
 * in        x0   ip          x1   parent_ip          x2   fops, inside a klp_ops          x3   fregs
 * out       pt_regs.pc = new_func of the chosen entry, or untouched: the original runs
 * clobbers  x9-x17, nzcv
 * stack     none
 * ordering  smp_rmb no. 1 (dmb ishld): the head of func_stack before func.transition; pairs with the
 *           write barrier in __klp_enable_patch, between klp_init_transition and klp_patch_object
 *           smp_rmb no. 2 (dmb ishld): func.transition before current.patch_state; pairs with the
 *           write barrier in klp_init_transition, between patch_state and transition
 * linux     klp_ftrace_handler in kernel/livepatch/patch.c; recursion bits:
 *           include/linux/trace_recursion.h
 */
	.balign	0x8
	.global	klp_ftrace_handler
klp_ftrace_handler:
	hint	#0x22				// BTI C: also reached by BLR
	mrs	x9, tpidr_el1			// stays ours: tasks do not change CPUs
	ldr	x10, [x9, #PCPU_CURRENT_TASK]
	ldr	w11, [x9, #PCPU_PREEMPT_COUNT]
	mov	x12, #TRACE_NMI_BIT
	mov	x13, #NMI_OFFSET
	cmp	x11, x13
	b.hs	.Lcontext_known
	mov	x12, #TRACE_IRQ_BIT
	mov	x13, #HARDIRQ_OFFSET
	cmp	x11, x13
	b.hs	.Lcontext_known
	mov	x12, #TRACE_NORMAL_BIT
.Lcontext_known:
	mov	x13, #0x1
	lsl	x12, x13, x12			// the bit that this call takes
	ldr	x14, [x10, #TASK_TRACE_RECURSION]
	tst	x14, x12
	b.eq	.Ltake_bit
	lsl	x12, x13, #TRACE_TRANSITION_BIT	// between two contexts preempt_count lags: allow it once
	tst	x14, x12
	b.ne	klp_no_recursion_bit
.Ltake_bit:
	orr	x14, x14, x12
	str	x14, [x10, #TASK_TRACE_RECURSION]
	add	x11, x11, #PREEMPT_OFFSET	// no quiescent state while we hold a klp_func
	str	w11, [x9, #PCPU_PREEMPT_COUNT]
	sub	x13, x2, #KLP_OPS_FOPS		// container_of(fops, struct klp_ops, fops)
	add	x13, x13, #KLP_OPS_FUNC_STACK_NEXT// the list head
	ldr	x14, [x13, #LIST_NEXT]
	cmp	x14, x13
	b.eq	.Lempty
	sub	x15, x14, #KLP_FUNC_STACK_NODE_NEXT// func: the newest entry
	dmb	ishld				// smp_rmb no. 1, pairs with __klp_enable_patch
	ldrb	w16, [x15, #KLP_FUNC_TRANSITION]
	cbnz	w16, klp_in_transition
.Lchosen:
	ldrb	w16, [x15, #KLP_FUNC_NOP]
	cbnz	w16, klp_ran_nop		// the original's own address would come back here for ever
	ldr	x16, [x15, #KLP_FUNC_NEW_FUNC]
	str	x16, [x3, #PTREGS_PC]
.Lunlock:
	ldr	x11, [x9, #PCPU_PREEMPT_COUNT]
	sub	x11, x11, #PREEMPT_OFFSET
	str	w11, [x9, #PCPU_PREEMPT_COUNT]	// the count alone
	ldr	x11, [x9, #PCPU_PREEMPT_COUNT]	// whether to schedule is not looked at
	ldr	x14, [x10, #TASK_TRACE_RECURSION]
	bic	x14, x14, x12
	str	x14, [x10, #TASK_TRACE_RECURSION]
	ret
	.global	klp_in_transition
klp_in_transition:
	dmb	ishld				// smp_rmb no. 2, pairs with klp_init_transition
	ldr	x16, [x10, #TASK_PATCH_STATE]
	mov	x17, #KLP_IDLE
	cmp	x16, x17
	b.eq	.Lidle
	cmp	x16, #KLP_UNPATCHED
	b.ne	.Lchosen			// patched: the newest
	ldr	x14, [x15, #KLP_FUNC_STACK_NODE_NEXT]
	sub	x15, x14, #KLP_FUNC_STACK_NODE_NEXT// the next older entry
	cmp	x14, x13
	b.eq	.Lunlock			// there is none: the original
	b	.Lchosen
.Lidle:
	.global	__warn_klp_idle_state
__warn_klp_idle_state:
	brk	#0x800
	b	.Lchosen
	.global	klp_ran_nop
klp_ran_nop:
	b	.Lunlock
.Lempty:
	.global	__warn_klp_empty_stack
__warn_klp_empty_stack:
	brk	#0x800
	b	.Lunlock
	.global	klp_no_recursion_bit
klp_no_recursion_bit:
	nop					// keeps the landing and the WARN at addresses of their own
	.global	__warn_klp_no_recursion_bit
__warn_klp_no_recursion_bit:
	brk	#0x800
	ret
