/*
 * __switch_to(prev, next): change stacks, and with them tasks
 *
 * reached   call from __schedule, interrupts off
 * in        rdi  prev, the current task    rsi  next, another one
 * out       goes on in finish_task_switch on next's stack
 * clobbers  nothing for prev when it comes back, but rax and flags
 * stack     SWITCH_FRAME_SIZE bytes with the return address, the layout of
 *           struct inactive_task_frame, so that new tasks and unwinders can share it
 * ordering  none: both tasks belong to this CPU
 * linux     arch/x86/entry/entry_64.S __switch_to_asm and process_64.c __switch_to
 */
	.global	__switch_to
__switch_to:
	push	rbp				# SWITCH_FRAME_BP
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15				# SWITCH_FRAME_R15, where sp points
	mov	[rdi + TASK_SP], rsp
	rdgsbase	rax
	mov	[rax + PCPU_CURRENT_TASK], rsi
	mov	rsp, [rsi + TASK_TOP_OF_STACK]
	mov	[rax + PCPU_TOP_OF_STACK], rsp	# for the next entry from user text
	mov	rsp, [rsi + TASK_SP]
	jmp	finish_task_switch		# a jump: the machine sees the landing
