/*
 * ftrace_ops_test (arm64): does an ops want this site?
 *
 * reached   by BL from ftrace_ops_list_func
 * in        x0   op          x1   ip
 * out       x0   1 if ip is in filter_hash and not in notrace_hash, else 0
 * clobbers  x9-x16, nzcv
 * stack     0x10 bytes: an ftrace_ops_hash, copied so that both tables are those of one moment each
 * ordering  every load depends on the address before it; pairs with "ftrace_hash publish" in _move_hash.
 *           Its own two releases are rcu_assign_pointer on that copy, as in Linux; nobody else sees it
 * linux     ftrace_ops_test in kernel/trace/ftrace.c, with hash_contains_ip, ftrace_hash_empty,
 *           __ftrace_lookup_ip and ftrace_hash_key in line. An empty filter means none here, there it means
 *           all. This port has no SAVE_REGS to look at, as DYNAMIC_FTRACE_WITH_ARGS has none
 *           One LDP loads what both releases have stored, as GCC has it: slow where two stores are not forwarded
 */
	.set	GOLDEN_RATIO_0, 0x83eb		// 16 bits each of GOLDEN_RATIO_64, emu/ftrace/hash_table.py
	.set	GOLDEN_RATIO_1, 0x80b5
	.set	GOLDEN_RATIO_2, 0x8646
	.set	GOLDEN_RATIO_3, 0x61c8

	.balign	0x8
	.global	ftrace_ops_test
ftrace_ops_test:
	sub	sp, sp, #FTRACE_OPS_HASH_SIZE
	ldr	x9, [x0, #FTRACE_OPS_FUNC_HASH]
	ldr	x10, [x9, #FTRACE_OPS_HASH_FILTER_HASH]
	add	x11, sp, #FTRACE_OPS_HASH_FILTER_HASH
	stlr	x10, [x11]
	ldr	x9, [x0, #FTRACE_OPS_FUNC_HASH]
	ldr	x10, [x9, #FTRACE_OPS_HASH_NOTRACE_HASH]
	stlr	x10, [sp]
	ldp	x13, x9, [sp]			// notrace, filter
	cbz	x9, .Lnot_wanted
	ldr	x10, [x9, #FTRACE_HASH_COUNT]
	cbz	x10, .Lnot_wanted
	ldr	x10, [x9, #FTRACE_HASH_SIZE_BITS]
	mov	x11, xzr			// the only bucket
	cbz	x10, .Lfilter_bucket
	movz	x11, #GOLDEN_RATIO_0
	movk	x11, #GOLDEN_RATIO_1, lsl #0x10
	movk	x11, #GOLDEN_RATIO_2, lsl #0x20
	movk	x11, #GOLDEN_RATIO_3, lsl #0x30
	mul	x11, x1, x11
	mov	x12, #0x40
	sub	x12, x12, x10
	lsr	x11, x11, x12
.Lfilter_bucket:
	ldr	x9, [x9, #FTRACE_HASH_BUCKETS]
	ldr	x9, [x9, x11, lsl #0x3]
	cbz	x9, .Lnot_wanted
.Lfilter_entry:
	ldr	x10, [x9, #FTRACE_FUNC_ENTRY_IP]
	cmp	x10, x1
	b.eq	.Lin_filter
	ldr	x9, [x9, #FTRACE_FUNC_ENTRY_HLIST_NEXT]
	cbnz	x9, .Lfilter_entry
.Lnot_wanted:
	mov	x0, xzr
	add	sp, sp, #FTRACE_OPS_HASH_SIZE
	ret
.Lin_filter:
	mov	x9, x13
	cbz	x9, .Lwanted
	ldr	x10, [x9, #FTRACE_HASH_COUNT]
	cbz	x10, .Lwanted
	ldr	x10, [x9, #FTRACE_HASH_SIZE_BITS]
	mov	x11, xzr
	cbz	x10, .Lnotrace_bucket
	movz	x11, #GOLDEN_RATIO_0
	movk	x11, #GOLDEN_RATIO_1, lsl #0x10
	movk	x11, #GOLDEN_RATIO_2, lsl #0x20
	movk	x11, #GOLDEN_RATIO_3, lsl #0x30
	mul	x11, x1, x11
	mov	x12, #0x40
	sub	x12, x12, x10
	lsr	x11, x11, x12
.Lnotrace_bucket:
	ldr	x9, [x9, #FTRACE_HASH_BUCKETS]
	ldr	x9, [x9, x11, lsl #0x3]
	cbz	x9, .Lwanted
.Lnotrace_entry:
	ldr	x10, [x9, #FTRACE_FUNC_ENTRY_IP]
	cmp	x10, x1
	b.eq	.Lnot_wanted
	ldr	x9, [x9, #FTRACE_FUNC_ENTRY_HLIST_NEXT]
	cbnz	x9, .Lnotrace_entry
.Lwanted:
	mov	x0, #0x1
	add	sp, sp, #FTRACE_OPS_HASH_SIZE
	ret
