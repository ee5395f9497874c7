/*
 * __schedule(counter): pick the next task of this CPU and switch to it
 *
 * reached   call from schedule, preempt_schedule_irq
 * in        rdi  offset of the context switch counter to use: TASK_NVCSW or TASK_NIVCSW
 * out       returns when the caller runs again; interrupt flag as it was
 * clobbers  what a C function may
 * stack     0x18 bytes, and a __switch_to frame while switched out
 * ordering  none of its own: the ring, the cursor and jiffies belong to this CPU, and a gate
 *           is one word that another CPU sets; it is looked at again at the next pick
 * linux     kernel/sched/core.c __schedule; the pick is ours (one ring, one lap)
 *
 * Tasks never change CPU, so the percpu address and the task stay right across preemption.
 */
	.global	__schedule
__schedule:
	push	rbp
	mov	rbp, rsp
	pushfq					# the caller's interrupt flag
	sub	rsp, 0x8			# calls want 16-byte alignment
	cli
	rdgsbase	r8
	mov	r9, [r8 + PCPU_CURRENT_TASK]
	mov	qword ptr [r8 + PCPU_NEED_RESCHED], 0x0
	inc	qword ptr [r8 + PCPU_RCU_QS]
	inc	qword ptr [r8 + PCPU_SCHED_COUNT]
	mov	rsi, [r8 + PCPU_IDLE_TASK]	# what runs if nobody else can
	mov	rcx, [r8 + PCPU_RQ]
	test	rcx, rcx
	jz	.Lpicked			# a CPU without tasks
	mov	r11, rcx			# the lap ends with the cursor itself
.Lnext:
	mov	rcx, [rcx + TASK_RQ_NEXT]
	mov	rax, [rcx + TASK_STATE]
	cmp	rax, TASK_RUNNING
	je	.Lrunnable
	cmp	rax, TASK_TIMED
	je	.Ltimed
	cmp	rax, TASK_ON_GATE
	je	.Lgate
	cmp	rax, TASK_ON_GATE_INTR
	jne	.Lskip				# dead
	bt	qword ptr [rcx + TASK_FLAGS], TIF_SIGPENDING
	jc	.Lwake
.Lgate:
	mov	rax, [rcx + TASK_GATE]
	cmp	qword ptr [rax], 0x0
	jne	.Lwake
	jmp	.Lskip
.Ltimed:
	mov	rax, [r8 + PCPU_JIFFIES]
	cmp	rax, [rcx + TASK_WAKE_AT]
	jae	.Lwake
.Lskip:
	cmp	rcx, r11
	jne	.Lnext
	jmp	.Lpicked			# once round and nobody: idle
.Lwake:
	mov	qword ptr [rcx + TASK_STATE], TASK_RUNNING
.Lrunnable:
	mov	rsi, rcx
	mov	[r8 + PCPU_RQ], rcx		# the next lap starts behind this task
.Lpicked:
	inc	qword ptr [r9 + rdi]		# also when prev is picked again: it let go of everything
	cmp	rsi, r9
	je	.Lsame
	mov	rdi, r9
	call	__switch_to			# back here when this task is picked again
.Lsame:
	add	rsp, 0x8
	popfq
	pop	rbp
	ret
