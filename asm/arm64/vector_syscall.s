/*
 * vector_syscall (arm64): SVC from user text: one call of the task's table
 *
 * reached   by the machine, interrupts masked
 * in        ELR_EL1   the instruction behind the SVC          SPSR_EL1
 * out       behind the SVC, all registers as they were
 * clobbers  nothing that user text can see
 * stack     PTREGS_SIZE bytes from percpu.top_of_stack. A return address in here means: the
 *           caller's frame record is pt_regs.stackframe
 * ordering  see exit_to_user_mode
 * linux     el0_svc in arch/arm64/kernel/entry-common.c
 */
	.balign	0x8
	.global	vector_syscall
vector_syscall:
	msr	tpidrro_el0, x30
	bl	kernel_entry
	msr	daifclr, #0x2			// the frame is complete
	bl	do_next_call
	bl	exit_to_user_mode		// masks them again
	b	kernel_exit
