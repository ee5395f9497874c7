/*
 * finish_task_switch (arm64): the first thing a task does on its CPU again
 *
 * reached   by the jump at the end of __switch_to; the machine listens here
 * in        sp   __switch_to's frame of the new current; interrupts masked
 * out       to the frame's lr, callee-saved registers and fp from the frame
 * clobbers  nothing else
 * stack     gives SWITCH_FRAME_SIZE bytes back
 * ordering  none here: __schedule has the barriers
 * linux     finish_task_switch in kernel/sched/core.c; the second half of cpu_switch_to
 */
	.balign	0x8
	.global	finish_task_switch
finish_task_switch:
	ldp	x19, x20, [sp, #SWITCH_FRAME_X19]
	ldp	x21, x22, [sp, #SWITCH_FRAME_X21]
	ldp	x23, x24, [sp, #SWITCH_FRAME_X23]
	ldp	x25, x26, [sp, #SWITCH_FRAME_X25]
	ldp	x27, x28, [sp, #SWITCH_FRAME_X27]
	ldp	x29, x30, [sp, #SWITCH_FRAME_FP]
	add	sp, sp, #SWITCH_FRAME_SIZE
	ret
