/*
 * kprobe_int3_handler(regs): a breakpoint of a kprobe, or the one behind a copy of its instruction
 *
 * reached   call from vector_breakpoint, NMI_OFFSET in preempt_count, interrupts off
 * in        rdi  pt_regs, ip behind the int3
 * out       eax  1: regs say how to go on; 0: the int3 is none of kprobes'
 * clobbers  what a C function may
 * stack     0x18 bytes
 * ordering  see get_kprobe
 * linux     arch/x86/kernel/kprobes/core.c kprobe_int3_handler, setup_singlestep, reenter_kprobe,
 *           kprobe_post_process; a copy always ends in an int3 here, where Linux boosts most
 *
 * With a post handler the instruction is stepped with interrupts off, so that no other task comes
 * between; current_kprobe stays set meanwhile. Without one, or within another kprobe, a second copy
 * is stepped, behind which nothing is left to do but to go on.
 */
	.set	INT3_SIZE, 0x1
	.global	kprobe_int3_handler
kprobe_int3_handler:
	push	rbx
	push	r12
	sub	rsp, 0x8			# handlers want 16-byte alignment
	mov	rbx, rdi
	mov	rdi, [rbx + PTREGS_IP]
	sub	rdi, INT3_SIZE
	call	get_kprobe
	test	rax, rax
	jz	.Lstepped
	mov	r12, rax
	rdgsbase	r8
	cmp	qword ptr [r8 + PCPU_CURRENT_KPROBE], 0x0
	jne	.Lmissed
	mov	[r8 + PCPU_CURRENT_KPROBE], r12
	mov	rax, [r12 + KPROBE_PRE_HANDLER]
	test	rax, rax
	jz	.Lstep
	mov	rdi, r12
	mov	rsi, rbx
	call	rax
	test	eax, eax
	jnz	.Lreset				# regs are as it wants them
.Lstep:
	cmp	qword ptr [r12 + KPROBE_POST_HANDLER], 0x0
	je	.Lplain
	mov	rax, [r12 + KPROBE_AINSN_INSN]
	mov	[rbx + PTREGS_IP], rax
	rdgsbase	r8
	mov	rax, [rbx + PTREGS_FLAGS]
	mov	[r8 + PCPU_KPROBE_SAVED_FLAGS], rax
	mov	ecx, FLAGS_IF
	not	rcx
	and	[rbx + PTREGS_FLAGS], rcx
	jmp	.Lhandled
.Lmissed:
	lock inc	qword ptr [r12 + KPROBE_NMISSED]
	mov	rax, [r12 + KPROBE_AINSN_PLAIN]
	mov	[rbx + PTREGS_IP], rax		# the outer one stays current
	jmp	.Lhandled
.Lstepped:
	mov	rdi, [rbx + PTREGS_IP]
	sub	rdi, INT3_SIZE
	mov	eax, kprobe_table
	mov	r12, [rax]
.Lnext:
	test	r12, r12
	jz	.Lreturn			# eax: see below
	mov	rax, [r12 + KPROBE_AINSN_BEHIND]
	cmp	[r12 + KPROBE_AINSN_PLAIN_TRAP], rdi
	je	.Lgo_on
	cmp	[r12 + KPROBE_AINSN_TRAP], rdi
	je	.Lpost
	mov	r12, [r12 + KPROBE_HLIST_NEXT]
	jmp	.Lnext
.Lgo_on:
	mov	[rbx + PTREGS_IP], rax
	jmp	.Lhandled
.Lpost:
	mov	[rbx + PTREGS_IP], rax
	rdgsbase	r8
	mov	rax, [r8 + PCPU_KPROBE_SAVED_FLAGS]
	and	eax, FLAGS_IF
	or	[rbx + PTREGS_FLAGS], rax
	mov	rdi, r12
	mov	rsi, rbx
	xor	edx, edx
	call	qword ptr [r12 + KPROBE_POST_HANDLER]
	jmp	.Lreset
.Lplain:
	mov	rax, [r12 + KPROBE_AINSN_PLAIN]
	mov	[rbx + PTREGS_IP], rax
.Lreset:
	rdgsbase	r8
	mov	qword ptr [r8 + PCPU_CURRENT_KPROBE], 0x0
.Lhandled:
	mov	r12d, 0x1
.Lreturn:
	mov	eax, r12d			# 0 at the end of the table
	add	rsp, 0x8
	pop	r12
	pop	rbx
	ret
