/*
 * exit_to_user_mode (arm64): work that is due before a task sees user text again
 *
 * reached   by calls from vector_syscall, irq_exit and ret_to_user_first
 * in        pt_regs of the user text on the kernel stack
 * out       interrupts masked, no work left; they stay masked until eret, so none can come up
 * clobbers  x0-x17, nzcv
 * stack     0x10 bytes, a frame record
 * ordering  dmb ish on both sides of rcu_qs: the kernel's loads are over before the quiescent state
 *           shows; pairs with the barriers around the patching CPU's reads of rcu_qs (grace period)
 * linux     prepare_exit_to_user_mode, do_notify_resume in arch/arm64/kernel/; there the work is
 *           done with interrupts on, here with interrupts off
 */
	.balign	0x8
	.global	exit_to_user_mode
exit_to_user_mode:
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	msr	daifset, #0x2
.Lagain:
	mrs	x9, tpidr_el1
	ldr	x0, [x9, #PCPU_CURRENT_TASK]
	ldr	x10, [x0, #TASK_FLAGS]
	tbz	x10, #TIF_PATCH_PENDING, .Lpatch_state_is_right
	bl	klp_update_patch_state
	b	.Lagain
.Lpatch_state_is_right:
	tbz	x10, #TIF_SIGPENDING, .Lno_signal
	mov	x13, #0x1			// a fake one: it has done its work
	lsl	x13, x13, #TIF_SIGPENDING
	add	x10, x0, #TASK_FLAGS
.Lclear_signal:
	ldxr	x11, [x10]
	bic	x11, x11, x13
	stxr	w12, x11, [x10]
	cbnz	w12, .Lclear_signal
	ldr	x10, [x0, #TASK_WORK_CURSOR]
	ldr	x11, [x0, #TASK_WORK]
	cmp	x10, x11
	b.eq	.Lno_signal			// it has made no call yet
	sub	x10, x10, #CALL_SIZE
	ldr	w11, [x10, #CALL_RESULT]
	cmn	w11, #0x200			// -ERESTARTSYS
	b.ne	.Lno_signal
	str	x10, [x0, #TASK_WORK_CURSOR]	// no signal is delivered, so it makes the call again
	ldr	x11, [x0, #TASK_CALLS_DONE]
	sub	x11, x11, #0x1
	str	x11, [x0, #TASK_CALLS_DONE]
.Lno_signal:
	ldr	x10, [x9, #PCPU_NEED_RESCHED]
	cbz	x10, .Ldone
	bl	schedule
	b	.Lagain				// others ran: flags may have come up
.Ldone:
	dmb	ish				// before the quiescent state
	ldr	x10, [x9, #PCPU_RCU_QS]
	add	x10, x10, #0x1
	str	x10, [x9, #PCPU_RCU_QS]
	dmb	ish				// after it
	ldr	x10, [x0, #TASK_NVCSW]
	add	x10, x10, #0x1
	str	x10, [x0, #TASK_NVCSW]
	ldp	x29, x30, [sp], #0x10
	ret
