/*
 * vector_syscall: entry from user text
 *
 * reached   by the machine, on syscall: interrupts off, rsp still the user's
 * in        rcx  return address    r11  rflags
 * out       back in user text, every register as it was (rcx and r11 as syscall left them)
 * clobbers  nothing
 * stack     PTREGS_SIZE bytes from percpu.top_of_stack, then 8
 * ordering  iretq serialises
 * linux     arch/x86/entry/entry_64.S entry_SYSCALL_64, its iretq way out; no swapgs
 */
	.global	vector_syscall
vector_syscall:
	.byte	0x65, 0x48, 0x89, 0x24, 0x25	# mov gs:[PCPU_SCRATCH0], rsp: no register is free, and
	.4byte	PCPU_SCRATCH0			# the two assemblers share no spelling of gs:[offset]
	.byte	0x65, 0x48, 0x8b, 0x24, 0x25	# mov rsp, gs:[PCPU_TOP_OF_STACK]
	.4byte	PCPU_TOP_OF_STACK
	push	KERNEL_DS
	push	rcx				# PTREGS_SP, filled in below
	push	r11
	push	KERNEL_CS
	push	rcx
	push	rax				# PTREGS_ORIG_AX
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
	push	r15				# rsp is a pt_regs now
	rdgsbase	rcx
	mov	rcx, [rcx + PCPU_SCRATCH0]	# before interrupts: the next task's entry reuses it
	mov	[rsp + PTREGS_SP], rcx
	sub	rsp, 0x8			# calls want 16-byte alignment
	xor	ebp, ebp			# end of the frame-pointer chain
	sti
	call	do_next_call
	call	exit_to_user_mode		# comes back with interrupts off
	add	rsp, 0x8
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
