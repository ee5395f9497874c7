/*
 * cond_resched(): schedule if somebody asked for it
 *
 * reached   call
 * in        nothing
 * out       nothing
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  none: need_resched is set by this CPU's own interrupts
 * linux     kernel/sched/core.c __cond_resched
 */
	.global	cond_resched
cond_resched:
	rdgsbase	rax
	cmp	qword ptr [rax + PCPU_NEED_RESCHED], 0x0
	je	.Lno
	cmp	qword ptr [rax + PCPU_PREEMPT_COUNT], 0x0
	jne	.Lno
	push	rbp
	mov	rbp, rsp
	call	schedule
	pop	rbp
.Lno:
	ret
