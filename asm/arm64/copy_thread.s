/*
 * copy_thread (arm64): the frame that a child's first switch takes it from
 *
 * reached   by BL from kernel_clone
 * in        x0   child
 * out       child.sp at a __switch_to frame on its empty stack, which leads to ret_to_user_first
 * clobbers  x9-x11, nzcv
 * stack     none
 * ordering  none
 * linux     copy_thread in arch/arm64/kernel/process.c
 */
	.balign	0x8
	.global	copy_thread
copy_thread:
	ldr	x9, [x0, #TASK_TOP_OF_STACK]
	sub	x10, x9, #SWITCH_FRAME_SIZE
	str	x10, [x0, #TASK_SP]
.Lclear:
	str	xzr, [x9, #-0x8]!
	cmp	x9, x10
	b.ne	.Lclear
	movz	x11, #ret_to_user_first_LO16
	movk	x11, #ret_to_user_first_HI16, lsl #0x10
	str	x11, [x10, #SWITCH_FRAME_LR]
	ret
