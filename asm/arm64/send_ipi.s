/*
 * send_ipi (arm64): raise an interrupt on a CPU
 *
 * reached   by calls; the machine listens here
 * in        x0   CPU number          x1   kind: 0 sync, 1 timer, 2 reschedule
 * out       nothing
 * clobbers  nothing
 * stack     none
 * ordering  none: the caller brings its barriers
 * linux     smp_cross_call in arch/arm64/kernel/smp.c
 */
	.balign	0x8
	.global	send_ipi
send_ipi:
	ret
