"""Handlers of kprobes: one inside which another probe is hit, one that sends the call elsewhere, none."""

from __future__ import annotations

import pytest

from tests.lab.users import Users

HANDLERS = {
    "x86_64": {  # pre handlers: (kprobe in rdi, regs in rsi)
        "calls_it": """
	.global	calls_it
calls_it:
	push	rbp
	mov	edi, 0x1
	call	mini_notrace
	xor	eax, eax
	pop	rbp
	ret
""",
        "to_beta": """
	.global	to_beta
to_beta:
	mov	eax, vic_beta
	mov	[rsi + PTREGS_IP], rax
	mov	eax, 0x1
	ret
""",
    },
    "arm64": {  # (kprobe in x0, regs in x1)
        "calls_it": """
	.global	calls_it
calls_it:
	stp	x29, x30, [sp, #-0x10]!
	mov	w0, #0x1
	movz	x9, #mini_notrace_LO16
	movk	x9, #mini_notrace_HI16, lsl #0x10
	blr	x9
	mov	w0, wzr
	ldp	x29, x30, [sp], #0x10
	ret
""",
        "to_beta": """
	.global	to_beta
to_beta:
	movz	x9, #vic_beta_LO16
	movk	x9, #vic_beta_HI16, lsl #0x10
	str	x9, [x1, #PTREGS_PC]
	mov	w0, #0x1
	ret
""",
    },
}


class TestHandlers:
    """What a handler does to the probed code, and to other probes."""

    @pytest.mark.parametrize("by_ftrace", [False, True])
    def test_a_probe_hit_inside_a_handler_is_missed(self, on_ftrace: Users, by_ftrace: bool) -> None:
        users = on_ftrace
        users.add_code("handlers", HANDLERS[users.machine.port.name])
        assert users.insmod("kp_user", fn="mini_notrace", post=1) == 0
        outer = users.kprobe(pre="calls_it")
        offset = 0 if by_ftrace else users.machine.port.site.body_offset
        assert users.register(outer, "vic_alpha", offset) == 0
        assert users.users.kprobes.registered()[0].by_ftrace is by_ftrace
        inner = users.users.kprobes.registered()[1].view
        users.call("vic_alpha")
        users.call("vic_alpha")
        assert users.kprobe_hits() == (0, 0)
        assert (inner["nmissed"], outer["nmissed"]) == (2, 0)
        users.assert_sound()

    @pytest.mark.parametrize("by_ftrace", [False, True])
    def test_a_pre_handler_may_send_the_call_elsewhere(self, on_ftrace: Users, by_ftrace: bool) -> None:
        users = on_ftrace
        users.add_code("handlers", HANDLERS[users.machine.port.name])
        number = users.patch("lp_b1")
        probe = users.kprobe(pre="to_beta")
        assert (
            users.register(probe, "vic_alpha", 0 if by_ftrace else users.machine.port.site.body_offset) == 0
        )
        assert users.call("vic_alpha") == number
        users.unregister(probe)
        assert users.call("vic_alpha") == 0
        users.assert_sound()

    def test_none_at_all(self, on_ftrace: Users) -> None:
        for offset in (0, on_ftrace.machine.port.site.body_offset):
            probe = on_ftrace.kprobe()
            assert on_ftrace.register(probe, "vic_alpha", offset) == 0
            assert on_ftrace.call("vic_alpha") == 0
            on_ftrace.unregister(probe)
        on_ftrace.assert_sound()
