/*
 * __fentry__: what an entry site calls before ftrace_init turned it into a NOP
 *
 * reached   call at a function's first instruction
 * in        the traced function's arguments
 * out       everything as it was
 * clobbers  nothing
 * stack     none
 * ordering  none
 * linux     arch/x86/kernel/ftrace_64.S __fentry__
 */
	.global	__fentry__
__fentry__:
	ret
