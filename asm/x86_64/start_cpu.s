/*
 * start_cpu: first instruction of each CPU
 *
 * reached   by the machine, once per CPU
 * in        rdi  this CPU's percpu; nothing else is set
 * out       does not return: the CPU is its idle task from here on
 * clobbers  everything
 * stack     the idle task's, empty
 * ordering  none: `online` is the last store, and x86 keeps stores in order, so who sees it
 *           set sees current_task and top_of_stack set
 * linux     arch/x86/kernel/head_64.S secondary_startup_64, then cpu_startup_entry
 */
	.global	start_cpu
start_cpu:
	cli					# no stack to take an interrupt on yet
	wrgsbase	rdi			# stays for good: there is no swapgs
	mov	rax, [rdi + PCPU_IDLE_TASK]
	mov	[rdi + PCPU_CURRENT_TASK], rax
	mov	rsp, [rax + TASK_TOP_OF_STACK]
	mov	[rdi + PCPU_TOP_OF_STACK], rsp
	xor	ebp, ebp			# end of the frame-pointer chain
	mov	qword ptr [rdi + PCPU_ONLINE], 0x1
	sti
	jmp	cpu_idle_loop
