/*
 * vector_breakpoint (arm64): a BRK, of a kprobe or planted by nobody
 *
 * reached   by the machine, interrupts masked: no text of ours is patched by way of BRK
 * in        ELR_EL1, SPSR_EL1
 * out       to where pt_regs says, by way of kernel_exit; a BRK of nobody's: never, the run ends with a
 *           report, and preempt_count is left as an NMI's
 * clobbers  nothing that the interrupted code can see; nothing that the report needs: all is in pt_regs
 * stack     PTREGS_SIZE bytes
 * ordering  none
 * linux     brk_handler in arch/arm64/kernel/debug-monitors.c
 */
	.balign	0x8
	.global	vector_breakpoint
vector_breakpoint:
	msr	tpidrro_el0, x30
	bl	kernel_entry
	mrs	x9, tpidr_el1
	ldr	w10, [x9, #PCPU_PREEMPT_COUNT]
	add	x10, x10, #NMI_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]
	mov	x0, sp
	bl	kprobe_breakpoint_handler
	cbz	x0, __bug_unexpected_brk
	mrs	x9, tpidr_el1
	ldr	w10, [x9, #PCPU_PREEMPT_COUNT]
	sub	x10, x10, #NMI_OFFSET
	str	w10, [x9, #PCPU_PREEMPT_COUNT]
	b	kernel_exit
	.global	__bug_unexpected_brk
__bug_unexpected_brk:
	brk	#0x800
	b	__bug_unexpected_brk		// nothing can go on from here
