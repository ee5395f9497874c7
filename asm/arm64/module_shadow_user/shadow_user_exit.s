/*
 * shadow_user_exit (arm64): what module shadow_user does when it goes: nothing
 *
 * reached   never; what the module does when it comes is emu/lab/shadow_user.py's
 * in        nothing
 * out       nothing
 * clobbers  nothing
 * stack     none
 * ordering  none
 * linux     none: a module of the observations
 */
	.global	shadow_user_exit
shadow_user_exit:
	ret
