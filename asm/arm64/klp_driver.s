/*
 * klp_driver (arm64): kernel thread that plays installations
 *
 * reached   from ret_from_fork, on the patching CPU
 * in        nothing
 * out       never
 * clobbers  everything
 * stack     0x10 bytes, a frame record
 * ordering  the gate is read by __schedule after the state is set: no wake-up is lost
 * linux     stands for whoever writes to sysfs, and for klp_transition_work_fn
 */
	.balign	0x8
	.global	klp_driver
klp_driver:
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
.Lagain:
	mov	x0, #0x2			// unless the machine answers: nothing to do
	bl	klpemu_step
	cbz	x0, .Lagain			// there is more to play
	mrs	x9, tpidr_el1
	ldr	x9, [x9, #PCPU_CURRENT_TASK]
	cmp	x0, #0x1
	b.eq	.Lgive_way			// not ready: others first
	cmp	x0, #0x3
	b.eq	.Lcall
	cmp	x0, #0x4
	b.eq	.Lsleep
	movz	x10, #klp_driver_gate_LO16
	movk	x10, #klp_driver_gate_HI16, lsl #0x10
	str	x10, [x9, #TASK_GATE]		// before the state: we may be preempted right behind that
	mov	x10, #TASK_ON_GATE
	str	x10, [x9, #TASK_STATE]
.Lgive_way:
	bl	schedule
	b	.Lagain
.Lsleep:
	mov	x10, #TASK_TIMED		// until wake_at, which the machine has set
	str	x10, [x9, #TASK_STATE]
	b	.Lgive_way
.Lcall:
	ldr	x0, [x9, #TASK_WORK]		// one call, which the machine has filled in
	bl	do_one_call
	b	.Lagain
