/*
 * cond_resched (arm64): let others run if they should
 *
 * reached   by calls from kernel threads
 * in        nothing
 * out       nothing
 * clobbers  x0-x17, nzcv
 * stack     none of its own
 * ordering  see __schedule
 * linux     __cond_resched in kernel/sched/core.c
 */
	.balign	0x8
	.global	cond_resched
cond_resched:
	mrs	x9, tpidr_el1
	ldr	x10, [x9, #PCPU_NEED_RESCHED]
	cbz	x10, .Lgo_on
	ldr	x10, [x9, #PCPU_PREEMPT_COUNT]
	cbnz	x10, .Lgo_on			// not allowed to switch here
	b	schedule
.Lgo_on:
	ret
