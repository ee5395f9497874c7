/*
 * kp_post(p, regs, flags): the post handler of module kp_user: it counts
 *
 * reached   call from kprobe_ftrace_handler or kprobe_int3_handler
 * in        nothing that it looks at
 * out       nothing
 * clobbers  rax, flags
 * stack     none
 * ordering  locked: one kprobe may be hit on all CPUs at once
 * linux     none: a module of the observations
 */
	.set	HITS, kp_hits + 0x8
	.global	kp_post
kp_post:
	mov	eax, HITS
	lock inc	qword ptr [rax]
	ret
