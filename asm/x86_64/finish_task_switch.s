/*
 * finish_task_switch: first code of a task that was switched in
 *
 * reached   jump from __switch_to, interrupts off; `current` has changed
 * in        rsp  the task's __switch_to frame
 * out       returns to the frame's ret_addr: __schedule, or where a new task begins
 * clobbers  nothing that is not loaded from the frame
 * stack     drops SWITCH_FRAME_SIZE bytes
 * ordering  none
 * linux     end of __switch_to_asm; kernel/sched/core.c finish_task_switch
 */
	.global	finish_task_switch
finish_task_switch:
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret
