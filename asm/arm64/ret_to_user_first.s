/*
 * ret_to_user_first (arm64): where a new user task begins
 *
 * reached   by finish_task_switch: it is the lr of the frame that Python made
 * in        current is the new task; interrupts masked
 * out       user_pc on user_sp, all general registers 0, interrupts on
 * clobbers  everything
 * stack     the kernel stack is empty again on the way out
 * ordering  eret is a context synchronisation event
 * linux     ret_from_fork -> ret_to_user in arch/arm64/kernel/entry.S
 */
	.balign	0x8
	.global	ret_to_user_first
ret_to_user_first:
	sub	sp, sp, #PTREGS_SIZE			// the place of a user task's registers
	stp	xzr, xzr, [sp, #PTREGS_STACKFRAME]	// final frame record
	add	x29, sp, #PTREGS_STACKFRAME
	stp	xzr, xzr, [sp, #PTREGS_X0]		// user text sees nothing of the kernel's
	stp	xzr, xzr, [sp, #PTREGS_X2]
	stp	xzr, xzr, [sp, #PTREGS_X4]
	stp	xzr, xzr, [sp, #PTREGS_X6]
	stp	xzr, xzr, [sp, #PTREGS_X8]
	stp	xzr, xzr, [sp, #PTREGS_X10]
	stp	xzr, xzr, [sp, #PTREGS_X12]
	stp	xzr, xzr, [sp, #PTREGS_X14]
	stp	xzr, xzr, [sp, #PTREGS_X16]
	stp	xzr, xzr, [sp, #PTREGS_X18]
	stp	xzr, xzr, [sp, #PTREGS_X20]
	stp	xzr, xzr, [sp, #PTREGS_X22]
	stp	xzr, xzr, [sp, #PTREGS_X24]
	stp	xzr, xzr, [sp, #PTREGS_X26]
	stp	xzr, xzr, [sp, #PTREGS_X28]
	mrs	x9, tpidr_el1
	ldr	x9, [x9, #PCPU_CURRENT_TASK]
	ldr	x10, [x9, #TASK_USER_SP]
	stp	xzr, x10, [sp, #PTREGS_LR]		// lr, sp
	ldr	x10, [x9, #TASK_USER_PC]
	mov	x11, #PSTATE_EL1H			// PSTATE_I clear: interrupts on
	stp	x10, x11, [sp, #PTREGS_PC]		// pc, pstate
	bl	exit_to_user_mode
	b	kernel_exit
