/*
 * klp_copy_process(child): a child begins on its parent's side of a transition
 *
 * reached   call from kernel_clone, tasklist_lock held, interrupts off: current stays as it is
 * in        rdi  child
 * out       its TIF_PATCH_PENDING and patch_state are current's, both as they are at this moment
 * clobbers  rax, rcx, flags
 * stack     none
 * ordering  tasklist_lock keeps klp_init_transition and its like out; see kernel_clone
 * linux     kernel/livepatch/transition.c klp_copy_process, with 747f7a290117: before, the flag
 *           was what dup_task_struct had copied long before
 */
	.global	klp_copy_process
klp_copy_process:
	rdgsbase	rax
	mov	rax, [rax + PCPU_CURRENT_TASK]
	btr	qword ptr [rdi + TASK_FLAGS], TIF_PATCH_PENDING
	bt	qword ptr [rax + TASK_FLAGS], TIF_PATCH_PENDING
	jnc	.Lnot_pending
	bts	qword ptr [rdi + TASK_FLAGS], TIF_PATCH_PENDING
.Lnot_pending:
	mov	rcx, [rax + TASK_PATCH_STATE]
	mov	[rdi + TASK_PATCH_STATE], rcx
	ret
