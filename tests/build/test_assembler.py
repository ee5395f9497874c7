"""Units are placed one behind the other, linked, and their labels known."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.arch.registry import PORTS
from emu.build.asm.assembler import Assembly, Symbol, Unit, assemble

BASE = 0x0100_0000


def build(port: str, *texts: str, base: int = BASE, align: int = 16, **equates: int) -> Assembly:
    units = [Unit(name=f"unit{n}", text=text, origin=f"unit{n}.s") for n, text in enumerate(texts)]
    return assemble(PORTS[port], units, base=base, equates=equates, align=align)


class TestPlacing:
    """Units follow each other, aligned, with traps between."""

    @pytest.mark.parametrize("port", PORTS)
    def test_gaps_hold_traps(self, port: str) -> None:
        trap = PORTS[port].trap
        code = build(port, "nop", "nop", align=0x40).code
        size = code.index(trap)
        assert code == code[:size] + trap * ((0x40 - size) // len(trap)) + code[:size]

    @pytest.mark.parametrize("port", PORTS)
    def test_a_unit_is_aligned_as_its_strictest_directive(self, port: str) -> None:
        assembly = build(port, "nop", ".balign 0x100\n.global f\nf: nop")
        assert assembly.symbols["f"].address == BASE + 0x100

    @pytest.mark.parametrize("port", PORTS)
    @pytest.mark.parametrize(("base", "align"), [(BASE + 8, 16), (BASE, 24), (BASE, 0)])
    def test_a_base_that_is_not_aligned(self, port: str, base: int, align: int) -> None:
        with pytest.raises(
            ValueError, match=r"^base 0x[0-9a-f]+ must be a multiple of align 0x[0-9a-f]+, a power"
        ):
            build(port, "nop", base=base, align=align)

    @pytest.mark.parametrize("port", PORTS)
    def test_no_units_and_empty_units(self, port: str) -> None:
        assert build(port) == Assembly(base=BASE, code=b"", symbols={}, lines=[])
        assert build(port, "", "/* nothing */\n").code == b""

    @pytest.mark.parametrize("port", PORTS)
    def test_lines_are_in_order_of_address(self, port: str) -> None:
        lines = build(port, "nop\n\n.8byte 0x0\nnop", "ret").lines
        assert [(origin, line) for _, origin, line in lines] == [
            ("unit0.s", 1),
            ("unit0.s", 4),
            ("unit1.s", 1),
        ]
        assert all(before[0] < after[0] for before, after in pairwise(lines))

    @pytest.mark.parametrize("port", PORTS)
    def test_same_input_same_bytes(self, port: str) -> None:
        texts = (".global f\nf: nop\n.Lx: nop\n", "nop\n")
        assert build(port, *texts) == build(port, *texts)


class TestLinking:
    """A name means one address, in whatever unit it stands."""

    def test_x86_64_references(self) -> None:
        first = (
            ".global f\nf: call g\njmp g\njne g\nmov ecx, g\nlea rdi, [rip + g]\n"
            "mov rax, [rip + f]\n.8byte g - f"
        )
        code = build("x86_64", first, ".global g\ng: jmp f").code
        assert code.hex(" ") == (
            "e8 2b 00 00 00 e9 26 00 00 00 0f 85 20 00 00 00 b9 30 00 00 01 48 8d 3d 14 00 00 00 "
            "48 8b 05 dd ff ff ff 30 00 00 00 00 00 00 00 cc cc cc cc cc e9 cb ff ff ff"
        )

    def test_arm64_references(self) -> None:
        first = (
            ".balign 0x8\n.8byte 0x0\n.global f\nf: bl g\nb.ne g\ntbz x0, #0x21, g\n"
            "movz x1, #g_LO16\nmovk x1, #g_HI16, lsl #0x10"
        )
        code = build("arm64", first, ".global g\ng: b f").code
        words = [int.from_bytes(code[at : at + 4], "little") for at in range(8, len(code), 4)]
        assert [f"{word:08x}" for word in words] == [
            "94000006", "540000a1", "b6080080", "d2800401", "f2a02001", "d4200020", "17fffffa",
        ]  # fmt: skip

    @pytest.mark.parametrize("port", PORTS)
    @given(distance=st.integers(-(2**25), 2**25).map(lambda n: 4 * n))
    def test_a_call_of_an_equate_has_its_address(self, port: str, distance: int) -> None:
        base = 0x2000_0000
        call = {"x86_64": "call", "arm64": "bl"}[port]
        code = build(port, f"{call} target", base=base, target=base + distance % 2**26).code
        assert PORTS[port].call_target(base, code) == base + distance % 2**26

    def test_short_branches_inside_a_file_and_long_ones_out(self) -> None:
        code = build("x86_64", "jmp .Lx\n.Lx: jmp g", ".global g\ng: ret").code
        assert code[:3].hex() == "eb00e9"


class TestSymbols:
    """Labels that others see."""

    @pytest.mark.parametrize("port", PORTS)
    def test_conventional_labels_are_visible_and_local_ones_are_not(self, port: str) -> None:
        text = ".global f\nf:\n__mcount_loc_f: nop\n.Lx:\n__warn_a: nop\n__bug_b: nop"
        symbols = build(port, text).symbols
        assert list(symbols) == ["f", "__mcount_loc_f", "__warn_a", "__bug_b"]
        assert [symbol.size for symbol in symbols.values()][1:] == [0, 0, 0]
        assert symbols["f"] == Symbol(name="f", address=BASE, size=symbols["f"].size, unit="unit0")

    @pytest.mark.parametrize("port", PORTS)
    def test_an_inner_label_does_not_end_a_function(self, port: str) -> None:
        text = ".global f\n.global inner\nf: nop\ninner: nop\nnop\n.balign 0x40"
        symbols = build(port, text).symbols
        nop = symbols["inner"].address - BASE
        assert (symbols["f"].size, symbols["inner"].size) == (3 * nop, 0), "padding does not count"

    @pytest.mark.parametrize("port", PORTS)
    def test_a_label_behind_balign_starts_a_function(self, port: str) -> None:
        text = (
            ".balign 0x8\n.8byte 0x0\n.global f\nf: nop\n.balign 0x10\n.8byte 0x0\n.global g\ng: nop\n"
            ".balign 0x10\nnop\n.global h\nh: nop"
        )
        symbols = build(port, text).symbols
        nop = len(build(port, "nop").code)
        assert symbols["f"].address == BASE + 8
        assert symbols["f"].size == nop, "up to the padding before g's data"
        assert symbols["g"].address == BASE + 0x18
        assert symbols["g"].size == 8 + 2 * nop, "h is behind an instruction, so it is an inner label"
        assert symbols["h"].size == 0
