"""A port's facts about calls, NOPs and text pokes hold together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.arch import PORTS, OutOfReachError, Port
from emu.arch.tracing import Poke
from emu.build.memory_map import KERNEL_TEXT, MODULES, TEXT_WINDOWS, TRAMPOLINES
from emu.ftrace import step_names

SITE = 1 << 40
"""Far enough from 0 that every reach fits below it."""

some_port = st.sampled_from(list(PORTS.values()))


def granule(port: Port) -> int:
    """Return the alignment of instructions, bytes: that of the shortest, the trap."""
    return len(port.trap)


def reaches(port: Port, delta: int) -> bool:
    try:
        code = port.encode_call(SITE, SITE + delta)
    except OutOfReachError:
        return False
    assert port.call_target(SITE, code) == SITE + delta
    return True


class TestCalls:
    """A direct call can be written and read back, as far as the port says it reaches."""

    @settings(max_examples=200, deadline=None)
    @given(port=some_port, data=st.data())
    def test_decoding_an_encoded_call_gives_back_its_target(self, port: Port, data: st.DataObject) -> None:
        furthest = (port.site.reach - 64) // granule(port)
        delta = granule(port) * data.draw(st.integers(-furthest, furthest))
        code = port.encode_call(SITE, SITE + delta)
        assert len(code) == port.site.poke_size
        assert port.call_target(SITE, code) == SITE + delta

    @settings(max_examples=200, deadline=None)
    @given(port=some_port, data=st.data())
    def test_encoding_a_decoded_call_gives_back_its_bytes(self, port: Port, data: st.DataObject) -> None:
        low, high = port.encode_call(SITE, SITE), port.encode_call(SITE, SITE + (1 << 20))
        kind = bytes(a & b for a, b in zip(low, high, strict=True))
        noise = data.draw(st.binary(min_size=len(kind), max_size=len(kind)))
        for code in (noise, kind[:1] + noise[1:], noise[:-1] + kind[-1:]):
            target = port.call_target(SITE, code)
            assert target is None or port.encode_call(SITE, target) == code

    @pytest.mark.parametrize("sign", [1, -1])
    def test_reach_ends_where_the_port_says(self, port: Port, sign: int) -> None:
        step, reach = granule(port), port.site.reach
        deltas = [sign * (reach + step * i) for i in range(-16, 17)]
        found = [reaches(port, delta) for delta in deltas]
        assert found[0]
        assert not found[-1]
        assert found == sorted(found, reverse=True), "it ends once and for all"

    def test_out_of_reach_tells_site_target_and_reach(self, port: Port) -> None:
        target = SITE + port.site.reach + 64
        with pytest.raises(OutOfReachError, match=rf"{SITE:#x}.*{target:#x}") as caught:
            port.encode_call(SITE, target)
        assert f"{port.site.reach:#x}" in str(caught.value)

    def test_kernel_modules_and_trampolines_reach_one_another(self, port: Port) -> None:
        for site in (KERNEL_TEXT.base, TRAMPOLINES.base, MODULES.end - 64):
            for target in (KERNEL_TEXT.base, TRAMPOLINES.end - 64, MODULES.end - 64):
                assert port.call_target(site, port.encode_call(site, target)) == target

    def test_what_is_out_of_reach_in_the_memory_map_has_a_plt(self, port: Port) -> None:
        widest = max(w.end for w in TEXT_WINDOWS) - min(w.base for w in TEXT_WINDOWS)
        assert port.site.reach > widest or port.tracing.plt_entry is not None


class TestSites:
    """Entry site facts agree with one another."""

    def test_off_state_is_one_nop_of_the_poked_size_and_no_call(self, port: Port) -> None:
        site = port.site
        assert len(site.nop) == site.poke_size
        assert site.nops.fullmatch(site.nop)
        assert port.call_target(SITE, site.nop) is None

    def test_neither_trap_nor_landing_pad_is_a_call_or_nop(self, port: Port) -> None:
        for code in (port.trap, *port.site.landing_pads):
            padded = (code + port.site.nop)[: port.site.poke_size]
            assert port.call_target(SITE, padded) is None
            assert not port.site.nops.fullmatch(code)

    def test_prologue_poke_and_body_follow_one_another(self, port: Port) -> None:
        site = port.site
        assert len(site.prologue) == site.poke_offset
        assert site.body_offset == site.poke_offset + site.poke_size

    def test_trap_fill_is_traps_only(self, port: Port) -> None:
        assert port.trap_fill(4 * len(port.trap)).tobytes() == 4 * port.trap
        assert len(port.trap_fill(4096)) == 4096


class TestPokes:
    """A poke leaves the new bytes, by steps that all have a name and a reason."""

    def steps(self, port: Port) -> list[tuple[int, bytes, str]]:
        call = port.encode_call(SITE, SITE + 4096)
        pokes = [Poke(address=SITE, data=call), Poke(address=SITE + 256, data=port.site.nop)]
        steps = [*port.tracing.poke_steps(pokes[:1], 1 << 20), *port.tracing.poke_steps(pokes[1:], 1 << 20)]
        steps += port.tracing.early_steps(pokes)
        return [(step.address, step.data, step.what) for step in steps]

    def test_every_step_is_named_with_what_goes_wrong_without_it(self, port: Port) -> None:
        names = step_names(port)
        assert {what for _, _, what in self.steps(port)} <= names.keys()
        assert all(names.values())

    def test_stores_add_up_to_the_new_bytes(self, port: Port) -> None:
        call = port.encode_call(SITE, SITE + 4096)
        memory = dict(enumerate(port.site.nop))
        for step in port.tracing.poke_steps([Poke(address=SITE, data=call)], 1 << 20):
            if step.kind.name == "TEXT_STORE":
                memory |= dict(enumerate(step.data, step.address - SITE))
        assert bytes(memory[at] for at in sorted(memory)) == call

    def test_shield_and_private_trampolines_are_described_whole_or_not_at_all(self, port: Port) -> None:
        tracing = port.tracing
        assert bool(tracing.shield) == bool(tracing.shield_entry)
        assert (tracing.trampoline_size is None) == (tracing.copy_trampoline is None)
