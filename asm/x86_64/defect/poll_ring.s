/*
 * poll_ring(budget), without a budget: looks for work in a ring until there is some
 *
 * reached   call
 * in        edi  not used
 * out       eax  what was found
 * clobbers  rax, rcx, flags
 * stack     none
 * ordering  none
 * linux     a kernel thread that neither leaves the function nor calls cond_resched, e3ff7c609f39
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
	jz	.Llook				# nobody ever puts anything there
	ret
