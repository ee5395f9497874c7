/*
 * klp_update_patch_state (arm64): bring a task to the target of the running transition
 *
 * reached   by calls from exit_to_user_mode and cpu_idle_loop
 * in        x0   the task: current
 * out       TIF_PATCH_PENDING clear; if it was set, patch_state = klp_target_state
 * clobbers  x9-x14, nzcv
 * stack     none
 * ordering  the test-and-clear is a full barrier (stlxr, dmb ish): klp_target_state and the new
 *           func_stack are read after the flag; pairs with the write barrier between the target's
 *           store (klp_init_transition, klp_reverse_transition) and the flags' (klp_start_transition).
 *           preempt_count is up meanwhile: klp_reverse_transition's grace period waits for us
 * linux     klp_update_patch_state in kernel/livepatch/transition.c
 */
	.balign	0x8
	.global	klp_update_patch_state
klp_update_patch_state:
	mrs	x9, tpidr_el1
	ldr	w10, [x9, #PCPU_PREEMPT_COUNT]
	add	x10, x10, #PREEMPT_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]
	mov	x10, #0x1
	lsl	x10, x10, #TIF_PATCH_PENDING
	add	x11, x0, #TASK_FLAGS
.Ltest_and_clear:
	ldxr	x12, [x11]
	bic	x13, x12, x10
	stlxr	w14, x13, [x11]
	cbnz	w14, .Ltest_and_clear		// another CPU wrote the flags in between
	dmb	ish				// full barrier: see ordering
	tst	x12, x10
	b.eq	.Lwas_clear			// reversed, or forced: the state is right already
	movz	x12, #klp_target_state_LO16
	movk	x12, #klp_target_state_HI16, lsl #0x10
	ldr	x12, [x12]
	str	x12, [x0, #TASK_PATCH_STATE]
.Lwas_clear:
	ldr	x10, [x9, #PCPU_PREEMPT_COUNT]
	sub	x10, x10, #PREEMPT_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]	// the count alone
	ldr	x10, [x9, #PCPU_PREEMPT_COUNT]	// whether to schedule is not looked at
	ret
