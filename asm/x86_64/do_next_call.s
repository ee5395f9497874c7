/*
 * do_next_call(): the call that current's cursor points at, then one further
 *
 * reached   call from worker and vector_syscall
 * in        nothing
 * out       current.work_cursor at the next entry; outside the table it goes back to the first
 * clobbers  what a C function may
 * stack     0x18 bytes
 * ordering  none
 * linux     none
 */
	.global	do_next_call
do_next_call:
	push	rbp
	mov	rbp, rsp
	push	rbx
	sub	rsp, 0x8			# calls want 16-byte alignment
	rdgsbase	rax
	mov	rbx, [rax + PCPU_CURRENT_TASK]
	mov	rdi, [rbx + TASK_WORK_CURSOR]
	mov	rax, rdi
	mov	rcx, [rbx + TASK_WORK_END]
	sub	rax, [rbx + TASK_WORK]
	sub	rcx, [rbx + TASK_WORK]
	cmp	rax, rcx			# unsigned: below the table is outside it, too
	jb	.Linside
	mov	rdi, [rbx + TASK_WORK]		# wrapped, or the table was changed under us
.Linside:
	lea	rax, [rdi + CALL_SIZE]
	mov	[rbx + TASK_WORK_CURSOR], rax
	call	do_one_call
	add	rsp, 0x8
	pop	rbx
	pop	rbp
	ret
