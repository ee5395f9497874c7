/*
 * kprobe_ftrace_handler (arm64): a kprobe at a function's entry, by ftrace
 *
 * reached   as op.func, by the BL of a trampoline or the BLR of ftrace_ops_list_func
 * in        x0   ip          x1, x2   not used          x3   fregs, a full pt_regs
 * out       pt_regs.pc is as it was, whatever another handler has written there; but the pre handler's
 *           own if that returned other than 0
 * clobbers  x0-x17, nzcv
 * stack     0x30 bytes with a frame record
 * ordering  see get_kprobe
 * linux     none: arm64 has no kprobes by ftrace (6.1); as kprobe_ftrace_handler of arch/riscv and others
 */
	.set	MCOUNT_INSN_SIZE, 0x4
	.set	KPROBE_OFF, KPROBE_FLAG_GONE | KPROBE_FLAG_DISABLED

	.balign	0x8
	.global	kprobe_ftrace_handler
kprobe_ftrace_handler:
	hint	#0x22				// BTI C: also reached by BLR
	stp	x29, x30, [sp, #-0x30]!
	mov	x29, sp
	stp	x19, x20, [sp, #0x10]
	stp	x21, x22, [sp, #0x20]
	mov	x19, x3				// regs
	mov	x20, x0				// ip
	bl	ftrace_test_recursion_trylock
	cbz	x0, .Lout
	mov	x21, x0
	mov	x0, x20
	bl	get_kprobe
	cbz	x0, .Lunlock			// another's site, or gone meanwhile
	mov	x22, x0
	ldr	x9, [x22, #KPROBE_FLAGS]
	tst	x9, #KPROBE_OFF
	b.ne	.Lunlock
	mrs	x9, tpidr_el1
	ldr	x10, [x9, #PCPU_CURRENT_KPROBE]
	cbnz	x10, .Lmissed
	str	x22, [x9, #PCPU_CURRENT_KPROBE]
	ldr	x10, [x19, #PTREGS_PC]
	str	x20, [x19, #PTREGS_PC]		// the probed instruction: what pre handlers expect
	mov	x20, x10			// where the call is to go
	ldr	x16, [x22, #KPROBE_PRE_HANDLER]
	cbz	x16, .Lstep
	mov	x0, x22
	mov	x1, x19
	blr	x16
	cbnz	w0, .Ldone			// it says where to go on
.Lstep:
	ldr	x9, [x22, #KPROBE_ADDR]		// the site's instruction is a NOP as far as kprobes know
	add	x9, x9, #MCOUNT_INSN_SIZE
	str	x9, [x19, #PTREGS_PC]
	ldr	x16, [x22, #KPROBE_POST_HANDLER]
	cbz	x16, .Lrestore
	mov	x0, x22
	mov	x1, x19
	mov	x2, xzr
	blr	x16
.Lrestore:
	str	x20, [x19, #PTREGS_PC]		// livepatch may have been here first
.Ldone:
	mrs	x9, tpidr_el1
	str	xzr, [x9, #PCPU_CURRENT_KPROBE]
.Lunlock:
	mov	x0, x21
	bl	ftrace_test_recursion_unlock
.Lout:
	ldp	x19, x20, [sp, #0x10]
	ldp	x21, x22, [sp, #0x20]
	ldp	x29, x30, [sp], #0x30
	ret
.Lmissed:
	add	x9, x22, #KPROBE_NMISSED
.Lagain:
	ldxr	x10, [x9]
	add	x10, x10, #0x1
	stxr	w11, x10, [x9]
	cbnz	w11, .Lagain
	b	.Lunlock
