# The same with a site that jumps, and a trampoline that jumps on: every return is where its call was.
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
	jmp	trampoline
trampoline:
	lea	rax, [rip + replacement]
	jmp	rax
replacement:
	ret
