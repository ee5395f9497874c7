/*
 * poke_int3_handler(regs): emulate the instruction that is being written over an int3
 *
 * reached   call from vector_breakpoint, NMI_OFFSET in preempt_count
 * in        rdi  pt_regs, ip behind the int3
 * out       eax  1: regs are as if the new instruction had run; 0: not a poked address
 * clobbers  rcx, rdx, rsi, r8, flags
 * stack     none
 * ordering  the entries are written before refs becomes non-zero: the locked cmpxchg that
 *           sees it orders their loads behind it; pairs with the refs store that opens a
 *           text_poke_bp_batch. The locked dec is the last use: pairs with the wait for refs
 *           to fall before the entries are reused
 * linux     arch/x86/kernel/alternative.c poke_int3_handler (a binary search there)
 */
	.set	BP_DESC_REFS, 0x0		# bp_desc is described in docs/guest-kernel.md only
	.set	BP_DESC_NR_ENTRIES, 0x8
	.set	BP_DESC_ENTRIES, 0x10
	.set	BP_ENTRY_ADDR, 0x0
	.set	BP_ENTRY_KIND, 0x8
	.set	BP_ENTRY_TARGET, 0x10
	.set	BP_ENTRY_SIZE, 0x18
	.set	BP_KIND_NOP, 0x0
	.set	BP_KIND_CALL, 0x1
	.set	BP_KIND_JMP, 0x2
	.set	INT3_SIZE, 0x1
	.set	SITE_SIZE, 0x5
	.global	poke_int3_handler
poke_int3_handler:
	mov	ecx, bp_desc
	mov	rax, [rcx + BP_DESC_REFS]
.Ltake:
	test	rax, rax
	jz	.Lnot_poking
	lea	rdx, [rax + 0x1]
	lock cmpxchg	qword ptr [rcx + BP_DESC_REFS], rdx
	jne	.Ltake				# rax is what it is now
	mov	rdx, [rdi + PTREGS_IP]
	sub	rdx, INT3_SIZE
	mov	rsi, [rcx + BP_DESC_NR_ENTRIES]
	lea	r8, [rcx + BP_DESC_ENTRIES]
.Lnext:
	test	rsi, rsi
	jz	.Lno_entry
	cmp	[r8 + BP_ENTRY_ADDR], rdx
	je	.Lfound
	add	r8, BP_ENTRY_SIZE
	dec	rsi
	jmp	.Lnext
.Lfound:
	add	rdx, SITE_SIZE			# behind the site: a nop's next, a call's return
	mov	rax, [r8 + BP_ENTRY_KIND]
	cmp	rax, BP_KIND_NOP
	je	.Lresume
	cmp	rax, BP_KIND_JMP
	je	.Ljump
	cmp	rax, BP_KIND_CALL
	jne	.Lno_entry			# a kind from the future
	mov	rax, [rdi + PTREGS_SP]
	sub	rax, 0x8
	mov	[rax], rdx			# into the gap that vector_breakpoint left
	mov	[rdi + PTREGS_SP], rax
.Ljump:
	mov	rdx, [r8 + BP_ENTRY_TARGET]
.Lresume:
	mov	[rdi + PTREGS_IP], rdx
	mov	eax, 0x1
	lock dec	qword ptr [rcx + BP_DESC_REFS]
	ret
.Lno_entry:
	lock dec	qword ptr [rcx + BP_DESC_REFS]
.Lnot_poking:
	xor	eax, eax
	ret
