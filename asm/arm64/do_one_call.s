/*
 * do_one_call (arm64): make one call of a table and check everything that it must leave alone
 *
 * reached   by calls from do_next_call
 * in        x0   the call_entry
 * out       current.calls_done up; a wrong result, callee-saved register, fp or sp: percpu.bad_results
 *           up and one WARN
 * clobbers  x0-x17, nzcv
 * stack     0x70 bytes with a frame record, then 0x10 for arguments 9 and 10
 * ordering  none
 * linux     none
 */
	.set	FRAME_ENTRY, 0x60		// behind the frame record and x19-x28
	.balign	0x8
	.global	do_one_call
do_one_call:
	stp	x29, x30, [sp, #-0x70]!
	mov	x29, sp
	stp	x19, x20, [sp, #0x10]
	stp	x21, x22, [sp, #0x20]
	stp	x23, x24, [sp, #0x30]
	stp	x25, x26, [sp, #0x40]
	stp	x27, x28, [sp, #0x50]
	str	x0, [sp, #FRAME_ENTRY]
	movz	x19, #0xca19, lsl #0x30		// canaries: the register's number under 0xca
	movz	x20, #0xca20, lsl #0x30
	movz	x21, #0xca21, lsl #0x30
	movz	x22, #0xca22, lsl #0x30
	movz	x23, #0xca23, lsl #0x30
	movz	x24, #0xca24, lsl #0x30
	movz	x25, #0xca25, lsl #0x30
	movz	x26, #0xca26, lsl #0x30
	movz	x27, #0xca27, lsl #0x30
	ldr	x16, [x0, #CALL_FN]
	add	x9, x0, #CALL_ARGS		// from here on x9 walks the arguments
	ldp	x0, x1, [x9], #0x10
	ldp	x2, x3, [x9], #0x10
	ldp	x4, x5, [x9], #0x10
	ldp	x6, x7, [x9], #0x10
	ldp	x10, x11, [x9]
	stp	x10, x11, [sp, #-0x10]!		// arguments 9 and 10 go by the stack
	mov	x28, sp				// the canary of x28 is what sp must be
	blr	x16
	mov	x10, sp
	sub	x11, x29, #0x10			// what sp must be if fp is right
	eor	x12, x10, x11			// x12 gathers differences; 0 = all well
	eor	x13, x10, x28
	orr	x12, x12, x13
	cmp	x11, x28
	csel	x10, x28, x10, eq		// two of sp, fp and x28 agree: they are right about sp
	mov	sp, x10
	add	x29, x10, #0x10
	movz	x13, #0xca19, lsl #0x30
	eor	x13, x13, x19
	orr	x12, x12, x13
	movz	x13, #0xca20, lsl #0x30
	eor	x13, x13, x20
	orr	x12, x12, x13
	movz	x13, #0xca21, lsl #0x30
	eor	x13, x13, x21
	orr	x12, x12, x13
	movz	x13, #0xca22, lsl #0x30
	eor	x13, x13, x22
	orr	x12, x12, x13
	movz	x13, #0xca23, lsl #0x30
	eor	x13, x13, x23
	orr	x12, x12, x13
	movz	x13, #0xca24, lsl #0x30
	eor	x13, x13, x24
	orr	x12, x12, x13
	movz	x13, #0xca25, lsl #0x30
	eor	x13, x13, x25
	orr	x12, x12, x13
	movz	x13, #0xca26, lsl #0x30
	eor	x13, x13, x26
	orr	x12, x12, x13
	movz	x13, #0xca27, lsl #0x30
	eor	x13, x13, x27
	orr	x12, x12, x13
	ldr	x9, [x29, #FRAME_ENTRY]		// the call_entry again
	str	x0, [x9, #CALL_RESULT]
	ldr	x13, [x9, #CALL_FLAGS]
	cbnz	x13, .Lany			// CALL_ANY_RESULT
	ldr	w13, [x9, #CALL_EXPECTED]	// low half: the upper one tells who answered
	eor	w13, w13, w0
	orr	x12, x12, x13
.Lany:
	mrs	x9, tpidr_el1
	cbnz	x12, .Lbad
.Lcounted:
	ldr	x10, [x9, #PCPU_CURRENT_TASK]
	ldr	x11, [x10, #TASK_CALLS_DONE]
	add	x11, x11, #0x1
	str	x11, [x10, #TASK_CALLS_DONE]
	mov	sp, x29
	ldp	x19, x20, [sp, #0x10]
	ldp	x21, x22, [sp, #0x20]
	ldp	x23, x24, [sp, #0x30]
	ldp	x25, x26, [sp, #0x40]
	ldp	x27, x28, [sp, #0x50]
	ldp	x29, x30, [sp], #0x70
	ret
.Lbad:
	add	x10, x9, #PCPU_BAD_RESULTS
.Lcount_bad:
	ldxr	x11, [x10]
	add	x11, x11, #0x1
	stxr	w12, x11, [x10]
	cbnz	w12, .Lcount_bad		// another task of this CPU counted in between
	.global	__warn_bad_result
__warn_bad_result:
	brk	#0x800
	b	.Lcounted
