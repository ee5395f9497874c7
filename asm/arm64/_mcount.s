/*
 * _mcount (arm64): what an old-style function names at its site
 *
 * reached   by the BL of a site before ftrace_init makes it a NOP
 * in        x0   the function's return address
 * out       nothing
 * clobbers  nothing
 * stack     none
 * ordering  none
 * linux     _mcount in arch/arm64/kernel/entry-ftrace.S
 */
	.balign	0x8
	.global	_mcount
_mcount:
	ret
