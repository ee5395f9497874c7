/*
 * __schedule (arm64): pick the next task of this CPU's ring and switch to it
 *
 * reached   by calls from schedule and preempt_schedule_irq
 * in        x0   offset in task_struct of the counter to raise: TASK_NVCSW or TASK_NIVCSW
 * out       current has been picked again; the interrupt flag is as before
 * clobbers  x0-x17, nzcv
 * stack     0x20 bytes with a frame record, and __switch_to's frame while switched out
 * ordering  dmb ish on both sides of rcu_qs: the old task's loads are over before the quiescent
 *           state shows, the new task's start after it; pairs with the barriers around the patching
 *           CPU's reads of rcu_qs (grace period). ldar of the gate: the woken task sees what was
 *           stored before the gate was opened
 * linux     __schedule, pick_next_task in kernel/sched/core.c; smp_mb__after_spinlock there
 */
	.balign	0x8
	.global	__schedule
__schedule:
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	str	x19, [sp, #0x10]
	mrs	x19, daif			// restored when this task runs again
	msr	daifset, #0x2
	mrs	x9, tpidr_el1
	ldr	x10, [x9, #PCPU_CURRENT_TASK]	// prev
	str	xzr, [x9, #PCPU_NEED_RESCHED]
	dmb	ish				// before the quiescent state
	ldr	x12, [x9, #PCPU_RCU_QS]
	add	x12, x12, #0x1
	str	x12, [x9, #PCPU_RCU_QS]
	dmb	ish				// after it
	ldr	x12, [x9, #PCPU_SCHED_COUNT]
	add	x12, x12, #0x1
	str	x12, [x9, #PCPU_SCHED_COUNT]
	ldr	x12, [x9, #PCPU_RQ]		// the cursor
	cbz	x12, .Lidle			// an empty run queue
	mov	x13, x12
.Lnext_task:
	ldr	x13, [x13, #TASK_RQ_NEXT]
	ldr	x14, [x13, #TASK_STATE]
	cmp	x14, #TASK_RUNNING
	b.eq	.Lpicked
	cmp	x14, #TASK_TIMED
	b.eq	.Ltimed
	cmp	x14, #TASK_ON_GATE
	b.eq	.Lgate
	cmp	x14, #TASK_ON_GATE_INTR
	b.eq	.Lgate_or_signal
.Lnot_runnable:
	cmp	x13, x12
	b.ne	.Lnext_task			// the cursor itself comes last
.Lidle:
	ldr	x13, [x9, #PCPU_IDLE_TASK]	// it never becomes the cursor
	b	.Lcount
.Ltimed:
	ldr	x15, [x13, #TASK_WAKE_AT]
	ldr	x16, [x9, #PCPU_JIFFIES]
	cmp	x15, x16
	b.hi	.Lnot_runnable
	b	.Lwake
.Lgate_or_signal:
	ldr	x15, [x13, #TASK_FLAGS]
	tbnz	x15, #TIF_SIGPENDING, .Lwake
.Lgate:
	ldr	x15, [x13, #TASK_GATE]
	ldar	x15, [x15]
	cbz	x15, .Lnot_runnable
.Lwake:
	mov	x14, #TASK_RUNNING
	str	x14, [x13, #TASK_STATE]
.Lpicked:
	str	x13, [x9, #PCPU_RQ]
.Lcount:
	ldr	x12, [x10, x0]			// also when prev is picked again: it let go of everything
	add	x12, x12, #0x1
	str	x12, [x10, x0]
	cmp	x13, x10
	b.eq	.Lout
	mov	x0, x10
	mov	x1, x13
	bl	__switch_to			// returns when prev is next
.Lout:
	msr	daif, x19
	ldr	x19, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	ret
