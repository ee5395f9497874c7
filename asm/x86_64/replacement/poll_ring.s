/*
 * lp_poll_ring(budget): replacement of poll_ring
 *
 * reached   ret of a trampoline, in place of poll_ring
 * in        edi  budget: how often to look
 * out       eax  what was found; upper half  KLP_VERSION
 * clobbers  rax, rcx, rdi, flags
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.global	lp_poll_ring
lp_poll_ring:
	.global	__mcount_loc_lp_poll_ring
__mcount_loc_lp_poll_ring:
	call	__fentry__
	mov	ecx, poll_ring_head
.Llook:
	mov	eax, dword ptr [rcx]
	test	eax, eax
	jnz	.Lfound
	dec	edi
	jg	.Llook
.Lfound:
	mov	ecx, KLP_VERSION		# the version signs the upper half
	shl	rcx, 0x20
	or	rax, rcx
	ret
