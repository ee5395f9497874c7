/*
 * cpu_idle_loop (arm64): what the idle task does for ever
 *
 * reached   by jumps: from start_cpu, and from its own end (each one is a landing)
 * in        current is the idle task
 * out       never
 * clobbers  everything
 * stack     none of its own
 * ordering  dmb ish on both sides of rcu_qs: what ran before this quiescent state is over before it
 *           shows, what comes after starts after it; pairs with the barriers around the
 *           patching CPU's reads of rcu_qs (grace period)
 * linux     do_idle, cpu_startup_entry in kernel/sched/idle.c; klp_update_patch_state is called there
 */
	.balign	0x8
	.global	cpu_idle_loop
cpu_idle_loop:
	msr	daifset, #0x2			// an interrupt could switch tasks between load and store of rcu_qs
	mrs	x9, tpidr_el1
	ldr	x0, [x9, #PCPU_CURRENT_TASK]
	ldr	x10, [x0, #TASK_FLAGS]
	tbz	x10, #TIF_PATCH_PENDING, .Lpatch_state_is_right
	bl	klp_update_patch_state
	mrs	x9, tpidr_el1
.Lpatch_state_is_right:
	dmb	ish				// before the quiescent state
	ldr	x10, [x9, #PCPU_RCU_QS]
	add	x10, x10, #0x1
	str	x10, [x9, #PCPU_RCU_QS]
	dmb	ish				// after it
	bl	schedule			// comes back when nothing else can run
	msr	daifclr, #0x2
	wfi					// the engine's run ends here, PC behind it
	b	cpu_idle_loop
