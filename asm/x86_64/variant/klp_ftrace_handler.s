/*
 * klp_ftrace_handler(ip, parent_ip, fops, fregs), of the image traced-helper: first calls a helper
 * that may be traced, or patched, itself
 *
 * reached   call at ftrace_call or ftrace_regs_call, in a per-ops copy of the trampoline, or
 *           from ftrace_ops_list_func
 * in        rdi ip    rsi parent_ip    rdx fops, in a klp_ops    rcx fregs
 * out       PTREGS_IP of fregs: new_func of the chosen klp_func; untouched for the original
 * clobbers  what a C function may
 * stack     0x28 bytes
 * ordering  as in the one of "mini"
 * linux     none: what 13f3ea9a2c82 guards against. A call that finds no recursion bit free comes
 *           from the helper: it is sent to its version without asking the helper again. Linux
 *           warns and lets the original run, for there the handler calls no helper on purpose
 */
	.set	STACK_OF_FOPS, KLP_OPS_FUNC_STACK_NEXT - KLP_OPS_FOPS	# container_of, and the list head in it
	.global	klp_ftrace_handler
klp_ftrace_handler:
	push	rbp
	mov	rbp, rsp
	push	rbx
	push	r12
	push	r13
	sub	rsp, 0x8			# calls want 16-byte alignment
	mov	rbx, rdx
	mov	r12, rcx
	call	ftrace_test_recursion_trylock
	mov	r13d, eax
	test	eax, eax
	jz	.Lchoose			# the helper has led back here
	xor	edi, edi
	call	mini_leaf			# the helper
.Lchoose:
	lea	r10, [rbx + STACK_OF_FOPS]	# &ops->func_stack
	mov	r11, [r10 + LIST_NEXT]		# newest, under RCU
	cmp	r11, r10
	je	.Lempty
	sub	r11, KLP_FUNC_STACK_NODE_NEXT	# r11 is a klp_func from here on
						# smp_rmb no. 1: list head before func.transition; pairs with
						# the smp_wmb of __klp_enable_patch
	cmp	byte ptr [r11 + KLP_FUNC_TRANSITION], 0x0
	jne	.Lin_transition
.Lchosen:
	cmp	byte ptr [r11 + KLP_FUNC_NOP], 0x0
	jne	.Lran_nop
	mov	rax, [r11 + KLP_FUNC_NEW_FUNC]
	mov	[r12 + PTREGS_IP], rax
.Lunlock:
	mov	edi, r13d
	test	edi, edi
	jz	.Lreturn			# it is the outer call's
	call	ftrace_test_recursion_unlock
.Lreturn:
	add	rsp, 0x8
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret
	.global	klp_in_transition
klp_in_transition:
.Lin_transition:
						# smp_rmb no. 2: func.transition before patch_state; pairs
						# with the smp_wmb of klp_init_transition
	rdgsbase	r8
	mov	r9, [r8 + PCPU_CURRENT_TASK]
	mov	rax, [r9 + TASK_PATCH_STATE]
	cmp	rax, KLP_IDLE
	je	.Lidle
	cmp	rax, KLP_UNPATCHED
	jne	.Lchosen
	mov	r11, [r11 + KLP_FUNC_STACK_NODE_NEXT]	# the version before
	cmp	r11, r10
	je	.Lunlock			# the original, by leaving ip alone
	sub	r11, KLP_FUNC_STACK_NODE_NEXT
	jmp	.Lchosen
	.global	klp_ran_nop
klp_ran_nop:
.Lran_nop:
	jmp	.Lunlock			# writing the original's address would come back here for ever
	.global	klp_no_recursion_bit
klp_no_recursion_bit:
	jmp	.Lunlock			# never reached: every call is sent somewhere
.Lempty:
	.global	__warn_klp_empty_stack
__warn_klp_empty_stack:
	ud2					# removal waits for a grace period: must not be seen
	jmp	.Lunlock
.Lidle:
	.global	__warn_klp_idle_state
__warn_klp_idle_state:
	ud2					# in transition every task has a state
	jmp	.Lchosen
