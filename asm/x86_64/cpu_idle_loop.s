/*
 * cpu_idle_loop: what a CPU does while no task wants it
 *
 * reached   jump from start_cpu and from its own end, so each round is a landing
 * in        gs base  percpu    current  the idle task    rsp  its stack, 16-aligned
 * out       does not return
 * clobbers  everything
 * stack     none of its own
 * ordering  interrupts are off from the look at TIF_PATCH_PENDING to the hlt: an interrupt
 *           sent after another CPU set the flag stays pending until sti, ends the hlt, and
 *           the next round sees the flag. sti holds interrupts off for one more instruction
 *           (Intel SDM vol. 2B, STI), so none is lost between sti and hlt
 * linux     kernel/sched/idle.c do_idle, arch/x86 default_idle
 */
	.global	cpu_idle_loop
cpu_idle_loop:
.Lround:
	cli
	rdgsbase	rbx
	mov	rdi, [rbx + PCPU_CURRENT_TASK]
	bt	qword ptr [rdi + TASK_FLAGS], TIF_PATCH_PENDING
	jnc	.Lswitched
	call	klp_update_patch_state		# nothing of ours is on an idle task's stack
.Lswitched:
	inc	qword ptr [rbx + PCPU_RCU_QS]	# idle holds no reference
	call	schedule			# comes back with interrupts still off
	sti
	hlt
	jmp	.Lround
