/*
 * poll_ring(budget): look for work in a ring, a number of times
 *
 * reached   call
 * in        edi  budget: how often to look
 * out       eax  what was found; 0 when the budget is used up
 * clobbers  rax, rcx, rdi, flags
 * stack     none
 * ordering  none
 * linux     none: the poll function of a driver, which a kernel thread calls over and over
 */
	.global	poll_ring
poll_ring:
	.global	__mcount_loc_poll_ring
__mcount_loc_poll_ring:
	call	__fentry__
	mov	ecx, poll_ring_head
.Llook:
	mov	eax, dword ptr [rcx]
	test	eax, eax
	jnz	.Lfound
	dec	edi
	jg	.Llook
.Lfound:
	ret
