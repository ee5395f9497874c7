/*
 * vector_breakpoint: int3, which stands where text is being poked, and for kprobes
 *
 * reached   by the machine; ss, rsp, rflags, cs, rip (behind the int3) pushed, interrupts off
 * in        gs base  percpu
 * out       of a poke: as if the emulated instruction had run: rip, and for a call also rsp and the
 *           word it points at; every other register as it was. Of a kprobe: as pt_regs says
 * clobbers  nothing
 * stack     a gap of 5 words, then PTREGS_SIZE bytes
 * ordering  iretq serialises: the CPU fetches what text_poke_sync waits for
 * linux     arch/x86/entry/entry_64.S idtentry with the X86_TRAP_BP gap; traps.c exc_int3
 *
 * The machine's frame may end right below the interrupted rsp, where an emulated call must
 * push. So the frame is copied down and the original's place is free for that push.
 */
	.set	MACHINE_FRAME_LAST, 0x20	# from rip up to ss, its last word
	.global	vector_breakpoint
vector_breakpoint:
	push	qword ptr [rsp + MACHINE_FRAME_LAST]	# ss
	push	qword ptr [rsp + MACHINE_FRAME_LAST]	# rsp: each push moves the place by a word
	push	qword ptr [rsp + MACHINE_FRAME_LAST]	# rflags
	push	qword ptr [rsp + MACHINE_FRAME_LAST]	# cs
	push	qword ptr [rsp + MACHINE_FRAME_LAST]	# rip
	push	rbp				# orig_ax: a frame record, see interrupt_common
	push	rdi
	push	rsi
	push	rdx
	push	rcx
	push	rax
	push	r8
	push	r9
	push	r10
	push	r11
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15				# rsp is a pt_regs now, 16-aligned
	lea	rbp, [rsp + PTREGS_ORIG_AX]
	rdgsbase	rbx
	add	qword ptr [rbx + PCPU_PREEMPT_COUNT], NMI_OFFSET
	mov	rdi, rsp
	call	poke_int3_handler
	test	eax, eax
	jnz	.Lhandled
	mov	rdi, rsp
	call	kprobe_int3_handler
.Lhandled:
	sub	qword ptr [rbx + PCPU_PREEMPT_COUNT], NMI_OFFSET
	test	eax, eax
	jz	.Lunexpected
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rax
	pop	rcx
	pop	rdx
	pop	rsi
	pop	rdi
	add	rsp, 0x8			# orig_ax
	iretq
	.global	__bug_unexpected_int3
__bug_unexpected_int3:
.Lunexpected:
	ud2					# nobody pokes or probes this address: stale or stray text
