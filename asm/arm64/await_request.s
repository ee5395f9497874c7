/*
 * await_request (arm64): sleep until somebody has left a request for current, and take it
 *
 * reached   by calls
 * in        nothing
 * out       current.request 0
 * clobbers  x0-x17, nzcv
 * stack     0x20 bytes with a frame record
 * ordering  the request is read by __schedule after the state is set: no wake-up is lost
 * linux     none: a process that reads its next command from a pipe
 */
	.balign	0x8
	.global	await_request
await_request:
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	str	x19, [sp, #0x10]
	mrs	x9, tpidr_el1
	ldr	x19, [x9, #PCPU_CURRENT_TASK]
.Llook:
	ldr	x10, [x19, #TASK_REQUEST]
	cbnz	x10, .Ltake
	add	x10, x19, #TASK_REQUEST
	str	x10, [x19, #TASK_GATE]		// before the state: we may be preempted right behind that
	mov	x10, #TASK_ON_GATE
	str	x10, [x19, #TASK_STATE]
	bl	schedule
	b	.Llook
.Ltake:
	str	xzr, [x19, #TASK_REQUEST]
	ldr	x19, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	ret
