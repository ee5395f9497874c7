/*
 * dup_task_struct(child): a child's task_struct, as current's is now
 *
 * reached   call from kernel_clone
 * in        rdi  child, a spare task
 * out       its name, flags and patch_state are current's, its counters 0, its calls child_work's
 * clobbers  rax, rcx, rdx, flags
 * stack     none
 * ordering  none: TIF_PATCH_PENDING and patch_state may change behind us, and not together;
 *           klp_copy_process is what puts them right
 * linux     kernel/fork.c dup_task_struct, and setup_thread_stack, which copies thread_info
 */
	.set	TASK_COMM_END, TASK_COMM + 0x8
	.global	dup_task_struct
dup_task_struct:
	rdgsbase	rax
	mov	rax, [rax + PCPU_CURRENT_TASK]
	mov	rcx, [rax + TASK_FLAGS]
	mov	[rdi + TASK_FLAGS], rcx		# thread_info, TIF_PATCH_PENDING in it
	mov	rcx, [rax + TASK_PATCH_STATE]
	mov	[rdi + TASK_PATCH_STATE], rcx
	mov	rcx, [rax + TASK_COMM]
	mov	[rdi + TASK_COMM], rcx
	mov	rcx, [rax + TASK_COMM_END]
	mov	[rdi + TASK_COMM_END], rcx
	xor	ecx, ecx
	mov	[rdi + TASK_TRACE_RECURSION], rcx
	mov	[rdi + TASK_WAKE_AT], rcx
	mov	[rdi + TASK_NVCSW], rcx
	mov	[rdi + TASK_NIVCSW], rcx
	mov	[rdi + TASK_PF_FLAGS], rcx	# a user task
	mov	[rdi + TASK_CALLS_DONE], rcx
	mov	[rdi + TASK_GATE], rcx
	mov	[rdi + TASK_REQUEST], rcx
	mov	ecx, child_work_end
	mov	rdx, [rcx]
	mov	[rdi + TASK_WORK_END], rdx
	mov	ecx, child_work
	mov	rdx, [rcx]
	mov	[rdi + TASK_WORK], rdx
	mov	[rdi + TASK_WORK_CURSOR], rdx
	ret
