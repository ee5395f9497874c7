/*
 * kernel_clone(rounds, user_pc): make a child of current on this CPU, a user task
 *
 * reached   call, interrupts on, preempt_count 0
 * in        edi  how much there is to copy: rounds of 0x20 words of the user stack, each of
 *                which may give way to other tasks, as allocations of copy_process do
 *           esi  where the child starts in user text
 * out       eax  the child's pid; -EAGAIN if every spare task of this CPU is in use
 * clobbers  what a C function may
 * stack     0x30 bytes
 * ordering  tasklist_lock, taken by a locked bts: who walks the tasks on the patching CPU sees
 *           the child with flag and patch_state, or sees the parent's before they are copied.
 *           The store that releases it is the last one: x86 keeps stores in order
 * linux     kernel/fork.c kernel_clone and copy_process; write_lock_irq(&tasklist_lock) there
 */
	.set	MINUS_EAGAIN, 0xfffffff5
	.set	WORDS_OF_ROUND, 0x20
	.set	WORD_SIZE, 0x8
	.global	kernel_clone
kernel_clone:
	push	rbp
	mov	rbp, rsp
	push	rbx
	push	r12
	push	r13
	push	r14
	mov	r13d, edi
	mov	r14d, esi
	rdgsbase	rax
	mov	r12, [rax + PCPU_CURRENT_TASK]
	mov	ecx, first_spare
	mov	rcx, [rcx]
	mov	rbx, r12
	add	qword ptr [rax + PCPU_PREEMPT_COUNT], PREEMPT_OFFSET	# no other fork on this CPU meanwhile
.Lslot:
	mov	rbx, [rbx + TASK_RQ_NEXT]
	cmp	rbx, r12
	je	.Lno_room
	cmp	[rbx + TASK_INDEX], rcx
	jb	.Lslot				# not a spare one
	cmp	qword ptr [rbx + TASK_STATE], TASK_DEAD
	jne	.Lslot
	mov	qword ptr [rbx + TASK_STATE], TASK_NEW	# ours; nobody runs it or lists it
	sub	qword ptr [rax + PCPU_PREEMPT_COUNT], PREEMPT_OFFSET
	mov	[rbx + TASK_USER_PC], r14
	mov	rdi, rbx
	call	dup_task_struct
.Lround:
	test	r13d, r13d
	jz	.Lcopied
	dec	r13d
	mov	rsi, [r12 + TASK_USER_SP]
	mov	rdi, [rbx + TASK_USER_SP]
	mov	ecx, WORDS_OF_ROUND
.Lword:
	sub	rsi, WORD_SIZE
	sub	rdi, WORD_SIZE
	mov	rax, [rsi]
	mov	[rdi], rax
	dec	ecx
	jnz	.Lword
	call	cond_resched			# current may be switched to another patch state here
	jmp	.Lround
.Lcopied:
	mov	rdi, rbx
	call	copy_thread
	pushfq
	sub	rsp, WORD_SIZE			# calls want 16-byte alignment
	cli
	mov	ecx, tasklist_lock
.Llock:
	lock bts	qword ptr [rcx], 0x0
	jc	.Llock
	mov	ecx, last_pid
	mov	rax, [rcx]
	inc	rax
	mov	[rcx], rax
	mov	[rbx + TASK_PID], rax
	mov	rdi, rbx
	call	klp_copy_process
	mov	qword ptr [rbx + TASK_STATE], TASK_RUNNING	# from here on it is one of the tasks
	mov	ecx, tasklist_lock
	mov	qword ptr [rcx], 0x0
	rdgsbase	rax
	mov	qword ptr [rax + PCPU_NEED_RESCHED], 0x1	# wake_up_new_task
	add	rsp, WORD_SIZE
	popfq
	mov	rax, [rbx + TASK_PID]
.Lout:
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret
.Lno_room:
	sub	qword ptr [rax + PCPU_PREEMPT_COUNT], PREEMPT_OFFSET
	mov	eax, MINUS_EAGAIN
	jmp	.Lout
