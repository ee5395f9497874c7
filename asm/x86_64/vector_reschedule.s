/*
 * vector_reschedule: reschedule IPI
 *
 * reached   by the machine; ss, rsp, rflags, cs, rip pushed, interrupts off
 * in        gs base  percpu
 * out       every register as it was, perhaps after other tasks ran
 * clobbers  nothing
 * stack     a pt_regs with the machine's part; orig_ax holds rbp, see interrupt_common
 * ordering  none
 * linux     arch/x86/include/asm/idtentry.h, asm_sysvec_reschedule_ipi
 */
	.global	vector_reschedule
vector_reschedule:
	push	rbp				# with rip above it: a frame record of the interrupted code
	push	rdi				# PTREGS_DI
	mov	edi, reschedule_interrupt
	jmp	interrupt_common
