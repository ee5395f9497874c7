/*
 * lp_mini_sleep (arm64): replacement of mini_sleep: sleep for a number of jiffies, then return that number
 *
 * reached   from the trampoline at mini_sleep's site, by RET with x30 = the caller
 * in        x0   ticks
 * out       x0   low half as the original's, upper half KLP_VERSION
 * clobbers  x0-x17, nzcv
 * stack     0x20 bytes with a frame record
 * ordering  none
 * linux     none
 */
	.balign	0x8
	.8byte	0x0				// room for the ops pointer; lp_mini_sleep starts behind it
	.global	lp_mini_sleep
lp_mini_sleep:
	.global	__mcount_loc_lp_mini_sleep
__mcount_loc_lp_mini_sleep:
	nop					// becomes MOV x9, x30 at boot
	nop					// becomes BL while traced
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	str	x19, [sp, #0x10]
	mov	w19, w0
	mrs	x9, tpidr_el1
	ldr	x10, [x9, #PCPU_JIFFIES]
	add	x10, x10, x19
	ldr	x9, [x9, #PCPU_CURRENT_TASK]
	str	x10, [x9, #TASK_WAKE_AT]	// before the state: we may be preempted right behind that
	mov	x10, #TASK_TIMED
	str	x10, [x9, #TASK_STATE]
	bl	schedule
	mov	w0, w19
	ldr	x19, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	movk	x0, #KLP_VERSION, lsl #0x20	// who answered
	ret
