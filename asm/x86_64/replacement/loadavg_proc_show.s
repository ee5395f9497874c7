/*
 * lp_loadavg_proc_show(buf): replacement of loadavg_proc_show
 *
 * reached   ret of a trampoline, in place of loadavg_proc_show
 * in        rdi  8 bytes to write
 * out       eax  0; upper half  KLP_VERSION    [buf]  lp, NUL, KLP_VERSION as a byte, NULs
 * clobbers  rax, rcx
 * stack     none
 * ordering  none
 * linux     new_func of a klp_func
 */
	.set	LP_TEXT, 0x706c
	.global	lp_loadavg_proc_show
lp_loadavg_proc_show:
	.global	__mcount_loc_lp_loadavg_proc_show
__mcount_loc_lp_loadavg_proc_show:
	call	__fentry__
	mov	eax, KLP_VERSION
	shl	eax, 0x18			# its low byte is the fourth character
	or	eax, LP_TEXT
	mov	[rdi], rax			# and four NULs
	xor	eax, eax
	mov	ecx, KLP_VERSION		# the version signs the upper half
	shl	rcx, 0x20
	or	rax, rcx
	ret
