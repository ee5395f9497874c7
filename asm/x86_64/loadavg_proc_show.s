/*
 * loadavg_proc_show(buf): tell which version ran
 *
 * reached   call
 * in        rdi  8 bytes to write
 * out       eax  0    [buf]  orig, NULs
 * clobbers  rax
 * stack     none
 * ordering  none
 * linux     fs/proc/loadavg.c loadavg_proc_show
 */
	.global	loadavg_proc_show
loadavg_proc_show:
	.global	__mcount_loc_loadavg_proc_show
__mcount_loc_loadavg_proc_show:
	call	__fentry__
	mov	eax, 0x6769726f			# orig, and four NULs
	mov	[rdi], rax
	xor	eax, eax
	ret
