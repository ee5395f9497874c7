/*
 * schedule (arm64): give up the CPU voluntarily
 *
 * reached   by calls from anywhere that may sleep, interrupts on or off
 * in        current's state (and wake_at or gate, stored before it) says what it waits for
 * out       current has been picked again; the interrupt flag is as before
 * clobbers  x0-x17, nzcv
 * stack     0x10 bytes, a frame record
 * ordering  see __schedule
 * linux     schedule in kernel/sched/core.c
 */
	.balign	0x8
	.global	schedule
schedule:
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	mov	x0, #TASK_NVCSW			// the counter that a switch from here goes to
	bl	__schedule
	ldp	x29, x30, [sp], #0x10
	ret
