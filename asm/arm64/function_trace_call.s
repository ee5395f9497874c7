/*
 * function_trace_call (arm64): the function tracer: write down who called whom
 *
 * reached   as op.func, by the BL of a trampoline or the BLR of ftrace_ops_list_func
 * in        x0   ip          x1   parent_ip          x2   op, its private a trace_array          x3   fregs
 * out       an entry in the ring; where it is full, the oldest is gone
 * clobbers  x0, x9-x14, nzcv
 * stack     0x10 bytes, a frame record
 * ordering  an entry's seq is 0 before its members change (first dmb ishst), and right only when all are
 *           written (second); pairs with the reader's second load of seq, in TraceBuffer.entries
 * linux     function_trace_call in kernel/trace/trace_functions.c; the ring is one for all CPUs here,
 *           and the number of an entry is its time, as with trace_clock "counter"
 */
	.set	ENTRY_SHIFT, 0x6			// of TRACE_ENTRY_SIZE, 0x40
	.set	DAIF_I_SHIFT, 0x7

	.balign	0x8
	.global	function_trace_call
function_trace_call:
	hint	#0x22					// BTI C: also reached by BLR
	ldr	x14, [x2, #FTRACE_OPS_PRIVATE]
	ldr	x9, [x14, #TRACE_ARRAY_FUNCTION_ENABLED]
	cbz	x9, .Lout				// being switched on or off
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	mov	x13, x0
	bl	ftrace_test_recursion_trylock
	cbz	x0, .Lno_bit
	ldr	x9, [x14, #TRACE_ARRAY_RECORD_DISABLED]
	cbnz	x9, .Lunlock
	add	x9, x14, #TRACE_ARRAY_WRITTEN
.Lagain:
	ldxr	x10, [x9]
	add	x11, x10, #0x1
	stxr	w12, x11, [x9]
	cbnz	w12, .Lagain				// other CPUs take other entries
	ldr	x12, [x14, #TRACE_ARRAY_MASK]
	and	x10, x10, x12
	lsl	x10, x10, #ENTRY_SHIFT
	ldr	x12, [x14, #TRACE_ARRAY_ENTRIES]
	add	x10, x10, x12
	str	xzr, [x10, #TRACE_ENTRY_SEQ]
	dmb	ishst
	str	x13, [x10, #TRACE_ENTRY_IP]
	str	x1, [x10, #TRACE_ENTRY_PARENT_IP]
	mrs	x9, tpidr_el1
	ldr	x12, [x9, #PCPU_CURRENT_TASK]
	ldr	x12, [x12, #TASK_PID]
	str	x12, [x10, #TRACE_ENTRY_PID]
	ldr	x12, [x9, #PCPU_CPU_NUMBER]
	str	x12, [x10, #TRACE_ENTRY_CPU]
	mrs	x12, daif
	lsr	x12, x12, #DAIF_I_SHIFT
	and	x12, x12, #0x1
	str	x12, [x10, #TRACE_ENTRY_IRQS_OFF]
	ldr	x12, [x9, #PCPU_NEED_RESCHED]
	str	x12, [x10, #TRACE_ENTRY_NEED_RESCHED]
	ldr	w12, [x9, #PCPU_PREEMPT_COUNT]
	sub	x12, x12, #PREEMPT_OFFSET		// ours
	str	x12, [x10, #TRACE_ENTRY_PREEMPT_COUNT]
	dmb	ishst
	str	x11, [x10, #TRACE_ENTRY_SEQ]		// whole
.Lunlock:
	bl	ftrace_test_recursion_unlock
.Lno_bit:
	ldp	x29, x30, [sp], #0x10
.Lout:
	ret
