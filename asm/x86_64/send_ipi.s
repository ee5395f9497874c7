/*
 * send_ipi(cpu, kind): raise an interrupt on another CPU
 *
 * reached   call; the machine sees the landing and raises it
 * in        rdi  cpu    rsi  0 sync, 1 timer, 2 reschedule
 * out       nothing
 * clobbers  nothing
 * stack     none
 * ordering  none
 * linux     arch/x86/kernel/apic/ipi.c __default_send_IPI_dest_field
 */
	.global	send_ipi
send_ipi:
	ret
