/*
 * vector_sync: sync IPI, the guest's sync_core()
 *
 * reached   by the machine; ss, rsp, rflags, cs, rip pushed, interrupts off
 * in        gs base  percpu
 * out       every register as it was
 * clobbers  nothing
 * stack     0x38 bytes below the frame
 * ordering  the first iretq serialises before sync_ack is stored: who sees the count sees a
 *           CPU that fetches text anew. Pairs with the wait of text_poke_sync
 * linux     arch/x86/include/asm/sync_core.h iret_to_self, called by do_sync_core
 */
	.global	vector_sync
vector_sync:
	push	rax
	push	rcx
	rdgsbase	rax
	add	qword ptr [rax + PCPU_PREEMPT_COUNT], HARDIRQ_OFFSET
	mov	rcx, rsp			# the stack after iretq
	push	KERNEL_DS
	push	rcx
	pushfq
	push	KERNEL_CS
	lea	rcx, [rip + .Lserialised]
	push	rcx
	iretq					# to the next line: only to serialise
.Lserialised:
	inc	qword ptr [rax + PCPU_SYNC_ACK]
	sub	qword ptr [rax + PCPU_PREEMPT_COUNT], HARDIRQ_OFFSET
	pop	rcx
	pop	rax
	iretq
