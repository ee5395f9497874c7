/*
 * lp_mini_sleep(ticks): replacement of mini_sleep
 *
 * reached   ret of a trampoline, in place of mini_sleep
 * in        edi  ticks
 * out       eax  ticks; upper half  KLP_VERSION
 * clobbers  what a C function may
 * stack     0x28 bytes
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_mini_sleep
lp_mini_sleep:
	.global	__mcount_loc_lp_mini_sleep
__mcount_loc_lp_mini_sleep:
	call	__fentry__
	push	rbp
	mov	rbp, rsp
	push	rbx
	push	r12
	push	r13
	sub	rsp, 0x8			# calls want 16-byte alignment
	mov	r13d, edi
	rdgsbase	rbx			# for good: tasks never change CPU
	mov	r12, [rbx + PCPU_CURRENT_TASK]
	mov	rax, [rbx + PCPU_JIFFIES]
	add	rax, r13
	mov	[r12 + TASK_WAKE_AT], rax	# before the state: preempted in between, the time is known
.Lsleep:
	mov	qword ptr [r12 + TASK_STATE], TASK_TIMED
	call	schedule
	mov	rax, [rbx + PCPU_JIFFIES]
	cmp	rax, [r12 + TASK_WAKE_AT]
	jb	.Lsleep				# woken early: preempted between the state and schedule
	mov	eax, r13d
	mov	ecx, KLP_VERSION		# the version signs the upper half
	shl	rcx, 0x20
	or	rax, rcx
	add	rsp, 0x8
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret
