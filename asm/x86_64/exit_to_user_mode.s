/*
 * exit_to_user_mode(): the last work before user text runs again
 *
 * reached   call from vector_syscall, interrupt_common, ret_to_user_first
 * in        nothing
 * out       interrupts off, and no work left when they went off
 * clobbers  what a C function may
 * stack     0x18 bytes
 * ordering  klp_update_patch_state has the barrier; interrupts off keep the answer "no work"
 *           true up to the iretq
 * linux     kernel/entry/common.c exit_to_user_mode_prepare and its loop; interrupts stay
 *           off here while the work is done; arch_do_signal_or_restart in
 *           arch/x86/kernel/signal.c, of which this has the way without a signal
 */
	.set	MINUS_ERESTARTSYS, 0xfffffe00
	.global	exit_to_user_mode
exit_to_user_mode:
	push	rbp
	mov	rbp, rsp
	push	rbx
	push	r12
	cli
	rdgsbase	rbx
	mov	r12, [rbx + PCPU_CURRENT_TASK]
.Lagain:
	bt	qword ptr [r12 + TASK_FLAGS], TIF_PATCH_PENDING
	jnc	.Lpatched
	mov	rdi, r12
	call	klp_update_patch_state		# the kernel stack is empty but for this exit
.Lpatched:
	bt	qword ptr [r12 + TASK_FLAGS], TIF_SIGPENDING
	jnc	.Lno_signal
	lock btr	qword ptr [r12 + TASK_FLAGS], TIF_SIGPENDING	# a fake one: it has done its work
	mov	rax, [r12 + TASK_WORK_CURSOR]
	cmp	rax, [r12 + TASK_WORK]
	je	.Lno_signal			# it has made no call yet
	sub	rax, CALL_SIZE
	mov	ecx, MINUS_ERESTARTSYS
	cmp	[rax + CALL_RESULT], ecx
	jne	.Lno_signal
	mov	[r12 + TASK_WORK_CURSOR], rax	# no signal is delivered, so it makes the call again
	dec	qword ptr [r12 + TASK_CALLS_DONE]
.Lno_signal:
	cmp	qword ptr [rbx + PCPU_NEED_RESCHED], 0x0
	je	.Ldone
	call	schedule
	jmp	.Lagain				# away for long: the flag may be set by now
.Ldone:
	inc	qword ptr [rbx + PCPU_RCU_QS]	# user text holds no reference
	inc	qword ptr [r12 + TASK_NVCSW]	# nor does the task: RCU tasks counts it
	pop	r12
	pop	rbx
	pop	rbp
	ret
