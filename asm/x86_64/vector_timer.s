/*
 * vector_timer: local timer interrupt
 *
 * reached   by the machine; ss, rsp, rflags, cs, rip pushed, interrupts off
 * in        gs base  percpu
 * out       every register as it was, perhaps after other tasks ran
 * clobbers  nothing
 * stack     a pt_regs with the machine's part; orig_ax holds rbp, see interrupt_common
 * ordering  none
 * linux     arch/x86/include/asm/idtentry.h, asm_sysvec_apic_timer_interrupt
 */
	.global	vector_timer
vector_timer:
	push	rbp				# with rip above it: a frame record of the interrupted code
	push	rdi				# PTREGS_DI
	mov	edi, timer_interrupt
	jmp	interrupt_common
