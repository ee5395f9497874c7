"""Every relocation type gives the bytes that a real linker gives at the same addresses."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_RELOC_TYPE_AARCH64, ENUM_RELOC_TYPE_x64
from elftools.elf.relocation import RelocationSection
from hypothesis import given
from hypothesis import strategies as st

from emu.arch import PORTS, Port
from emu.build.elf.load import LoadedElf, load_elf
from emu.build.elf.relocate import MACHINES, insert, value_of
from emu.build.toolchain import EntryScheme, compile_object

needs_zig = [
    pytest.mark.toolchain,
    pytest.mark.skipif(
        importlib.util.find_spec("ziglang") is None and "CI" not in os.environ,
        reason="ziglang is not installed: pip install 'klpemu[toolchain]'",
    ),
]

TEXT, DATA = 0x0100_0000, 0x2000_0000
EXTERNS = {
    "ext": 0x0108_0124,
    "near": TEXT + 0x3000,
    "before": TEXT - 0x40,
    "wide": 0x1234_5678_9ABC_DEF0,
    "small": 0x42,
    "negative": 2**64 - 0x1234_5678,
    "__fentry__": TEXT + 0x800,
}

SOURCES = {
    "x86_64": """
        .text
        .globl f
    f:  movabsq $obj+1, %rax
        .long wide@GOTPCREL
        movabsq $wide, %rax
        movl $obj+2, %eax
        movq $obj+3, %rax
        movq $negative, %rax
        leaq obj+4(%rip), %rax
        movb $7, obj(%rip)
        call ext
        jmp ext
        call f
        movq obj@GOTPCREL(%rip), %rax
        movq ext@GOTPCREL(%rip), %rbx
        call *ext@GOTPCREL(%rip)
        movl obj@GOTPCREL+4(%rip), %eax
        .reloc ., R_X86_64_PC16, f
        .word 0
        .reloc ., R_X86_64_PC8, f+0x60
        .byte 0
        .section .text.cold, "ax"
        jmp f
        .data
        .globl obj
    obj: .quad obj+5, f+6, wide
        .quad f - .
        .long f - .
        .long obj, ext
        .word small
        .byte small
        .reloc ., R_X86_64_NONE, obj
        .section .rodata
        .balign 64
        .quad local
        .bss
        .skip 3
    local: .skip 8
    """,
    "arm64": """
        .text
        .globl f
    f:  bl ext
        b before
        b f
        tbz x0, #3, near
        tbnz x0, #40, before
        b.eq near
        cbnz x3, before
        adr x1, near+1
        adr x1, before+3
        ldr x2, near
        ldr w2, before
        adrp x3, obj+0x1234
        adrp x3, ext
        adrp x3, :pg_hi21_nc:obj
        add x3, x3, :lo12:obj+5
        ldrb w4, [x3, :lo12:obj+3]
        ldrh w4, [x3, :lo12:obj+6]
        ldr w4, [x3, :lo12:obj+12]
        ldr x4, [x3, :lo12:obj+24]
        ldr q4, [x3, :lo12:obj+32]
        movz x5, #:abs_g3:wide
        movk x5, #:abs_g2_nc:wide
        movk x5, #:abs_g1_nc:wide
        movk x5, #:abs_g0_nc:wide
        movz x5, #:abs_g0:small
        movz x5, #:abs_g1:obj
        movz x5, #:abs_g2:obj
        movn x5, #:abs_g0_s:small
        movz x5, #:abs_g1_s:negative
        movz x5, #:abs_g2_s:negative
        movz x6, #:prel_g0:near
        movz x6, #:prel_g0:before
        movz x6, #:prel_g1:obj
        movz x6, #:prel_g1:before
        movz x6, #:prel_g2:before
        movz x6, #:prel_g3:wide
        movz x6, #:prel_g3:before
        movk x6, #:prel_g2_nc:before
        movk x6, #:prel_g1_nc:before
        movk x6, #:prel_g0_nc:before
        adrp x7, :got:obj
        ldr x7, [x7, :got_lo12:obj]
        adrp x7, :got:wide
        ldr x7, [x7, :got_lo12:wide]
        .section .text.cold, "ax"
        b f
        .data
        .balign 16
        .globl obj
    obj: .xword obj+5, f+6, wide
        .xword f - .
        .word f - .
        .word obj, ext
        .hword small
        .reloc ., R_AARCH64_PREL16, obj
        .hword 0
        .reloc ., R_AARCH64_NONE, obj
        .section .rodata
        .balign 64
        .xword local
        .bss
        .skip 3
    local: .skip 8
    """,
}

NAMES = {"x86_64": ENUM_RELOC_TYPE_x64, "arm64": ENUM_RELOC_TYPE_AARCH64}


def assembled(port: Port, source: str, tmp_path: Path) -> bytes:
    """Return the object file of assembly text."""
    path = tmp_path / "sample.s"
    path.write_text(source)
    return compile_object(port, path, entry=EntryScheme.NONE)


def loaded(port: Port, content: bytes) -> LoadedElf:
    """Return the object at this test's areas."""
    return load_elf(
        port, content, origin="sample.o", text_base=TEXT, data_base=DATA, text_size=0x1_0000,
        data_size=0x1_0000, externs=EXTERNS,
    )  # fmt: skip


def linked(content: bytes, image: LoadedElf, tmp_path: Path) -> dict[str, bytes]:
    """Return section name -> bytes as ld.lld links the object with its sections where ours are."""
    placed = "".join(f"{s.name} {s.address:#x} : {{ *({s.name}) }}\n" for s in image.segments)
    defined = "".join(f"{name} = {value:#x};\n" for name, value in EXTERNS.items())
    script, object_file, result = (tmp_path / name for name in ("place.ld", "in.o", "out.elf"))
    script.write_text(f"{defined}SECTIONS {{ {placed} }}")
    object_file.write_bytes(content)
    linker = [sys.executable, "-m", "ziglang", "ld.lld", "--no-relax", "-O0", "-znorelro"]
    run = subprocess.run(
        [*linker, "-T", str(script), str(object_file), "-o", str(result)],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr.decode()
    elf = ELFFile(io.BytesIO(result.read_bytes()))
    return {section.name: section.data() for section in elf.iter_sections()}


def types_in(content: bytes) -> set[int]:
    """Return the relocation types that the object has."""
    sections = ELFFile(io.BytesIO(content)).iter_sections()
    tables = [section for section in sections if isinstance(section, RelocationSection)]
    return {relocation["r_info_type"] for table in tables for relocation in table.iter_relocations()}


@pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)
class TestAgainstTheLinker:
    """What our loader writes is what ld.lld writes."""

    pytestmark = needs_zig

    def test_every_section_has_the_linkers_bytes(self, port: Port, tmp_path: Path) -> None:
        content = assembled(port, SOURCES[port.name], tmp_path)

        image = loaded(port, content)

        theirs = linked(content, image, tmp_path)
        assert {s.name for s in image.segments} == {".text", ".text.cold", ".data", ".rodata", ".bss", ".got"}
        for segment in image.segments:
            assert segment.data.hex(" ", 4) == theirs[segment.name].hex(" ", 4), segment.name

    def test_the_sample_has_every_relocation_type_that_has_a_rule(self, port: Port, tmp_path: Path) -> None:
        machine = MACHINES[port.machine]

        met = {machine.names[number] for number in types_in(assembled(port, SOURCES[port.name], tmp_path))}

        assert set(machine.rules) - met == set()

    @pytest.mark.parametrize(
        "flags", [("-O2",), ("-O0",), ("-fPIC",), ("-mcmodel=large",), ("-ffunction-sections",)]
    )
    def test_compiled_c_has_the_linkers_bytes(
        self, port: Port, flags: tuple[str, ...], tmp_path: Path
    ) -> None:
        source = Path("images/cmini/cmini.c")
        content = compile_object(port, source, entry=EntryScheme.NONE, flags=flags)

        image = loaded(port, content)

        theirs = linked(content, image, tmp_path)
        for segment in image.segments:
            assert segment.data == theirs[segment.name], segment.name


@pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)
@given(
    place=st.integers(0, 2**25).map(lambda n: 4 * n), target=st.integers(0, 2**25 - 1).map(lambda n: 4 * n)
)
def test_a_relocated_call_is_the_ports_call(port: Port, place: int, target: int) -> None:
    machine = MACHINES[port.machine]
    rule = machine.rules["R_X86_64_PLT32" if "R_X86_64_PLT32" in machine.rules else "R_AARCH64_CALL26"]
    expected = port.encode_call(place, target)
    offset = machine.call_offset

    x = value_of(rule, symbol=target, addend=-4 * offset, place=place + offset, got=0)
    blank = int.from_bytes(port.encode_call(0, 0)[offset:], "little")

    assert expected[offset:] == insert(rule, blank, x).to_bytes(rule.size, "little")
