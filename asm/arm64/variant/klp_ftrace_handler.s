/*
 * klp_ftrace_handler (arm64), of the image traced-helper: first calls a helper that may be traced,
 * or patched, itself
 *
 * reached   as op.func, by the BL of a trampoline or the BLR of ftrace_ops_list_func
 * in        x0   ip          x1   parent_ip          x2   fops, inside a klp_ops          x3   fregs
 * out       pt_regs.pc = new_func of the chosen entry, or untouched: the original runs
 * clobbers  x0-x17, nzcv
 * stack     0x30 bytes with a frame record
 * ordering  smp_rmb no. 1 and no. 2 as in the one of "mini"
 * linux     none: what 13f3ea9a2c82 guards against. A call that finds no recursion bit free comes
 *           from the helper: it is sent to its version without asking the helper again. Linux
 *           warns and lets the original run, for there the handler calls no helper on purpose
 */
	.balign	0x8
	.global	klp_ftrace_handler
klp_ftrace_handler:
	hint	#0x22				// BTI C: also reached by BLR
	stp	x29, x30, [sp, #-0x30]!
	mov	x29, sp
	stp	x19, x20, [sp, #0x10]
	str	x21, [sp, #0x20]
	mov	x19, x2				// fops
	mov	x20, x3				// fregs
	bl	ftrace_test_recursion_trylock
	mov	x21, x0
	cbz	x0, .Lchoose			// the helper has led back here
	mov	w0, wzr
	bl	mini_leaf			// the helper
.Lchoose:
	sub	x13, x19, #KLP_OPS_FOPS		// container_of(fops, struct klp_ops, fops)
	add	x13, x13, #KLP_OPS_FUNC_STACK_NEXT// the list head
	ldr	x14, [x13, #LIST_NEXT]
	cmp	x14, x13
	b.eq	.Lempty
	sub	x15, x14, #KLP_FUNC_STACK_NODE_NEXT// func: the newest entry
	dmb	ishld				// smp_rmb no. 1, pairs with __klp_enable_patch
	ldrb	w16, [x15, #KLP_FUNC_TRANSITION]
	cbnz	w16, klp_in_transition
.Lchosen:
	ldrb	w16, [x15, #KLP_FUNC_NOP]
	cbnz	w16, klp_ran_nop		// the original's own address would come back here for ever
	ldr	x16, [x15, #KLP_FUNC_NEW_FUNC]
	str	x16, [x20, #PTREGS_PC]
.Lunlock:
	mov	x0, x21
	cbz	x0, .Lreturn			// it is the outer call's
	bl	ftrace_test_recursion_unlock
.Lreturn:
	ldr	x21, [sp, #0x20]
	ldp	x19, x20, [sp, #0x10]
	ldp	x29, x30, [sp], #0x30
	ret
	.global	klp_in_transition
klp_in_transition:
	dmb	ishld				// smp_rmb no. 2, pairs with klp_init_transition
	mrs	x9, tpidr_el1
	ldr	x10, [x9, #PCPU_CURRENT_TASK]
	ldr	x16, [x10, #TASK_PATCH_STATE]
	mov	x17, #KLP_IDLE
	cmp	x16, x17
	b.eq	.Lidle
	cmp	x16, #KLP_UNPATCHED
	b.ne	.Lchosen			// patched: the newest
	ldr	x14, [x15, #KLP_FUNC_STACK_NODE_NEXT]
	sub	x15, x14, #KLP_FUNC_STACK_NODE_NEXT// the next older entry
	cmp	x14, x13
	b.eq	.Lunlock			// there is none: the original
	b	.Lchosen
.Lidle:
	.global	__warn_klp_idle_state
__warn_klp_idle_state:
	brk	#0x800
	b	.Lchosen
	.global	klp_ran_nop
klp_ran_nop:
	b	.Lunlock
.Lempty:
	.global	__warn_klp_empty_stack
__warn_klp_empty_stack:
	brk	#0x800
	b	.Lunlock
	.global	klp_no_recursion_bit
klp_no_recursion_bit:
	b	.Lunlock			// never reached: every call is sent somewhere
