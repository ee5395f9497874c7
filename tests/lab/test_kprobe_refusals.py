"""What kprobes refuse, beside livepatch or not."""

from __future__ import annotations

import pytest

from emu.build.decode import decode
from emu.kernel.errno import EEXIST, EILSEQ, EINVAL, ENOENT, ENOMEM
from tests.lab.users import Users


class TestRefusals:
    """What can't be probed is refused with the kernel's code, and leaves nothing."""

    @pytest.mark.parametrize(
        ("fn", "off", "error"),
        [
            ("vic_nosuch", 0, ENOENT),
            ("vic_alpha", 0x10_0000, ENOENT),  # behind every symbol
            ("call_buffer", 0, EINVAL),  # data
            ("user_loop", 0, EINVAL),  # not the kernel's
            ("kprobe_ftrace_handler", 0, EINVAL),
            ("vector_timer", 4, EINVAL),
            ("arch_ftrace_ops_list_func", 8, EINVAL),
            ("klp_ftrace_handler", -1, EINVAL),
        ],
    )
    def test_places(self, users: Users, fn: str, off: int, error: int) -> None:
        if off < 0:  # its first WARN
            traps = {place: at for at, place, _ in users.machine.kernel.image.traps}
            off = traps["klp_empty_stack"] - users.at(fn)
        assert users.insmod("kp_user", fn=fn, off=off) == -error
        assert users.log()[-1] == f"kp_user: register on {fn}+{off} post=0: {-error}"
        assert users.users.kprobes.registered() == []

    def test_between_two_instructions(self, users: Users) -> None:
        error = EILSEQ if users.machine.port.name == "x86_64" else EINVAL  # no instruction, not aligned
        behind = users.machine.port.site.body_offset
        assert users.insmod("kp_user", fn="vic_alpha", off=behind + 1) == -error
        assert users.insmod("kp_user", fn="vic_alpha", off=1) == -error

    def test_jumps_and_calls(self, users: Users) -> None:
        symbol = users.machine.loader.image("victim").symbols["vic_pair"]
        code = users.machine.kernel.engine.memory.read(symbol.address, symbol.size)
        calls = [i for i in decode(users.machine.port, code, symbol.address) if "call" in i.groups]
        offset = calls[-1].address - symbol.address
        assert users.insmod("kp_user", fn="vic_pair", off=offset) == -EINVAL
        where = f"vic_pair+{offset:#x}/{symbol.size:#x} [victim]"
        assert users.log()[0] == (
            f"klpemu: kprobes: can't run '{calls[-1].text}' at {where} elsewhere: it goes elsewhere itself"
        )

    def test_inside_an_exclusive_pair(self) -> None:
        users = Users("arm64")
        symbol = users.machine.kernel.image.symbols["klp_update_patch_state"]
        code = users.machine.kernel.engine.memory.read(symbol.address, symbol.size)
        decoded = decode(users.machine.port, code, symbol.address)
        names = [i.mnemonic for i in decoded]
        inside = (
            next(n for n, name in enumerate(names) if name.startswith("ldax") or name.startswith("ldx")) + 1
        )
        assert (
            users.insmod("kp_user", fn=symbol.name, off=decoded[inside].address - symbol.address) == -EINVAL
        )
        assert users.log()[0].endswith("an exclusive load before it waits for its store")

    def test_a_second_one_there(self, users: Users) -> None:
        assert users.insmod("kp_user", fn="vic_alpha") == 0
        assert users.register(users.kprobe(), "vic_alpha") == -EEXIST

    def test_a_registered_one(self, users: Users) -> None:
        probe = users.kprobe()
        assert users.register(probe, "vic_alpha") == 0
        assert users.register(probe, "vic_beta") == -EINVAL
        assert "WARNING" in users.machine.log[-1]
        users.unregister(probe)
        users.unregister(probe)  # it is not registered: nothing happens
        assert users.register(probe, "vic_beta") == 0

    def test_no_room_for_the_copies(self, users: Users) -> None:
        users.machine.kernel.fail = lambda step: ENOMEM if step == "text_alloc" else 0
        offset = users.machine.port.site.body_offset
        assert users.insmod("kp_user", fn="vic_alpha", off=offset) == -ENOMEM
        users.machine.kernel.fail = lambda _step: 0
        assert users.insmod("kp_user", fn="vic_alpha", off=offset) == 0

    def test_an_armed_one_is_refused_without_a_trace(self, on_ftrace: Users) -> None:
        users = on_ftrace
        users.machine.kernel.fail = lambda step: ENOMEM if step == "register" else 0
        assert users.insmod("kp_user", fn="vic_alpha") == -ENOMEM
        users.machine.kernel.fail = lambda _step: 0
        assert users.users.kprobes.registered() == []
        assert users.enabled() == []
        assert users.insmod("kp_user", fn="vic_alpha") == 0
