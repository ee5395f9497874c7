/*
 * get_kprobe (arm64): the kprobe at an address
 *
 * reached   by BL from kprobe_ftrace_handler and kprobe_breakpoint_handler, preempt_count up
 * in        x0   addr
 * out       x0   the kprobe, 0 if there is none
 * clobbers  x9, x10, nzcv
 * stack     none
 * ordering  every load from a kprobe depends on its address; pairs with the barrier between filling and
 *           publishing one, in register_kprobe
 * linux     get_kprobe in kernel/kprobes.c; its table has 64 buckets, ours one
 */
	.balign	0x8
	.global	get_kprobe
get_kprobe:
	mov	x9, x0
	movz	x0, #kprobe_table_LO16
	movk	x0, #kprobe_table_HI16, lsl #0x10
	ldr	x0, [x0]
.Lnext:
	cbz	x0, .Lout
	ldr	x10, [x0, #KPROBE_ADDR]
	cmp	x10, x9
	b.eq	.Lout
	ldr	x0, [x0, #KPROBE_HLIST_NEXT]
	b	.Lnext
.Lout:
	ret
