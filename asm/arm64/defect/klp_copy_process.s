/*
 * klp_copy_process (arm64), as it was: a child takes its parent's patch_state, and no flag
 *
 * reached   by BL from kernel_clone, tasklist_lock held, interrupts masked
 * in        x0   child
 * out       its patch_state is current's; TIF_PATCH_PENDING is what dup_task_struct copied, perhaps
 *           before a transition began or current was switched
 * clobbers  x9, x10
 * stack     none
 * ordering  as in the right one
 * linux     klp_copy_process in kernel/livepatch/transition.c, before 747f7a290117
 */
	.balign	0x8
	.global	klp_copy_process
klp_copy_process:
	mrs	x9, tpidr_el1
	ldr	x9, [x9, #PCPU_CURRENT_TASK]
	ldr	x10, [x9, #TASK_PATCH_STATE]
	str	x10, [x0, #TASK_PATCH_STATE]
	ret
