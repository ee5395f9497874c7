/*
 * kernel_clone (arm64): make a child of current on this CPU, a user task
 *
 * reached   by calls, interrupts on, preempt_count 0
 * in        x0   how much there is to copy: rounds of 0x20 words of the user stack, each of which
 *                may give way to other tasks, as allocations of copy_process do
 *           x1   where the child starts in user text
 * out       x0   the child's pid; -EAGAIN if every spare task of this CPU is in use
 * clobbers  x0-x17, nzcv
 * stack     0x30 bytes with a frame record
 * ordering  ldaxr takes tasklist_lock and stlr releases it: who walks the tasks on the patching CPU
 *           sees the child with flag and patch_state, or sees the parent's before they are copied
 * linux     kernel_clone, copy_process in kernel/fork.c; write_lock_irq(&tasklist_lock) there
 */
	.set	WORDS_OF_ROUND, 0x20
	.balign	0x8
	.global	kernel_clone
kernel_clone:
	stp	x29, x30, [sp, #-0x30]!
	mov	x29, sp
	stp	x19, x20, [sp, #0x10]
	stp	x21, x22, [sp, #0x20]
	mov	w21, w0				// rounds
	mrs	x9, tpidr_el1
	ldr	x20, [x9, #PCPU_CURRENT_TASK]
	movz	x10, #first_spare_LO16
	movk	x10, #first_spare_HI16, lsl #0x10
	ldr	x10, [x10]
	mov	x19, x20			// the child
	ldr	w11, [x9, #PCPU_PREEMPT_COUNT]
	add	x11, x11, #PREEMPT_OFFSET	// no other fork on this CPU meanwhile
	str	w11, [x9, #PCPU_PREEMPT_COUNT]
.Lslot:
	ldr	x19, [x19, #TASK_RQ_NEXT]
	cmp	x19, x20
	b.eq	.Lno_room
	ldr	x12, [x19, #TASK_INDEX]
	cmp	x12, x10
	b.lo	.Lslot				// not a spare one
	ldr	x12, [x19, #TASK_STATE]
	cmp	x12, #TASK_DEAD
	b.ne	.Lslot
	mov	x12, #TASK_NEW			// ours; nobody runs it or lists it
	str	x12, [x19, #TASK_STATE]
	sub	x11, x11, #PREEMPT_OFFSET
	str	w11, [x9, #PCPU_PREEMPT_COUNT]
	mov	w1, w1
	str	x1, [x19, #TASK_USER_PC]
	mov	x0, x19
	bl	dup_task_struct
.Lround:
	cbz	w21, .Lcopied
	sub	w21, w21, #0x1
	ldr	x9, [x20, #TASK_USER_SP]
	ldr	x10, [x19, #TASK_USER_SP]
	mov	x11, #WORDS_OF_ROUND
.Lword:
	ldr	x12, [x9, #-0x8]!
	str	x12, [x10, #-0x8]!
	sub	x11, x11, #0x1
	cbnz	x11, .Lword
	bl	cond_resched			// current may be switched to another patch state here
	b	.Lround
.Lcopied:
	mov	x0, x19
	bl	copy_thread
	mrs	x22, daif
	msr	daifset, #0x2
	movz	x9, #tasklist_lock_LO16
	movk	x9, #tasklist_lock_HI16, lsl #0x10
	mov	x10, #0x1
.Llock:
	ldaxr	x11, [x9]
	cbnz	x11, .Llock			// the patching CPU walks the tasks
	stxr	w12, x10, [x9]
	cbnz	w12, .Llock
	movz	x9, #last_pid_LO16
	movk	x9, #last_pid_HI16, lsl #0x10
	ldr	x10, [x9]
	add	x10, x10, #0x1
	str	x10, [x9]
	str	x10, [x19, #TASK_PID]
	mov	x0, x19
	bl	klp_copy_process
	mov	x10, #TASK_RUNNING		// from here on it is one of the tasks
	str	x10, [x19, #TASK_STATE]
	movz	x9, #tasklist_lock_LO16
	movk	x9, #tasklist_lock_HI16, lsl #0x10
	stlr	xzr, [x9]
	mrs	x9, tpidr_el1
	mov	x10, #0x1			// wake_up_new_task
	str	x10, [x9, #PCPU_NEED_RESCHED]
	msr	daif, x22
	ldr	x0, [x19, #TASK_PID]
.Lout:
	ldp	x21, x22, [sp, #0x20]
	ldp	x19, x20, [sp, #0x10]
	ldp	x29, x30, [sp], #0x30
	ret
.Lno_room:
	sub	x11, x11, #PREEMPT_OFFSET
	str	w11, [x9, #PCPU_PREEMPT_COUNT]
	movn	w0, #0xa			// -EAGAIN
	b	.Lout
