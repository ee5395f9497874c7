/*
 * klpemu_step(): one installer operation
 *
 * reached   call from klp_driver; the machine sees the landing and does the work
 * in        nothing
 * out       rax, set by the machine: 0 call again, 1 not ready, 2 nothing to do,
 *           3 make the call at current.work, 4 sleep until current.wake_at
 * clobbers  rax, by the machine
 * stack     none
 * ordering  the operation's own
 * linux     none: stands for a step of kernel/livepatch/core.c
 */
	.global	klpemu_step
klpemu_step:
	ret
