# A traced function enters its replacement as x86-64 livepatch does: the return slot is rewritten.
	.intel_syntax noprefix
	.globl calls
calls:
	push	rbx
	mov	ebx, edi
.Lnext:
	call	function
	dec	ebx
	jnz	.Lnext
	pop	rbx
	ret
function:
	call	trampoline
trampoline:
	lea	rax, [rip + replacement]
	mov	[rsp], rax
	ret					# the return stack expects the address behind the call
replacement:
	ret
