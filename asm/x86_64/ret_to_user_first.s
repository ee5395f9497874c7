/*
 * ret_to_user_first: where a new user task begins
 *
 * reached   ret of finish_task_switch, interrupts off
 * in        current  the task    rsp  its empty kernel stack
 * out       pc = task.user_pc, rsp = task.user_sp, interrupts on, other registers 0
 * clobbers  everything
 * stack     an iretq frame, consumed
 * ordering  iretq serialises
 * linux     arch/x86/entry/entry_64.S ret_from_fork, swapgs_restore_regs_and_return_to_usermode
 */
	.global	ret_to_user_first
ret_to_user_first:
	xor	ebp, ebp			# end of the frame-pointer chain
	and	rsp, -0x10
	call	exit_to_user_mode		# the flag may have been set before the first run
	rdgsbase	rax
	mov	rax, [rax + PCPU_CURRENT_TASK]
	push	KERNEL_DS			# one privilege level
	push	qword ptr [rax + TASK_USER_SP]
	push	FLAGS_IF
	push	KERNEL_CS
	push	qword ptr [rax + TASK_USER_PC]
	xor	eax, eax			# nothing of the kernel's for user text to see
	xor	ebx, ebx
	xor	ecx, ecx
	xor	edx, edx
	xor	esi, esi
	xor	edi, edi
	xor	r8d, r8d
	xor	r9d, r9d
	xor	r10d, r10d
	xor	r11d, r11d
	xor	r12d, r12d
	xor	r13d, r13d
	xor	r14d, r14d
	xor	r15d, r15d
	iretq
