/*
 * ftrace_regs_caller: entry trampoline, all registers; also a template of per-ops copies
 *
 * reached   call at a function's first instruction (behind ENDBR64), so
 *           [rsp] = site + 5, [rsp + 8] = return address into the function's caller
 * in        the traced function's arguments
 * out       rip, flags and registers as the handler left them in the frame, but rsp: that is
 *           always what it was
 * clobbers  nothing
 * stack     flags, two frame records (0x20), a full pt_regs
 * ordering  as ftrace_caller
 * linux     arch/x86/kernel/ftrace_64.S ftrace_regs_caller with CONFIG_FRAME_POINTER, without
 *           direct calls: orig_ax is 0 and not looked at
 *
 * From ftrace_regs_caller to ftrace_regs_caller_end all is position independent but the load
 * at ftrace_regs_caller_op_ptr and the call at ftrace_regs_call, which a copy re-points.
 */
	.set	CALL_SITE_SIZE, 0x5
	.set	FRAME_SAVED_BP, PTREGS_SIZE + 0x10	# in the caller's record
	.set	FRAME_FLAGS, PTREGS_SIZE + 0x20	# what popfq takes
	.set	FRAME_RET, PTREGS_SIZE + 0x28	# what the final ret takes
	.set	FRAME_PARENT, PTREGS_SIZE + 0x30	# and what rsp was before the call
	.set	RECORD_PARENT, 0x10		# places while the records are made
	.set	RECORD_SITE, 0x18
	.global	ftrace_regs_caller
ftrace_regs_caller:
	pushfq					# before anything changes them
	push	qword ptr [rsp + RECORD_PARENT]	# the caller's record: where the function returns to
	push	rbp
	mov	rbp, rsp
	push	qword ptr [rsp + RECORD_SITE]	# the function's record: where the trampoline returns to
	push	rbp
	mov	rbp, rsp
	sub	rsp, PTREGS_SIZE		# 16-aligned
	mov	[rsp + PTREGS_R15], r15
	mov	[rsp + PTREGS_R14], r14
	mov	[rsp + PTREGS_R13], r13
	mov	[rsp + PTREGS_R12], r12
	mov	[rsp + PTREGS_BX], rbx
	mov	[rsp + PTREGS_R11], r11
	mov	[rsp + PTREGS_R10], r10
	mov	[rsp + PTREGS_R9], r9
	mov	[rsp + PTREGS_R8], r8
	mov	[rsp + PTREGS_AX], rax
	mov	[rsp + PTREGS_CX], rcx
	mov	[rsp + PTREGS_DX], rdx
	mov	[rsp + PTREGS_SI], rsi
	mov	[rsp + PTREGS_DI], rdi
	mov	rdx, [rsp + FRAME_SAVED_BP]
	mov	[rsp + PTREGS_BP], rdx
	mov	qword ptr [rsp + PTREGS_ORIG_AX], 0x0
	mov	rdx, [rsp + FRAME_FLAGS]
	mov	[rsp + PTREGS_FLAGS], rdx
	mov	qword ptr [rsp + PTREGS_CS], KERNEL_CS	# a full frame, told by cs
	mov	qword ptr [rsp + PTREGS_SS], KERNEL_DS
	lea	rdx, [rsp + FRAME_PARENT]
	mov	[rsp + PTREGS_SP], rdx
	mov	rsi, [rsp + FRAME_PARENT]	# parent_ip
	mov	rdi, [rsp + FRAME_RET]
	mov	[rsp + PTREGS_IP], rdi		# so far: go on behind the site
	sub	rdi, CALL_SITE_SIZE		# ip: the site
	.global	ftrace_regs_caller_op_ptr
ftrace_regs_caller_op_ptr:
	.byte	0x48, 0x8b, 0x15		# mov rdx, [rip + function_trace_op]: the two assemblers differ on
	.4byte	function_trace_op - .Lop_loaded	# whether a constant there is an address or a displacement
.Lop_loaded:
	mov	rcx, rsp			# fregs
	.global	ftrace_regs_call
ftrace_regs_call:
	call	ftrace_stub
	mov	rax, [rsp + PTREGS_FLAGS]
	mov	[rsp + FRAME_FLAGS], rax
	mov	rax, [rsp + PTREGS_IP]
	mov	[rsp + FRAME_RET], rax		# the final ret goes where the handler said
	mov	r15, [rsp + PTREGS_R15]
	mov	r14, [rsp + PTREGS_R14]
	mov	r13, [rsp + PTREGS_R13]
	mov	r12, [rsp + PTREGS_R12]
	mov	rbp, [rsp + PTREGS_BP]
	mov	rbx, [rsp + PTREGS_BX]
	mov	r11, [rsp + PTREGS_R11]
	mov	r10, [rsp + PTREGS_R10]
	mov	r9, [rsp + PTREGS_R9]
	mov	r8, [rsp + PTREGS_R8]
	mov	rax, [rsp + PTREGS_AX]
	mov	rcx, [rsp + PTREGS_CX]
	mov	rdx, [rsp + PTREGS_DX]
	mov	rsi, [rsp + PTREGS_SI]
	mov	rdi, [rsp + PTREGS_DI]
	lea	rsp, [rsp + FRAME_FLAGS]
	popfq					# last: nothing behind it changes flags
	.global	ftrace_regs_caller_end
ftrace_regs_caller_end:
	ret
