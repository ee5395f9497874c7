/*
 * start_cpu (arm64): the first instruction of each CPU; it becomes the CPU's idle task
 *
 * reached   by the machine, interrupts masked
 * in        x0   address of this CPU's percpu area; no other register is set
 * out       never: jumps to cpu_idle_loop
 * clobbers  everything
 * stack     the idle task's, from its top; a final frame record {0, 0} ends backtraces there
 * ordering  none: the area was complete before the CPU was let loose
 * linux     secondary_startup, __secondary_switched in arch/arm64/kernel/head.S
 */
	.balign	0x8
	.global	start_cpu
start_cpu:
	msr	tpidr_el1, x0			// per-CPU accesses work from here on
	ldr	x9, [x0, #PCPU_IDLE_TASK]
	str	x9, [x0, #PCPU_CURRENT_TASK]
	ldr	x10, [x9, #TASK_TOP_OF_STACK]
	str	x10, [x0, #PCPU_TOP_OF_STACK]
	mov	sp, x10
	stp	xzr, xzr, [sp, #-0x10]!		// final frame record: there is no caller
	mov	x29, sp
	mov	x30, xzr
	mov	x11, #0x1
	str	x11, [x0, #PCPU_ONLINE]
	msr	daifclr, #0x2
	b	cpu_idle_loop
	nop					// never runs: the jump stays a landing wherever its target is placed
