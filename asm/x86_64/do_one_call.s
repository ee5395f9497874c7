/*
 * do_one_call(entry): make one call and see that it kept every promise of the psABI
 *
 * reached   call from do_next_call
 * in        rdi  call_entry
 * out       current.calls_done + 1; if something was wrong, percpu.bad_results + 1 and a WARN
 * clobbers  what a C function may
 * stack     0x58 bytes; and the lowest word of current's stack keeps the rsp that must come
 *           back, the one place that no register of the callee leads to
 * ordering  none
 * linux     none: the caller that a test wants
 *
 * The canary of rbp is this frame's address, known and unique, so that an unwinder can walk
 * through. All are compared before any of them is believed.
 */
	.set	CANARY_RBX, 0x5ca1ab1e0ddba11b
	.set	CANARY_R12, 0x5ca1ab1e0ddba112
	.set	CANARY_R13, 0x5ca1ab1e0ddba113
	.set	CANARY_R14, 0x5ca1ab1e0ddba114
	.set	CANARY_R15, 0x5ca1ab1e0ddba115
	.set	CALL_ARG1, CALL_ARGS
	.set	CALL_ARG2, CALL_ARGS + 0x8
	.set	CALL_ARG3, CALL_ARGS + 0x10
	.set	CALL_ARG4, CALL_ARGS + 0x18
	.set	CALL_ARG5, CALL_ARGS + 0x20
	.set	CALL_ARG6, CALL_ARGS + 0x28
	.set	CALL_ARG7, CALL_ARGS + 0x30
	.set	CALL_ARG8, CALL_ARGS + 0x38
	.set	CALL_ARG9, CALL_ARGS + 0x40
	.set	CALL_ARG10, CALL_ARGS + 0x48
	.set	FRAME_ENTRY, 0x20		# behind four stack arguments
	.set	FRAME_SAVED, 0x28		# behind the entry: r15 to rbx
	.set	FRAME_BP, 0x50			# behind those: the frame record
	.global	do_one_call
do_one_call:
	push	rbp
	mov	rbp, rsp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdi				# FRAME_ENTRY
	push	qword ptr [rdi + CALL_ARG10]
	push	qword ptr [rdi + CALL_ARG9]
	push	qword ptr [rdi + CALL_ARG8]
	push	qword ptr [rdi + CALL_ARG7]
	rdgsbase	rax
	mov	rax, [rax + PCPU_CURRENT_TASK]
	mov	rax, [rax + TASK_STACK]
	mov	[rax], rsp			# what rsp must be when the call returns
	movabs	rbx, CANARY_RBX
	movabs	r12, CANARY_R12
	movabs	r13, CANARY_R13
	movabs	r14, CANARY_R14
	movabs	r15, CANARY_R15
	mov	r10, [rdi + CALL_FN]
	mov	rsi, [rdi + CALL_ARG2]
	mov	rdx, [rdi + CALL_ARG3]
	mov	rcx, [rdi + CALL_ARG4]
	mov	r8, [rdi + CALL_ARG5]
	mov	r9, [rdi + CALL_ARG6]
	mov	rdi, [rdi + CALL_ARG1]
	xor	eax, eax			# no vector registers, as before a variadic call
	call	r10
	rdgsbase	rcx
	mov	rdx, [rcx + PCPU_CURRENT_TASK]
	mov	rsi, [rdx + TASK_STACK]
	mov	rsi, [rsi]
	mov	r8, rsp				# r8 collects every differing bit
	xor	r8, rsi
	mov	rsp, rsi			# right from here on, whatever came back
	lea	rsi, [rsi + FRAME_BP]
	xor	rbp, rsi
	or	r8, rbp
	mov	rbp, rsi
	movabs	rsi, CANARY_RBX
	xor	rbx, rsi
	or	r8, rbx
	movabs	rsi, CANARY_R12
	xor	r12, rsi
	or	r8, r12
	movabs	rsi, CANARY_R13
	xor	r13, rsi
	or	r8, r13
	movabs	rsi, CANARY_R14
	xor	r14, rsi
	or	r8, r14
	movabs	rsi, CANARY_R15
	xor	r15, rsi
	or	r8, r15
	mov	rsi, [rsp + FRAME_ENTRY]
	mov	[rsi + CALL_RESULT], rax
	cmp	qword ptr [rsi + CALL_FLAGS], CALL_ANY_RESULT
	je	.Lany
	xor	eax, dword ptr [rsi + CALL_EXPECTED]	# 32 bits: a replacement signs the upper half
	or	r8, rax
.Lany:
	test	r8, r8
	jnz	.Lbad
.Lcounted:
	inc	qword ptr [rdx + TASK_CALLS_DONE]
	add	rsp, FRAME_SAVED
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret
.Lbad:
	inc	qword ptr [rcx + PCPU_BAD_RESULTS]
	.global	__warn_bad_result
__warn_bad_result:
	ud2
	jmp	.Lcounted
