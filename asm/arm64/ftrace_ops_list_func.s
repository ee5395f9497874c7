/*
 * ftrace_ops_list_func (arm64): the handler for sites that several ops may want
 *
 * reached   as handler of a trampoline, or by BL from mcount_caller
 * in        x0   ip          x1   parent_ip          x2   not used          x3   fregs
 * out       func of each op on ftrace_ops_list that wants ip has been called
 * clobbers  x0-x17, nzcv
 * stack     0x50 bytes with a frame record
 * ordering  every load from an op or a hash depends on its address; pairs with the patching CPU's barrier
 *           between filling and publishing them. They go away after a grace period, which preempt_count
 *           holds off
 * linux     __ftrace_ops_list_func in kernel/trace/ftrace.c, and what is in line there:
 *           trace_test_and_set_recursion with its LIST bits. A tick that came while preemption was off
 *           does not switch tasks at the end, as preempt_enable_notrace does, but at the next interrupt:
 *           ticks are so close here that most switches would be inside traced functions, and no
 *           transition would end
 */
	.set	TRACE_LIST_SHIFT, 0x8		// the list function's own five bits, above the handlers'
	.set	HARDIRQ_NMI_MASK, 0xff0000
	.set	NMI_MASK, 0xf00000

	.balign	0x8
	.global	ftrace_ops_list_func
ftrace_ops_list_func:
	hint	#0x22				// BTI C: also reached by BLR, as the func of an ops
	stp	x29, x30, [sp, #-0x50]!
	mov	x29, sp
	stp	x19, x20, [sp, #0x10]
	stp	x21, x22, [sp, #0x20]
	stp	x23, x24, [sp, #0x30]
	stp	x25, x26, [sp, #0x40]
	mov	x19, x0				// ip
	mov	x20, x1				// parent_ip
	mov	x21, x3				// fregs
	mrs	x22, tpidr_el1			// stays ours: tasks do not change CPUs
	ldr	x23, [x22, #PCPU_CURRENT_TASK]
	ldr	w9, [x22, #PCPU_PREEMPT_COUNT]
	mov	x10, #TRACE_NORMAL_BIT		// less one for each level of interrupt_context_level
	tst	x9, #NMI_MASK
	cset	x11, ne
	sub	x10, x10, x11
	tst	x9, #HARDIRQ_NMI_MASK
	cset	x11, ne
	sub	x10, x10, x11
	mov	x12, #HARDIRQ_NMI_MASK
	orr	x12, x12, #SOFTIRQ_OFFSET
	tst	x9, x12
	cset	x11, ne
	sub	x10, x10, x11
	mov	x11, #0x1
	lsl	x11, x11, #TRACE_LIST_SHIFT
	lsl	x24, x11, x10
	ldr	x12, [x23, #TASK_TRACE_RECURSION]
	tst	x12, x24
	b.eq	.Ltake_bit
	lsl	x24, x11, #TRACE_TRANSITION_BIT	// between two contexts preempt_count lags: allow it once
	tst	x12, x24
	b.ne	.Lout				// a handler called a traced function
.Ltake_bit:
	orr	x12, x12, x24
	str	x12, [x23, #TASK_TRACE_RECURSION]
	ldr	w9, [x22, #PCPU_PREEMPT_COUNT]
	add	x9, x9, #PREEMPT_OFFSET
	str	w9, [x22, #PCPU_PREEMPT_COUNT]
	movz	x9, #ftrace_ops_list_LO16
	movk	x9, #ftrace_ops_list_HI16, lsl #0x10
	ldr	x25, [x9]
	movz	x26, #ftrace_list_end_LO16
	movk	x26, #ftrace_list_end_HI16, lsl #0x10
.Lnext_op:
	ldr	x9, [x25, #FTRACE_OPS_FLAGS]
	tbnz	x9, #FTRACE_OPS_STUB_BIT, .Lnot_wanted	// the end of an empty list
	tbz	x9, #FTRACE_OPS_RCU_BIT, .Ltest
	bl	rcu_is_watching
	cbz	x0, .Lnot_wanted
.Ltest:
	mov	x0, x25
	mov	x1, x19
	bl	ftrace_ops_test
	cbz	x0, .Lnot_wanted
	ldr	x16, [x25, #FTRACE_OPS_FUNC]
	cbz	x16, .Lno_func
	mov	x0, x19
	mov	x1, x20
	mov	x2, x25
	mov	x3, x21
	blr	x16
.Lnot_wanted:
	ldr	x25, [x25, #FTRACE_OPS_NEXT]	// after the call: the ops is there while we are
	cbz	x25, .Lend_of_list
	cmp	x25, x26
	b.ne	.Lnext_op
.Lend_of_list:
	ldr	x9, [x22, #PCPU_PREEMPT_COUNT]
	sub	x9, x9, #PREEMPT_OFFSET
	str	w9, [x22, #PCPU_PREEMPT_COUNT]	// the count alone
	ldr	x9, [x22, #PCPU_PREEMPT_COUNT]	// whether to schedule is not looked at
	ldr	x12, [x23, #TASK_TRACE_RECURSION]
	bic	x12, x12, x24
	str	x12, [x23, #TASK_TRACE_RECURSION]
.Lout:
	ldp	x19, x20, [sp, #0x10]
	ldp	x21, x22, [sp, #0x20]
	ldp	x23, x24, [sp, #0x30]
	ldp	x25, x26, [sp, #0x40]
	ldp	x29, x30, [sp], #0x50
	ret
.Lno_func:
	.global	__warn_ftrace_ops_without_func
__warn_ftrace_ops_without_func:
	brk	#0x800
	b	.Lend_of_list
