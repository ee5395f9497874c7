/*
 * klp_copy_process(child), as it was: a child takes its parent's patch_state, and no flag
 *
 * reached   call from kernel_clone, tasklist_lock held, interrupts off
 * in        rdi  child
 * out       its patch_state is current's; TIF_PATCH_PENDING is what dup_task_struct copied,
 *           perhaps before a transition began or current was switched
 * clobbers  rax, rcx
 * stack     none
 * ordering  as in the right one
 * linux     kernel/livepatch/transition.c klp_copy_process, before 747f7a290117
 */
	.global	klp_copy_process
klp_copy_process:
	rdgsbase	rax
	mov	rax, [rax + PCPU_CURRENT_TASK]
	mov	rcx, [rax + TASK_PATCH_STATE]
	mov	[rdi + TASK_PATCH_STATE], rcx
	ret
