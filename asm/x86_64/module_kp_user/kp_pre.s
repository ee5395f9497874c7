/*
 * kp_pre(p, regs): the pre handler of module kp_user: it counts
 *
 * reached   call from kprobe_ftrace_handler or kprobe_int3_handler
 * in        nothing that it looks at
 * out       eax  0: go on with the instruction
 * clobbers  rax, flags
 * stack     none
 * ordering  locked: one kprobe may be hit on all CPUs at once
 * linux     none: a module of the observations
 */
	.set	HITS, kp_hits + 0x0
	.global	kp_pre
kp_pre:
	mov	eax, HITS
	lock inc	qword ptr [rax]
	xor	eax, eax
	ret
