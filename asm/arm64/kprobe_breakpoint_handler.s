/*
 * kprobe_breakpoint_handler (arm64): a breakpoint of a kprobe, or the one behind a copy of its instruction
 *
 * reached   by BL from vector_breakpoint, NMI_OFFSET in preempt_count, interrupts masked
 * in        x0   pt_regs, pc on the BRK
 * out       x0   1: regs say how to go on; 0: the BRK is none of kprobes'
 * clobbers  x0-x17, nzcv
 * stack     0x20 bytes with a frame record
 * ordering  see get_kprobe
 * linux     kprobe_breakpoint_handler, kprobe_breakpoint_ss_handler, setup_singlestep, reenter_kprobe,
 *           post_kprobe_handler in arch/arm64/kernel/probes/kprobes.c
 *
 * With a post handler the instruction is stepped with interrupts masked, so that no other task comes
 * between; current_kprobe stays set meanwhile. Without one, or within another kprobe, a second copy
 * is stepped, behind which nothing is left to do but to go on.
 */
	.balign	0x8
	.global	kprobe_breakpoint_handler
kprobe_breakpoint_handler:
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	stp	x19, x20, [sp, #0x10]
	mov	x19, x0				// regs
	ldr	x0, [x19, #PTREGS_PC]
	bl	get_kprobe
	cbz	x0, .Lstepped
	mov	x20, x0
	mrs	x9, tpidr_el1
	ldr	x10, [x9, #PCPU_CURRENT_KPROBE]
	cbnz	x10, .Lmissed
	str	x20, [x9, #PCPU_CURRENT_KPROBE]
	ldr	x16, [x20, #KPROBE_PRE_HANDLER]
	cbz	x16, .Lstep
	mov	x1, x19
	blr	x16				// x0 is the kprobe
	cbnz	w0, .Lreset			// regs are as it wants them
.Lstep:
	ldr	x10, [x20, #KPROBE_POST_HANDLER]
	cbz	x10, .Lplain
	ldr	x10, [x20, #KPROBE_AINSN_INSN]
	str	x10, [x19, #PTREGS_PC]
	mrs	x9, tpidr_el1
	ldr	x10, [x19, #PTREGS_PSTATE]
	str	x10, [x9, #PCPU_KPROBE_SAVED_FLAGS]
	orr	x10, x10, #PSTATE_I
	str	x10, [x19, #PTREGS_PSTATE]
	b	.Lhandled
.Lmissed:
	add	x9, x20, #KPROBE_NMISSED
.Lagain:
	ldxr	x10, [x9]
	add	x10, x10, #0x1
	stxr	w11, x10, [x9]
	cbnz	w11, .Lagain
	ldr	x10, [x20, #KPROBE_AINSN_PLAIN]
	str	x10, [x19, #PTREGS_PC]		// the outer one stays current
	b	.Lhandled
.Lstepped:
	ldr	x9, [x19, #PTREGS_PC]
	movz	x20, #kprobe_table_LO16
	movk	x20, #kprobe_table_HI16, lsl #0x10
	ldr	x20, [x20]
.Lnext:
	cbz	x20, .Lnot_ours
	ldr	x10, [x20, #KPROBE_AINSN_PLAIN_TRAP]
	cmp	x10, x9
	b.eq	.Lgo_on
	ldr	x10, [x20, #KPROBE_AINSN_TRAP]
	cmp	x10, x9
	b.eq	.Lpost
	ldr	x20, [x20, #KPROBE_HLIST_NEXT]
	b	.Lnext
.Lnot_ours:
	mov	x0, xzr
	b	.Lout
.Lgo_on:
	ldr	x10, [x20, #KPROBE_AINSN_BEHIND]
	str	x10, [x19, #PTREGS_PC]
	b	.Lhandled
.Lpost:
	ldr	x10, [x20, #KPROBE_AINSN_BEHIND]
	str	x10, [x19, #PTREGS_PC]
	mrs	x9, tpidr_el1
	ldr	x11, [x9, #PCPU_KPROBE_SAVED_FLAGS]
	ldr	x10, [x19, #PTREGS_PSTATE]
	mov	x12, #PSTATE_I
	bic	x10, x10, x12			// unmasked, unless they were masked before
	and	x11, x11, x12
	orr	x10, x10, x11
	str	x10, [x19, #PTREGS_PSTATE]
	mov	x0, x20
	mov	x1, x19
	mov	x2, xzr
	ldr	x16, [x20, #KPROBE_POST_HANDLER]
	blr	x16
	b	.Lreset
.Lplain:
	ldr	x10, [x20, #KPROBE_AINSN_PLAIN]
	str	x10, [x19, #PTREGS_PC]
.Lreset:
	mrs	x9, tpidr_el1
	str	xzr, [x9, #PCPU_CURRENT_KPROBE]
.Lhandled:
	mov	x0, #0x1
.Lout:
	ldp	x19, x20, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	ret
