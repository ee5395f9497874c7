/*
 * worker(): kernel thread that calls what its table says, for ever
 *
 * reached   call from ret_from_fork
 * in        nothing
 * out       does not return
 * clobbers  everything
 * stack     a frame-pointer pair
 * ordering  none
 * linux     none: what a busy kthread is to livepatch
 */
	.global	worker
worker:
	push	rbp
	mov	rbp, rsp
.Lloop:
	call	do_next_call
	call	cond_resched
	jmp	.Lloop
