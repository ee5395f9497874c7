/*
 * klp_copy_process (arm64): a child begins on its parent's side of a transition
 *
 * reached   by BL from kernel_clone, tasklist_lock held, interrupts masked: current stays as it is
 * in        x0   child
 * out       its TIF_PATCH_PENDING and patch_state are current's, both as they are at this moment
 * clobbers  x9-x12
 * stack     none
 * ordering  tasklist_lock keeps klp_init_transition and its like out; see kernel_clone
 * linux     klp_copy_process in kernel/livepatch/transition.c, with 747f7a290117: before, the flag
 *           was what dup_task_struct had copied long before
 */
	.balign	0x8
	.global	klp_copy_process
klp_copy_process:
	mrs	x9, tpidr_el1
	ldr	x9, [x9, #PCPU_CURRENT_TASK]
	mov	x10, #0x1
	lsl	x10, x10, #TIF_PATCH_PENDING
	ldr	x11, [x9, #TASK_FLAGS]
	and	x11, x11, x10
	ldr	x12, [x0, #TASK_FLAGS]
	bic	x12, x12, x10
	orr	x12, x12, x11
	str	x12, [x0, #TASK_FLAGS]
	ldr	x11, [x9, #TASK_PATCH_STATE]
	str	x11, [x0, #TASK_PATCH_STATE]
	ret
