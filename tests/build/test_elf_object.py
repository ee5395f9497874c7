"""Relocatable files: placement, symbols, and what cannot be relocated."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from emu.arch import PORTS, Port
from emu.build.elf.errors import RelocationOverflowError, UndefinedSymbolsError
from emu.build.elf.load import ElfSymbol, LoadedElf, load_elf
from emu.build.toolchain import EntryScheme, compile_object
from emu.errors import EmuError

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.skipif(
        importlib.util.find_spec("ziglang") is None and "CI" not in os.environ,
        reason="ziglang is not installed: pip install 'klpemu[toolchain]'",
    ),
]

TEXT, DATA, SIZE = 0x0100_0010, 0x2000_0008, 0x1_0000
parametrize_port = pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)
CALL = {"x86_64": "call", "arm64": "bl"}
POINTER = {"x86_64": ".quad", "arm64": ".xword"}


def load(port: Port, source: str, tmp_path: Path, **externs: int) -> LoadedElf:
    """Return assembly text, assembled and loaded."""
    path = tmp_path / "x.s"
    path.write_text(source)
    return load_elf(
        port, compile_object(port, path, entry=EntryScheme.NONE), origin="x.o", text_base=TEXT,
        data_base=DATA, text_size=SIZE, data_size=SIZE, externs=externs,
    )  # fmt: skip


@parametrize_port
class TestPlacement:
    """Executable sections go to text, the others to data, each at its alignment."""

    def test_sections_lie_at_their_alignment_in_file_order(self, port: Port, tmp_path: Path) -> None:
        source = """
            .text
            .byte 1
            .section .text.b, "ax"
            .balign 32
            .byte 2
            .section .rodata, "a"
            .byte 3
            .bss
            .balign 64
            .skip 5
        """

        image = load(port, source, tmp_path)

        assert [(s.name, s.address, s.kind, s.data.strip(b"\0")) for s in image.segments] == [
            (".text", TEXT + (-TEXT) % 4, "text", b"\1"),
            (".text.b", 0x0100_0020, "text", b"\2"),
            (".rodata", DATA, "data", b"\3"),
            (".bss", 0x2000_0040, "data", b""),
        ]

    def test_symbols_have_address_size_kind_and_binding(self, port: Port, tmp_path: Path) -> None:
        source = """
            .text
            .globl fn
            .type fn, %function
        fn: .8byte 0
            .size fn, 8
            .data
        local: .8byte 1
            .type local, %object
            .size local, 8
            .globl bare
        bare: .8byte 2
            .globl constant
            .set constant, 0x77
            .comm shared, 24, 16
        """

        image = load(port, source, tmp_path)

        text = next(s.address for s in image.segments if s.kind == "text")
        data = next(s.address for s in image.segments if s.name == ".data")
        assert [s for s in image.symbols if s.name != "shared"] == [
            ElfSymbol(name="constant", address=0x77, size=0, kind="notype", is_global=True),
            ElfSymbol(name="fn", address=text, size=8, kind="func", is_global=True),
            ElfSymbol(name="local", address=data, size=8, kind="object", is_global=False),
            ElfSymbol(name="bare", address=data + 8, size=0, kind="notype", is_global=True),
        ]
        shared = next(s for s in image.symbols if s.name == "shared")
        assert (shared.address % 16, shared.size) == (0, 24)
        assert any(s.address == shared.address and s.data == bytes(24) for s in image.segments)

    def test_a_full_area_is_named(self, port: Port, tmp_path: Path) -> None:
        message = r"^x\.o: section \.bss ends 0x2000\d bytes into the data area, which has 0x10000; .*$"
        with pytest.raises(EmuError, match=message):
            load(port, ".bss\n.skip 0x20000\n", tmp_path)


@parametrize_port
class TestSymbolsFromOutside:
    """What the file does not define comes from the externs."""

    def test_all_undefined_symbols_are_named_at_once(self, port: Port, tmp_path: Path) -> None:
        call = CALL[port.name]

        with pytest.raises(
            UndefinedSymbolsError, match=r"^x\.o: undefined symbols: one, two; define .*$"
        ) as told:
            load(port, f".text\n{call} two\n{call} known\n{call} one\n{call} two\n", tmp_path, known=TEXT)

        assert told.value.names == ("one", "two")

    def test_a_weak_symbol_may_stay_undefined(self, port: Port, tmp_path: Path) -> None:
        source = f".data\n.weak maybe\n{POINTER[port.name]} maybe\n.text\n{CALL[port.name]} maybe\n"

        absent = next(s for s in load(port, source, tmp_path).segments if s.kind == "data")
        present = next(s for s in load(port, source, tmp_path, maybe=TEXT).segments if s.kind == "data")

        assert int.from_bytes(absent.data, "little") == 0
        assert int.from_bytes(present.data, "little") == TEXT

    def test_a_definition_in_the_file_wins(self, port: Port, tmp_path: Path) -> None:
        source = f".data\n.globl own\nown: {POINTER[port.name]} own\n"

        image = load(port, source, tmp_path, own=1)

        assert int.from_bytes(image.segments[-1].data, "little") == DATA


def test_an_arm64_call_of_a_missing_weak_function_goes_on(tmp_path: Path) -> None:
    image = load(PORTS["arm64"], ".text\n.weak maybe\nbl maybe\n", tmp_path)

    assert PORTS["arm64"].call_target(0x1000, image.segments[0].data) == 0x1004


NEARER = "place the two nearer to each other, or call through a pointer"
LARGE = "place it within the field's reach, or compile with -mcmodel=large"
OUT_OF_REACH = [
    ("x86_64", "call far", 1 << 40, f"R_X86_64_PLT32 to far .* holds -0x80000000 to 0x7fffffff; {NEARER}"),
    ("x86_64", "movl $far, %eax", 1 << 32, f"R_X86_64_32 to far .* holds 0x0 to 0xffffffff; {LARGE}"),
    ("x86_64", "movq $far, %rax", 1 << 31, f"R_X86_64_32S to far needs 0x80000000, .*; {LARGE}"),
    ("arm64", "bl far", 1 << 48, f"R_AARCH64_CALL26 to far .* holds -0x8000000 to 0x7ffffff; {NEARER}"),
    ("arm64", "adrp x0, far", 1 << 40, f"R_AARCH64_ADR_PREL_PG_HI21 to far needs .*; {LARGE}"),
    ("arm64", "movz x0, #:abs_g0:far", 0x1_0000, f"R_AARCH64_MOVW_UABS_G0 to far needs 0x10000, .*; {LARGE}"),
    ("arm64", "tbz x0, #1, far", TEXT + 0x9000, f"R_AARCH64_TSTBR14 to far needs 0x\\w+, .*; {NEARER}"),
]


@pytest.mark.parametrize(("name", "source", "far", "message"), OUT_OF_REACH)
def test_a_value_out_of_reach_is_told_with_place_and_distance(
    name: str, source: str, far: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(RelocationOverflowError, match=rf"^x\.o: \.text\+0x\d: {message}$") as told:
        load(PORTS[name], f".text\n{source}\n", tmp_path, far=far)

    assert told.value.symbol == "far"
    assert told.value.section == ".text"


def test_arm64_calls_out_of_reach_share_a_plt_entry(tmp_path: Path) -> None:
    port, far = PORTS["arm64"], 0x1200_0000
    plt_entry = port.tracing.plt_entry
    assert plt_entry is not None

    text = load(port, ".text\nbl far\nb far\nbl near\n", tmp_path, far=far, near=TEXT + 0x100).segments

    assert [segment.name for segment in text] == [".text", ".plt"]
    assert text[1].data == plt_entry(far)
    assert port.call_target(TEXT, text[0].data) == text[1].address
    branch = int.from_bytes(text[0].data[4:8], "little")
    assert TEXT + 4 + 4 * (branch & 0x3FFFFFF) == text[1].address
    assert port.call_target(TEXT + 8, text[0].data[8:]) == TEXT + 0x100


def test_an_unaligned_target_of_a_scaled_load_is_told(tmp_path: Path) -> None:
    message = (
        r"^x\.o: \.text\+0x0: R_AARCH64_LDST64_ABS_LO12_NC to odd needs 0x20000004, not a multiple of 8; .*$"
    )
    with pytest.raises(EmuError, match=message):
        load(PORTS["arm64"], ".text\nldr x0, [x1, :lo12:odd]\n", tmp_path, odd=0x2000_0004)


def test_an_entry_with_too_few_nops_is_told(tmp_path: Path) -> None:
    port, source = PORTS["x86_64"], tmp_path / "x.c"
    source.write_text("int f(int a) { return a * a; }\n")
    content = compile_object(port, source, entry=EntryScheme.NONE, flags=["-fpatchable-function-entry=2"])

    with pytest.raises(
        EmuError, match=r"^x\.o: entry site 0x1000010 \(f\): code 66 90 .*, expected a call or 5 .*$"
    ):
        load_elf(
            port,
            content,
            origin="x.o",
            text_base=TEXT,
            data_base=DATA,
            text_size=SIZE,
            data_size=SIZE,
            externs={},
        )


def test_a_recorded_mcount_loc_gives_each_site_once(tmp_path: Path) -> None:
    source = """
        .text
        .type f, %function
    f:  call __fentry__
        ret
        .section __mcount_loc, "a"
        .quad f, 0
    """

    image = load(PORTS["x86_64"], source, tmp_path, __fentry__=TEXT + 0x100)

    assert image.mcount_loc == tuple(s.address for s in image.symbols if s.name == "f")
