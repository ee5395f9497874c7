/*
 * klp_ftrace_handler(ip, parent_ip, fops, fregs): send a call to the version it must see
 *
 * reached   call at ftrace_call or ftrace_regs_call, in a per-ops copy of the trampoline, or
 *           from ftrace_ops_list_func
 * in        rdi ip    rsi parent_ip    rdx fops, in a klp_ops    rcx fregs
 * out       PTREGS_IP of fregs: new_func of the chosen klp_func; untouched for the original
 * clobbers  rax, rsi, r8 to r11, flags
 * stack     none
 * ordering  smp_rmb no. 1 and no. 2 below; x86 keeps loads in order, so both are no code
 * linux     kernel/livepatch/patch.c klp_ftrace_handler; include/linux/trace_recursion.h
 *
 * trace_recursion holds one bit per context, bits of this handler only. preempt_count up
 * keeps grace periods waiting until the chosen klp_func is no longer looked at.
 */
	.set	KLP_NMI, 0x1 << TRACE_NMI_BIT
	.set	KLP_IRQ, 0x1 << TRACE_IRQ_BIT
	.set	KLP_NORMAL, 0x1 << TRACE_NORMAL_BIT
	.set	KLP_TRANSITION, 0x1 << TRACE_TRANSITION_BIT
	.set	HARDIRQ_MASK, HARDIRQ_OFFSET * 0xf
	.set	NMI_MASK, NMI_OFFSET * 0xf
	.set	STACK_OF_FOPS, KLP_OPS_FUNC_STACK_NEXT - KLP_OPS_FOPS	# container_of, and the list head in it
	.global	klp_ftrace_handler
klp_ftrace_handler:
	rdgsbase	r8
	mov	r9, [r8 + PCPU_CURRENT_TASK]
	mov	rax, [r8 + PCPU_PREEMPT_COUNT]
	mov	esi, KLP_NMI
	test	eax, NMI_MASK
	jnz	.Lcontext
	mov	esi, KLP_IRQ
	test	eax, HARDIRQ_MASK
	jnz	.Lcontext
	mov	esi, KLP_NORMAL
.Lcontext:
	mov	rax, [r9 + TASK_TRACE_RECURSION]
	test	rax, rsi
	jnz	.Lrecursion
.Ltake:
	or	rax, rsi
	mov	[r9 + TASK_TRACE_RECURSION], rax	# an interrupt leaves the word as it found it
	add	qword ptr [r8 + PCPU_PREEMPT_COUNT], PREEMPT_OFFSET
	lea	r10, [rdx + STACK_OF_FOPS]	# &ops->func_stack
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
	mov	[rcx + PTREGS_IP], rax
.Lunlock:
	sub	qword ptr [r8 + PCPU_PREEMPT_COUNT], PREEMPT_OFFSET
	not	rsi
	and	[r9 + TASK_TRACE_RECURSION], rsi
.Lreturn:
	ret
	.global	klp_in_transition
klp_in_transition:
.Lin_transition:
						# smp_rmb no. 2: func.transition before patch_state; pairs
						# with the smp_wmb of klp_init_transition
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
.Lrecursion:
	mov	esi, KLP_TRANSITION		# preempt_count may lag behind the context: allowed once
	test	rax, rsi
	jnz	.Lno_bit
	jmp	.Ltake
	.global	klp_no_recursion_bit
klp_no_recursion_bit:
.Lno_bit:
	nop					# landing and WARN are two addresses
	.global	__warn_klp_no_recursion_bit
__warn_klp_no_recursion_bit:
	ud2
	jmp	.Lreturn
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
