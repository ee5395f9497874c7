/*
 * vic_gate_wait (arm64): pass a gate, or sleep until it is open
 *
 * reached   by calls
 * in        x0   gate, 0 to 0xf    x1   not 0: a signal wakes the sleeper, too
 * out       x0   0 behind the open gate; -ERESTARTSYS if a signal came first
 * clobbers  x0-x17, nzcv
 * stack     0x30 bytes with a frame record
 * ordering  the gate is read by __schedule after the state is set: no wake-up is lost; ldar of
 *           the gate: what was stored before it was opened is seen
 * linux     none: wait_event and wait_event_interruptible in include/linux/wait.h
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; vic_gate_wait starts behind it
	.global	vic_gate_wait
vic_gate_wait:
	.global	__mcount_loc_vic_gate_wait
__mcount_loc_vic_gate_wait:
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
	movz	x9, #schedule_LO16		// by address: it may be out of a BL's reach
	movk	x9, #schedule_HI16, lsl #0x10
	blr	x9
	b	.Llook
.Lsignal:
	movn	w0, #0x1ff			// -ERESTARTSYS
.Lout:
	ldr	x21, [sp, #0x20]
	ldp	x19, x20, [sp, #0x10]
	ldp	x29, x30, [sp], #0x30
	ret
