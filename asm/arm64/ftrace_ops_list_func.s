/*
 * ftrace_ops_list_func (arm64): the handler for sites that several ops may want
 *
 * reached   as handler of a trampoline, or by BL from mcount_caller
 * in        x0   ip          x1   parent_ip          x2   not used          x3   fregs
 * out       func of each op on ftrace_ops_list whose filter_hash holds ip has been called
 * clobbers  x0-x17, nzcv
 * stack     0x50 bytes with a frame record
 * ordering  every load from an op or a hash depends on its address; pairs with the patching CPU's barrier
 *           between filling and publishing them
 * linux     __ftrace_ops_list_func in kernel/trace/ftrace.c, with the LIST bits of trace_recursion
 */
	.set	TRACE_LIST_SHIFT, 0x8		// the list function's own five bits, above the handlers'

	.balign	0x8
	.global	ftrace_ops_list_func
ftrace_ops_list_func:
	hint	#0x22				// BTI C: also reached by BLR, as the func of an ops
	stp	x29, x30, [sp, #-0x50]!
	mov	x29, sp
	stp	x19, x20, [sp, #0x10]
	stp	x21, x22, [sp, #0x20]
	stp	x23, x24, [sp, #0x30]
	str	x25, [sp, #0x40]
	mov	x19, x0				// ip
	mov	x20, x1				// parent_ip
	mov	x21, x3				// fregs
	mrs	x22, tpidr_el1			// stays ours: tasks do not change CPUs
	ldr	x23, [x22, #PCPU_CURRENT_TASK]
	ldr	x9, [x22, #PCPU_PREEMPT_COUNT]
	mov	x10, #TRACE_NMI_BIT
	mov	x11, #NMI_OFFSET
	cmp	x9, x11
	b.hs	.Lcontext_known
	mov	x10, #TRACE_IRQ_BIT
	mov	x11, #HARDIRQ_OFFSET
	cmp	x9, x11
	b.hs	.Lcontext_known
	mov	x10, #TRACE_NORMAL_BIT
.Lcontext_known:
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
	add	x9, x9, #PREEMPT_OFFSET
	str	x9, [x22, #PCPU_PREEMPT_COUNT]
	movz	x9, #ftrace_ops_list_LO16
	movk	x9, #ftrace_ops_list_HI16, lsl #0x10
	ldr	x25, [x9]
.Lnext_op:
	movz	x9, #ftrace_list_end_LO16
	movk	x9, #ftrace_list_end_HI16, lsl #0x10
	cmp	x25, x9
	b.eq	.Lend_of_list
	ldr	x9, [x25, #FTRACE_OPS_FILTER_HASH]
	cbz	x9, .Lnot_wanted
	ldr	x10, [x9, #FTRACE_HASH_COUNT]
	add	x9, x9, #FTRACE_HASH_IPS
.Lsearch:
	cbz	x10, .Lnot_wanted
	ldr	x11, [x9], #0x8
	sub	x10, x10, #0x1
	cmp	x11, x19
	b.ne	.Lsearch
	mov	x0, x19
	mov	x1, x20
	mov	x2, x25
	mov	x3, x21
	ldr	x16, [x25, #FTRACE_OPS_FUNC]
	blr	x16
.Lnot_wanted:
	ldr	x25, [x25, #FTRACE_OPS_NEXT]
	b	.Lnext_op
.Lend_of_list:
	ldr	x9, [x22, #PCPU_PREEMPT_COUNT]
	sub	x9, x9, #PREEMPT_OFFSET
	str	x9, [x22, #PCPU_PREEMPT_COUNT]
	ldr	x12, [x23, #TASK_TRACE_RECURSION]
	bic	x12, x12, x24
	str	x12, [x23, #TASK_TRACE_RECURSION]
.Lout:
	ldp	x19, x20, [sp, #0x10]
	ldp	x21, x22, [sp, #0x20]
	ldp	x23, x24, [sp, #0x30]
	ldr	x25, [sp, #0x40]
	ldp	x29, x30, [sp], #0x50
	ret
