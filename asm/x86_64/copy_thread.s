/*
 * copy_thread(child): the frame that a child's first switch takes it from
 *
 * reached   call from kernel_clone
 * in        rdi  child
 * out       child.sp at a __switch_to frame on its empty stack, which leads to ret_to_user_first
 * clobbers  rax, rcx, flags
 * stack     none
 * ordering  none
 * linux     arch/x86/kernel/process.c copy_thread
 */
	.set	WORD_SIZE, 0x8
	.global	copy_thread
copy_thread:
	mov	rcx, [rdi + TASK_TOP_OF_STACK]
	mov	rax, rcx
	sub	rax, SWITCH_FRAME_SIZE
	mov	[rdi + TASK_SP], rax
.Lclear:
	sub	rcx, WORD_SIZE
	mov	qword ptr [rcx], 0x0
	cmp	rcx, rax
	jne	.Lclear
	mov	ecx, ret_to_user_first
	mov	[rax + SWITCH_FRAME_RET_ADDR], rcx
	ret
