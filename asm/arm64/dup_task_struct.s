/*
 * dup_task_struct (arm64): a child's task_struct, as current's is now
 *
 * reached   by BL from kernel_clone
 * in        x0   child, a spare task
 * out       its name, flags and patch_state are current's, its counters 0, its calls child_work's
 * clobbers  x9-x11
 * stack     none
 * ordering  none: TIF_PATCH_PENDING and patch_state may change behind us, and not together;
 *           klp_copy_process is what puts them right
 * linux     dup_task_struct in kernel/fork.c, and setup_thread_stack, which copies thread_info
 */
	.set	TASK_COMM_END, TASK_COMM + 0x8
	.balign	0x8
	.global	dup_task_struct
dup_task_struct:
	mrs	x9, tpidr_el1
	ldr	x9, [x9, #PCPU_CURRENT_TASK]
	ldr	x10, [x9, #TASK_FLAGS]		// thread_info, TIF_PATCH_PENDING in it
	str	x10, [x0, #TASK_FLAGS]
	ldr	x10, [x9, #TASK_PATCH_STATE]
	str	x10, [x0, #TASK_PATCH_STATE]
	ldr	x10, [x9, #TASK_COMM]
	str	x10, [x0, #TASK_COMM]
	ldr	x10, [x9, #TASK_COMM_END]
	str	x10, [x0, #TASK_COMM_END]
	str	xzr, [x0, #TASK_TRACE_RECURSION]
	str	xzr, [x0, #TASK_WAKE_AT]
	str	xzr, [x0, #TASK_NVCSW]
	str	xzr, [x0, #TASK_NIVCSW]
	str	xzr, [x0, #TASK_PF_FLAGS]	// a user task
	str	xzr, [x0, #TASK_CALLS_DONE]
	str	xzr, [x0, #TASK_GATE]
	str	xzr, [x0, #TASK_REQUEST]
	movz	x10, #child_work_end_LO16
	movk	x10, #child_work_end_HI16, lsl #0x10
	ldr	x11, [x10]
	str	x11, [x0, #TASK_WORK_END]
	movz	x10, #child_work_LO16
	movk	x10, #child_work_HI16, lsl #0x10
	ldr	x11, [x10]
	str	x11, [x0, #TASK_WORK]
	str	x11, [x0, #TASK_WORK_CURSOR]
	ret
