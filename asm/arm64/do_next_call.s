/*
 * do_next_call (arm64): make the call at current's work_cursor and advance the cursor
 *
 * reached   by calls from worker and vector_syscall
 * in        current: work, work_end, work_cursor
 * out       work_cursor at the next entry; outside the table it goes back to work
 * clobbers  x0-x17, nzcv
 * stack     0x10 bytes, a frame record
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.global	do_next_call
do_next_call:
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	mrs	x9, tpidr_el1
	ldr	x9, [x9, #PCPU_CURRENT_TASK]
	ldr	x0, [x9, #TASK_WORK_CURSOR]
	ldr	x10, [x9, #TASK_WORK]
	ldr	x11, [x9, #TASK_WORK_END]
	sub	x12, x0, x10
	sub	x11, x11, x10
	cmp	x12, x11			// unsigned: below the table is outside it, too
	b.lo	.Linside
	mov	x0, x10				// wrapped, or the table was changed under us
.Linside:
	add	x10, x0, #CALL_SIZE
	str	x10, [x9, #TASK_WORK_CURSOR]
	bl	do_one_call
	ldp	x29, x30, [sp], #0x10
	ret
