/*
 * ftrace_ops_test(op, ip, regs): does an ops want this site?
 *
 * reached   call from ftrace_ops_list_func
 * in        rdi op    rsi ip    rdx regs, 0 = the frame is a partial one
 * out       eax  1 if ip is in filter_hash and not in notrace_hash, else 0
 * clobbers  rcx, rdx, r8, flags
 * stack     0x10 bytes: an ftrace_ops_hash, copied so that both tables are those of one moment each
 * ordering  x86 keeps the loads in order; pairs with "ftrace_hash publish" in _move_hash
 * linux     kernel/trace/ftrace.c ftrace_ops_test, with hash_contains_ip, ftrace_hash_empty,
 *           __ftrace_lookup_ip and ftrace_hash_key in line. An empty filter means none here, there
 *           it means all
 */
	.set	GOLDEN_RATIO_64, 0x61c8864680b583eb	# emu/ftrace/hash_table.py
	.set	FLAG_SAVE_REGS, 0x1 << FTRACE_OPS_SAVE_REGS_BIT
	.global	ftrace_ops_test
ftrace_ops_test:
	test	rdx, rdx
	jnz	.Lregs
	test	qword ptr [rdi + FTRACE_OPS_FLAGS], FLAG_SAVE_REGS
	jnz	.Lno				# the site is being switched over to the whole frame
.Lregs:
	sub	rsp, FTRACE_OPS_HASH_SIZE
	mov	rax, [rdi + FTRACE_OPS_FUNC_HASH]
	mov	rdx, [rax + FTRACE_OPS_HASH_FILTER_HASH]
	mov	[rsp + FTRACE_OPS_HASH_FILTER_HASH], rdx
	mov	rax, [rdi + FTRACE_OPS_FUNC_HASH]
	mov	rax, [rax + FTRACE_OPS_HASH_NOTRACE_HASH]
	mov	[rsp + FTRACE_OPS_HASH_NOTRACE_HASH], rax
	mov	rdx, [rsp + FTRACE_OPS_HASH_FILTER_HASH]
	test	rdx, rdx
	jz	.Lnot_wanted
	cmp	qword ptr [rdx + FTRACE_HASH_COUNT], 0x0
	je	.Lnot_wanted
	mov	rcx, [rdx + FTRACE_HASH_SIZE_BITS]
	xor	eax, eax			# the only bucket
	test	rcx, rcx
	jz	.Lfilter_bucket
	movabs	rax, GOLDEN_RATIO_64
	imul	rax, rsi
	neg	ecx				# a shift takes it modulo 64
	shr	rax, cl
.Lfilter_bucket:
	mov	rdx, [rdx + FTRACE_HASH_BUCKETS]
	mov	rdx, [rdx + rax*0x8]
	test	rdx, rdx
	jz	.Lnot_wanted
.Lfilter_entry:
	cmp	[rdx + FTRACE_FUNC_ENTRY_IP], rsi
	je	.Lin_filter
	mov	rdx, [rdx + FTRACE_FUNC_ENTRY_HLIST_NEXT]
	test	rdx, rdx
	jnz	.Lfilter_entry
.Lnot_wanted:
	add	rsp, FTRACE_OPS_HASH_SIZE
.Lno:
	xor	eax, eax
	ret
.Lin_filter:
	mov	rdx, [rsp + FTRACE_OPS_HASH_NOTRACE_HASH]
	test	rdx, rdx
	jz	.Lwanted
	cmp	qword ptr [rdx + FTRACE_HASH_COUNT], 0x0
	je	.Lwanted
	mov	rcx, [rdx + FTRACE_HASH_SIZE_BITS]
	xor	eax, eax
	test	rcx, rcx
	jz	.Lnotrace_bucket
	movabs	rax, GOLDEN_RATIO_64
	imul	rax, rsi
	neg	ecx
	shr	rax, cl
.Lnotrace_bucket:
	mov	rdx, [rdx + FTRACE_HASH_BUCKETS]
	mov	rdx, [rdx + rax*0x8]
	test	rdx, rdx
	jz	.Lwanted
.Lnotrace_entry:
	cmp	[rdx + FTRACE_FUNC_ENTRY_IP], rsi
	je	.Lnot_wanted
	mov	rdx, [rdx + FTRACE_FUNC_ENTRY_HLIST_NEXT]
	test	rdx, rdx
	jnz	.Lnotrace_entry
.Lwanted:
	add	rsp, FTRACE_OPS_HASH_SIZE
	mov	eax, 0x1
	ret
