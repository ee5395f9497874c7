/*
 * __switch_to (arm64): leave one task's kernel stack for another's
 *
 * reached   by a call from __schedule, interrupts masked
 * in        x0   prev, the task that runs          x1   next
 * out       by way of finish_task_switch, to where next called __switch_to; a new task: to
 *           ret_from_fork or ret_to_user_first
 * clobbers  x9, x10
 * stack     SWITCH_FRAME_SIZE bytes on prev's, as emu/arch/arm64/port.py lays out; its fp and lr
 *           are a frame record
 * ordering  none here: __schedule has the barriers
 * linux     cpu_switch_to in arch/arm64/kernel/entry.S, which saves in thread_struct instead
 */
	.balign	0x8
	.global	__switch_to
__switch_to:
	sub	sp, sp, #SWITCH_FRAME_SIZE
	stp	x19, x20, [sp, #SWITCH_FRAME_X19]
	stp	x21, x22, [sp, #SWITCH_FRAME_X21]
	stp	x23, x24, [sp, #SWITCH_FRAME_X23]
	stp	x25, x26, [sp, #SWITCH_FRAME_X25]
	stp	x27, x28, [sp, #SWITCH_FRAME_X27]
	stp	x29, x30, [sp, #SWITCH_FRAME_FP]
	mov	x9, sp
	str	x9, [x0, #TASK_SP]
	mrs	x9, tpidr_el1
	str	x1, [x9, #PCPU_CURRENT_TASK]
	ldr	x10, [x1, #TASK_TOP_OF_STACK]
	str	x10, [x9, #PCPU_TOP_OF_STACK]	// for the next entry from user text
	ldr	x10, [x1, #TASK_SP]
	mov	sp, x10
	b	finish_task_switch		// a landing: the machine looks at current
	nop					// never runs: the jump stays a landing wherever its target is placed
