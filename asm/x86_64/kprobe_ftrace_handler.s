/*
 * kprobe_ftrace_handler(ip, parent_ip, op, fregs): a kprobe at a function's entry, by ftrace
 *
 * reached   call at ftrace_regs_call, or from ftrace_ops_list_func
 * in        rdi ip    rsi parent_ip, not used    rdx op, not used    rcx fregs, a full pt_regs
 * out       PTREGS_IP is as it was, whatever another handler has written there; but the pre handler's
 *           own if that returned other than 0
 * clobbers  what a C function may
 * stack     0x28 bytes
 * ordering  see get_kprobe
 * linux     arch/x86/kernel/kprobes/ftrace.c kprobe_ftrace_handler
 */
	.set	MCOUNT_INSN_SIZE, 0x5
	.set	INT3_SIZE, 0x1
	.set	KPROBE_OFF, KPROBE_FLAG_GONE | KPROBE_FLAG_DISABLED
	.global	kprobe_ftrace_handler
kprobe_ftrace_handler:
	push	rbx
	push	r12
	push	r13
	push	r14
	sub	rsp, 0x8			# handlers want 16-byte alignment
	mov	rbx, rcx
	mov	r14, rdi
	call	ftrace_test_recursion_trylock
	mov	r13d, eax
	test	eax, eax
	jz	.Lreturn
	mov	rdi, r14
	call	get_kprobe
	test	rax, rax
	jz	.Lunlock			# another's site, or gone meanwhile
	mov	r12, rax
	test	dword ptr [r12 + KPROBE_FLAGS], KPROBE_OFF
	jnz	.Lunlock
	rdgsbase	r8
	cmp	qword ptr [r8 + PCPU_CURRENT_KPROBE], 0x0
	jne	.Lmissed
	mov	[r8 + PCPU_CURRENT_KPROBE], r12
	lea	rax, [r14 + INT3_SIZE]
	mov	r14, [rbx + PTREGS_IP]
	mov	[rbx + PTREGS_IP], rax		# as behind a breakpoint: what pre handlers expect
	mov	rax, [r12 + KPROBE_PRE_HANDLER]
	test	rax, rax
	jz	.Lstep
	mov	rdi, r12
	mov	rsi, rbx
	call	rax
	test	eax, eax
	jnz	.Ldone				# it says where to go on
.Lstep:
	mov	rax, [r12 + KPROBE_ADDR]	# the site's instruction is a NOP as far as kprobes know
	add	rax, MCOUNT_INSN_SIZE
	mov	[rbx + PTREGS_IP], rax
	mov	rax, [r12 + KPROBE_POST_HANDLER]
	test	rax, rax
	jz	.Lrestore
	mov	rdi, r12
	mov	rsi, rbx
	xor	edx, edx
	call	rax
.Lrestore:
	mov	[rbx + PTREGS_IP], r14		# livepatch may have been here first
.Ldone:
	rdgsbase	r8
	mov	qword ptr [r8 + PCPU_CURRENT_KPROBE], 0x0
.Lunlock:
	mov	edi, r13d
	call	ftrace_test_recursion_unlock
.Lreturn:
	add	rsp, 0x8
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	ret
.Lmissed:
	lock inc	qword ptr [r12 + KPROBE_NMISSED]
	jmp	.Lunlock
