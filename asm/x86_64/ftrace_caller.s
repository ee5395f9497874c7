/*
 * ftrace_caller: entry trampoline, args variant; also the template of per-ops copies
 *
 * reached   call at a function's first instruction (behind ENDBR64), so
 *           [rsp] = site + 5, [rsp + 8] = return address into the function's caller
 * in        the traced function's arguments
 * out       rip  PTREGS_IP as the handler left it; registers as it left them in the frame
 * clobbers  flags
 * stack     two frame records (0x20), a partial pt_regs and 8 of padding
 * ordering  none here: the handler's loads pair with __klp_enable_patch. The ops pointer is
 *           loaded once per call, after the site was reached; in a per-ops copy it never changes
 * linux     arch/x86/kernel/ftrace_64.S ftrace_caller with CONFIG_FRAME_POINTER
 *
 * The frame holds ax, cx, dx, si, di, r8 to r11, bp, ip and sp. cs is 0: the mark of a
 * partial frame. Linux leaves r10 and r11 to the handler; here nothing a handler may clobber
 * is lost. The function has no frame record yet, so the trampoline makes two, one for the
 * function and one for its caller: a frame-pointer walk from the handler finds both.
 *
 * From ftrace_caller to ftrace_caller_end all is position independent but the load at
 * ftrace_caller_op_ptr and the call at ftrace_call, which a copy re-points.
 */
	.set	CALL_SITE_SIZE, 0x5
	.set	FRAME_SIZE, PTREGS_SIZE + 0x8	# keeps the handler's stack 16-aligned
	.set	FRAME_SAVED_BP, FRAME_SIZE + 0x10	# in the caller's record
	.set	FRAME_RET, FRAME_SIZE + 0x20	# what the final ret takes
	.set	FRAME_PARENT, FRAME_SIZE + 0x28	# and what rsp was before the call
	.set	RECORD_PARENT, 0x8		# places while the records are made
	.set	RECORD_SITE, 0x10
	.global	ftrace_caller
ftrace_caller:
	push	qword ptr [rsp + RECORD_PARENT]	# the caller's record: where the function returns to
	push	rbp
	mov	rbp, rsp
	push	qword ptr [rsp + RECORD_SITE]	# the function's record: where the trampoline returns to
	push	rbp
	mov	rbp, rsp
	sub	rsp, FRAME_SIZE
	mov	[rsp + PTREGS_AX], rax		# al counts vector registers of a variadic call
	mov	[rsp + PTREGS_CX], rcx
	mov	[rsp + PTREGS_DX], rdx
	mov	[rsp + PTREGS_SI], rsi
	mov	[rsp + PTREGS_DI], rdi
	mov	[rsp + PTREGS_R8], r8
	mov	[rsp + PTREGS_R9], r9
	mov	[rsp + PTREGS_R10], r10		# static chain
	mov	[rsp + PTREGS_R11], r11
	mov	rdx, [rsp + FRAME_SAVED_BP]
	mov	[rsp + PTREGS_BP], rdx
	mov	qword ptr [rsp + PTREGS_CS], 0x0
	lea	rdx, [rsp + FRAME_PARENT]
	mov	[rsp + PTREGS_SP], rdx
	mov	rsi, [rsp + FRAME_PARENT]	# parent_ip
	mov	rdi, [rsp + FRAME_RET]
	mov	[rsp + PTREGS_IP], rdi		# so far: go on behind the site
	sub	rdi, CALL_SITE_SIZE		# ip: the site
	.global	ftrace_caller_op_ptr
ftrace_caller_op_ptr:
	.byte	0x48, 0x8b, 0x15		# mov rdx, [rip + function_trace_op]: the two assemblers differ on
	.4byte	function_trace_op - .Lop_loaded	# whether a constant there is an address or a displacement
.Lop_loaded:
	mov	rcx, rsp			# fregs
	.global	ftrace_call
ftrace_call:
	call	ftrace_stub
	mov	rax, [rsp + PTREGS_IP]
	mov	[rsp + FRAME_RET], rax		# the final ret goes where the handler said
	mov	rbp, [rsp + PTREGS_BP]
	mov	r11, [rsp + PTREGS_R11]
	mov	r10, [rsp + PTREGS_R10]
	mov	r9, [rsp + PTREGS_R9]
	mov	r8, [rsp + PTREGS_R8]
	mov	rdi, [rsp + PTREGS_DI]
	mov	rsi, [rsp + PTREGS_SI]
	mov	rdx, [rsp + PTREGS_DX]
	mov	rcx, [rsp + PTREGS_CX]
	mov	rax, [rsp + PTREGS_AX]
	add	rsp, FRAME_RET
	.global	ftrace_caller_end
ftrace_caller_end:
	ret
