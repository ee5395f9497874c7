/*
 * klp_driver(): kernel thread that plays installations
 *
 * reached   call from ret_from_fork
 * in        nothing
 * out       does not return
 * clobbers  everything
 * stack     0x18 bytes
 * ordering  the gate is looked at by the pick in __schedule, after the state is set, so a
 *           gate opened meanwhile is not missed
 * linux     none: the process that writes to /sys/kernel/livepatch, and its workqueue
 */
	.set	STEP_AGAIN, 0x0
	.set	STEP_NOT_READY, 0x1
	.set	STEP_CALL, 0x3
	.set	STEP_SLEEP, 0x4
	.global	klp_driver
klp_driver:
	push	rbp
	mov	rbp, rsp
	push	rbx
	sub	rsp, 0x8			# calls want 16-byte alignment
	rdgsbase	rax
	mov	rbx, [rax + PCPU_CURRENT_TASK]
.Lstep:
	call	klpemu_step
	cmp	eax, STEP_AGAIN
	je	.Lstep
	cmp	eax, STEP_NOT_READY
	je	.Lyield				# stays runnable
	cmp	eax, STEP_CALL
	je	.Lcall
	cmp	eax, STEP_SLEEP
	je	.Lsleep
	mov	eax, klp_driver_gate
	mov	[rbx + TASK_GATE], rax		# before the state: preempted in between, the gate is known
	mov	qword ptr [rbx + TASK_STATE], TASK_ON_GATE
.Lyield:
	call	schedule
	jmp	.Lstep
.Lsleep:
	mov	qword ptr [rbx + TASK_STATE], TASK_TIMED	# until wake_at, which the machine has set
	jmp	.Lyield
.Lcall:
	mov	rdi, [rbx + TASK_WORK]		# one call, which the machine has filled in
	call	do_one_call
	jmp	.Lstep
