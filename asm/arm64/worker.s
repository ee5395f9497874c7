/*
 * worker (arm64): kernel thread that makes the calls of its table for ever
 *
 * reached   from ret_from_fork
 * in        nothing: the table is in current
 * out       never
 * clobbers  everything
 * stack     0x10 bytes, a frame record
 * ordering  none
 * linux     cond_resched_tasks_rcu_qs, what a kthread that never sleeps calls in its loop
 */
	.balign	0x8
	.global	worker
worker:
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
.Lagain:
	bl	do_next_call
	mrs	x9, tpidr_el1
	ldr	x9, [x9, #PCPU_CURRENT_TASK]
	ldr	x10, [x9, #TASK_NVCSW]		// RCU tasks counts it: nothing is held here
	add	x10, x10, #0x1
	str	x10, [x9, #TASK_NVCSW]
	bl	cond_resched
	b	.Lagain
