/*
 * klpemu_step (arm64): where the machine plays one operation of the installer
 *
 * reached   by calls from klp_driver; the machine listens here
 * in        nothing
 * out       x0   set by the machine: 0 call again, 1 not ready, 2 nothing to do,
 *           3 make the call at current.work, 4 sleep until current.wake_at
 * clobbers  nothing
 * stack     none
 * ordering  what the operation says
 * linux     none: there, this is the installer's own code
 */
	.balign	0x8
	.global	klpemu_step
klpemu_step:
	ret
