/*
 * worker (arm64): kernel thread that makes the calls of its table for ever
 *
 * reached   from ret_from_fork
 * in        nothing: the table is in current
 * out       never
 * clobbers  everything
 * stack     0x10 bytes, a frame record
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.global	worker
worker:
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
.Lagain:
	bl	do_next_call
	bl	cond_resched
	b	.Lagain
