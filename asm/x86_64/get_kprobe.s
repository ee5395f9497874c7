/*
 * get_kprobe(addr): the kprobe at an address
 *
 * reached   call from kprobe_ftrace_handler and kprobe_int3_handler, preempt_count up
 * in        rdi  addr
 * out       rax  the kprobe, 0 if there is none
 * clobbers  flags
 * stack     none
 * ordering  a kprobe is published by one pointer store, and x86 keeps the loads behind it in order;
 *           it goes away after a grace period. Pairs with register_kprobe and unregister_kprobe
 * linux     kernel/kprobes.c get_kprobe; its table has 64 buckets, ours one
 */
	.global	get_kprobe
get_kprobe:
	mov	eax, kprobe_table
	mov	rax, [rax]
.Lnext:
	test	rax, rax
	jz	.Lreturn
	cmp	[rax + KPROBE_ADDR], rdi
	je	.Lreturn
	mov	rax, [rax + KPROBE_HLIST_NEXT]
	jmp	.Lnext
.Lreturn:
	ret
