/*
 * worker(): kernel thread that calls what its table says, for ever
 *
 * reached   call from ret_from_fork
 * in        nothing
 * out       does not return
 * clobbers  everything
 * stack     a frame-pointer pair
 * ordering  none
 * linux     cond_resched_tasks_rcu_qs, what a kthread that never sleeps calls in its loop
 */
	.global	worker
worker:
	push	rbp
	mov	rbp, rsp
.Lloop:
	call	do_next_call
	rdgsbase rax
	mov	rax, [rax + PCPU_CURRENT_TASK]
	inc	qword ptr [rax + TASK_NVCSW]	# RCU tasks counts it: nothing is held here
	call	cond_resched
	jmp	.Lloop
