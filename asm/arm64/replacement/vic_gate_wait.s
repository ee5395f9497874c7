/*
 * lp_vic_gate_wait (arm64): replacement of vic_gate_wait: pass a gate, or sleep until it is open
 *
 * reached   from the trampoline at vic_gate_wait's site, by RET with x30 = the caller
 * in        x0   gate, 0 to 0xf    x1   not 0: a signal wakes the sleeper, too
 * out       x0   low half 0 behind the open gate, -ERESTARTSYS if a signal came first; upper half
 *           KLP_VERSION
 * clobbers  x0-x17, nzcv
 * stack     0x30 bytes with a frame record
 * ordering  the gate is read by __schedule after the state is set: no wake-up is lost; ldar of
 *           the gate: what was stored before it was opened is seen
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_vic_gate_wait starts behind it
	.global	lp_vic_gate_wait
lp_vic_gate_wait:
	.global	__mcount_loc_lp_vic_gate_wait
__mcount_loc_lp_vic_gate_wait:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	stp	x29, x30, [sp, #-0x30]!
	mov	x29, sp
	stp	x19, x20, [sp, #0x10]
	str	x21, [sp, #0x20]
	movz	x19, #vic_gates_LO16
	movk	x19, #vic_gates_HI16, lsl #0x10
	add	x19, x19, w0, uxtw #0x3
	mov	x20, #TASK_ON_GATE
	cbz	w1, .Lhow
	mov	x20, #TASK_ON_GATE_INTR
.Lhow:
	mrs	x21, tpidr_el1
	ldr	x21, [x21, #PCPU_CURRENT_TASK]
.Llook:
	mov	w0, wzr
	ldar	x9, [x19]
	cbnz	x9, .Lout
	cmp	x20, #TASK_ON_GATE_INTR
	b.ne	.Lsleep
	ldr	x9, [x21, #TASK_FLAGS]
	tbnz	x9, #TIF_SIGPENDING, .Lsignal
.Lsleep:
	str	x19, [x21, #TASK_GATE]		// before the state: we may be preempted right behind that
	str	x20, [x21, #TASK_STATE]
	bl	schedule
	b	.Llook
.Lsignal:
	movn	w0, #0x1ff			// -ERESTARTSYS
.Lout:
	ldr	x21, [sp, #0x20]
	ldp	x19, x20, [sp, #0x10]
	ldp	x29, x30, [sp], #0x30
	movk	x0, #KLP_VERSION, lsl #0x20	// who answered
	ret
