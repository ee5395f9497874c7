/*
 * await_request(): sleep until somebody has left a request for current, and take it
 *
 * reached   call
 * in        nothing
 * out       current.request 0
 * clobbers  what a C function may
 * stack     0x18 bytes
 * ordering  the request is looked at by the pick in __schedule, after the state is set
 * linux     none: a process that reads its next command from a pipe
 */
	.global	await_request
await_request:
	push	rbp
	mov	rbp, rsp
	push	rbx
	sub	rsp, 0x8			# calls want 16-byte alignment
	rdgsbase	rax
	mov	rbx, [rax + PCPU_CURRENT_TASK]
.Llook:
	cmp	qword ptr [rbx + TASK_REQUEST], 0x0
	jne	.Ltake
	lea	rax, [rbx + TASK_REQUEST]
	mov	[rbx + TASK_GATE], rax		# before the state: preempted in between, the gate is known
	mov	qword ptr [rbx + TASK_STATE], TASK_ON_GATE
	call	schedule
	jmp	.Llook
.Ltake:
	mov	qword ptr [rbx + TASK_REQUEST], 0x0
	add	rsp, 0x8
	pop	rbx
	pop	rbp
	ret
