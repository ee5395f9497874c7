/*
 * mcount_caller: entry trampoline of old-style sites
 *
 * reached   call behind push rbp; mov rbp, rsp of the traced function, so
 *           [rsp] = site + 5, [rbp + 8] = return address into the function's caller
 * in        the traced function's arguments
 * out       everything as it was; goes on behind the site whatever the handler wrote
 * clobbers  flags
 * stack     a frame record, a partial pt_regs and 8 of padding
 * ordering  as ftrace_caller
 * linux     arch/x86/kernel/mcount_64.S ftrace_caller without fentry, kernels before 4.19
 *
 * The function's frame is built already: the IP can't be changed, so livepatch must refuse
 * such a function. Its own record is the caller's, one more makes the function's.
 */
	.set	CALL_SITE_SIZE, 0x5
	.set	FRAME_SIZE, PTREGS_SIZE + 0x8	# keeps the handler's stack 16-aligned
	.set	RECORD_BP, 0x0			# a frame record
	.set	RECORD_RET, 0x8
	.set	RECORD_END, 0x10		# what rsp was before the record's return address
	.global	mcount_caller
mcount_caller:
	push	rbp				# the function's record: rbp is its frame already
	mov	rbp, rsp
	sub	rsp, FRAME_SIZE
	mov	[rsp + PTREGS_AX], rax
	mov	[rsp + PTREGS_CX], rcx
	mov	[rsp + PTREGS_DX], rdx
	mov	[rsp + PTREGS_SI], rsi
	mov	[rsp + PTREGS_DI], rdi
	mov	[rsp + PTREGS_R8], r8
	mov	[rsp + PTREGS_R9], r9
	mov	[rsp + PTREGS_R10], r10
	mov	[rsp + PTREGS_R11], r11
	mov	rsi, [rbp + RECORD_BP]
	mov	[rsp + PTREGS_BP], rsi
	mov	qword ptr [rsp + PTREGS_CS], 0x0
	lea	rdx, [rbp + RECORD_END]
	mov	[rsp + PTREGS_SP], rdx
	mov	rsi, [rsi + RECORD_RET]		# parent_ip
	mov	rdi, [rbp + RECORD_RET]
	mov	[rsp + PTREGS_IP], rdi		# for reading only
	sub	rdi, CALL_SITE_SIZE		# ip: the site
	mov	edx, function_trace_op
	mov	rdx, [rdx]
	mov	rcx, rsp			# fregs
	call	ftrace_ops_list_func
	.global	mcount_caller_return
mcount_caller_return:
	mov	r11, [rsp + PTREGS_R11]
	mov	r10, [rsp + PTREGS_R10]
	mov	r9, [rsp + PTREGS_R9]
	mov	r8, [rsp + PTREGS_R8]
	mov	rdi, [rsp + PTREGS_DI]
	mov	rsi, [rsp + PTREGS_SI]
	mov	rdx, [rsp + PTREGS_DX]
	mov	rcx, [rsp + PTREGS_CX]
	mov	rax, [rsp + PTREGS_AX]
	add	rsp, FRAME_SIZE
	pop	rbp
	ret
