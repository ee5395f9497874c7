/*
 * klp_update_patch_state(task): bring a task to the target state if it is asked to
 *
 * reached   call from exit_to_user_mode and cpu_idle_loop, interrupts off: no preemption, as
 *           klp_synchronize_transition() wants it
 * in        rdi  task
 * out       TIF_PATCH_PENDING clear
 * clobbers  rax, flags
 * stack     none
 * ordering  the locked btr is a full barrier: flag before klp_target_state, pairs with the
 *           smp_wmb between target and flag in klp_init_transition and klp_reverse_transition;
 *           and flag before later func.transition loads of klp_ftrace_handler
 * linux     kernel/livepatch/transition.c klp_update_patch_state
 */
	.global	klp_update_patch_state
klp_update_patch_state:
	lock btr	qword ptr [rdi + TASK_FLAGS], TIF_PATCH_PENDING
	jnc	.Lnot_pending
	mov	eax, klp_target_state
	mov	rax, [rax]
	mov	[rdi + TASK_PATCH_STATE], rax
.Lnot_pending:
	ret
