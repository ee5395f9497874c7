/*
 * schedule(): give the CPU away of one's own will
 *
 * reached   call, preempt_count 0
 * in        current.state says whether the task wants to run on
 * out       returns when the task is picked again; interrupt flag as it was
 * clobbers  what a C function may
 * stack     a frame-pointer pair
 * ordering  a sleeper stores wake_at or gate before its state: preempted in between it is
 *           judged by the state it has
 * linux     kernel/sched/core.c schedule
 */
	.global	schedule
schedule:
	push	rbp
	mov	rbp, rsp
	mov	edi, TASK_NVCSW
	call	__schedule
	pop	rbp
	ret
