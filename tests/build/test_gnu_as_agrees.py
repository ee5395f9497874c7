"""GNU as gives the same bytes as Keystone for every assembly file that ships."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from emu.arch.port import Port
from emu.arch.registry import port_named
from emu.build.asm.assembler import Assembly, Unit, assemble
from emu.build.image import port_equates
from emu.build.manifest import load_manifest

BASE = 0x0100_0000
OUTSIDE = 0x0108_0000
"""Where routines of other files stand."""
VARIABLES = 0x2000_0100

TOOLS = {
    "x86_64": (("as", "--64"), ("ld", "-melf_x86_64"), "binutils (x86-64)", ".intel_syntax noprefix\n"),
    "arm64": (("aarch64-linux-gnu-as",), ("aarch64-linux-gnu-ld",), "binutils-aarch64-linux-gnu", ""),
}
"""Assembler, linker, the package that brings them, and the first line."""

ASM = Path(str(files("emu") / "asm"))
SOURCES = sorted(path.relative_to(ASM).as_posix() for path in ASM.glob("*/**/*.s"))

_LABEL = re.compile(r"^\s*([A-Za-z_]\w*):", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_.]\w*")
_RIP = re.compile(r"\[\s*rip\s*\+\s*(\w+)")


@cache
def _outside(port_name: str) -> dict[str, int]:
    """Return an address for every label of every file of the port, and for every variable, modules' too."""
    sources = [source.read_text() for source in ASM.glob(f"{port_name}/**/*.s")]
    labels = {name for source in sources for name in _LABEL.findall(source)}
    addresses = {name: OUTSIDE + 0x10 * place for place, name in enumerate(sorted(labels))}
    mini = load_manifest("mini")
    variables = [mini.variables, *(module.variables for module in mini.modules.values())]
    for place, name in enumerate(name for table in variables for name in table):
        addresses[name] = VARIABLES + 0x40 * place
    return addresses


def equates_for(port: Port, text: str) -> dict[str, int]:
    """Return what ``text`` may name: constants, and every symbol but its own."""
    own = set(_LABEL.findall(text))
    outside = {name: at for name, at in _outside(port.name).items() if name not in own}
    return {**port_equates(port), **outside, "KLP_VERSION": 0x3}


def require_gnu(port: Port) -> None:
    """Skip without GNU binutils; under CI their absence is a failure."""
    assembler, _, package, _ = TOOLS[port.name]
    if shutil.which(assembler[0]) is None:
        reason = f"{assembler[0]} is not installed; install the package {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def gnu_bytes(port: Port, text: str, assembly: Assembly, equates: dict[str, int], folder: Path) -> bytes:
    """Return what GNU as and ld make of ``text`` at the address of ``assembly``.

    Constants become equates before the first line. So do symbols of other files on x86-64, or GNU as
    would read them as memory operands; but behind ``rip +``, and in arm64 branches, it takes an absolute
    symbol for a distance, so there they are left to the linker.
    """
    assembler, linker, _, first = TOOLS[port.name]
    values = equates | {name: symbol.address for name, symbol in assembly.symbols.items()}
    used = set(_NAME.findall(text)) & set(equates)
    if port.name == "x86_64":
        late = {name: f"{name}__late" for name in _RIP.findall(text) if name in equates}
        text = _RIP.sub(lambda found: f"[rip + {late.get(found[1], found[1])}", text)
        early = used
    else:
        late = {name: name for name in used & set(_outside(port.name))}
        early = used - set(late)
    lines = [f".set {name}, {equates[name]:#x}" for name in sorted(early)]
    for name in sorted(set(_NAME.findall(text))):
        stem, half = name[:-5], name[-5:]
        if half in ("_LO16", "_HI16") and stem in values and name not in values:
            lines.append(f".set {name}, {values[stem] >> (16 if half == '_HI16' else 0) & 0xFFFF:#x}")
    source, unlinked, linked = folder / "unit.s", folder / "unit.o", folder / "unit.elf"
    source.write_text(first + "\n".join(lines) + "\n" + text)
    subprocess.run([*assembler, str(source), "-o", str(unlinked)], check=True, capture_output=True)
    options = [f"--defsym={alias}={equates[name]:#x}" for name, alias in sorted(late.items())]
    command = [*linker, f"-Ttext={assembly.base:#x}", "-e0x0", "--no-relax", *options]
    subprocess.run([*command, str(unlinked), "-o", str(linked)], check=True, capture_output=True)
    with linked.open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(".text")
        assert section is not None
        assert section["sh_addr"] == assembly.base
        return bytes(section.data())


class TestShippedSources:
    """What ships means the same to both assemblers."""

    @pytest.mark.parametrize("source", SOURCES)
    def test_both_assemblers_give_the_same_bytes(self, source: str, tmp_path: Path) -> None:
        port = port_named(source.partition("/")[0])
        require_gnu(port)
        text = (ASM / source).read_text()
        equates = equates_for(port, text)

        ours = assemble(port, [Unit(name="unit", text=text, origin=source)], base=BASE, equates=equates)
        theirs = gnu_bytes(port, text, ours, equates, tmp_path)

        assert ours.code.hex() == theirs[: len(ours.code)].hex()
        assert not any(theirs[len(ours.code) :]), "GNU as pads with zeros at most"

    def test_there_are_sources_of_each_port(self) -> None:
        assert {source.partition("/")[0] for source in SOURCES} == set(TOOLS)


def test_a_different_byte_is_noticed(tmp_path: Path) -> None:
    port = port_named("x86_64")
    require_gnu(port)
    unit = Unit(name="unit", text="ret\n", origin="unit.s")
    assembly = assemble(port, [unit], base=BASE, equates={})

    assert gnu_bytes(port, "nop\n", assembly, {}, tmp_path) != assembly.code
    assert gnu_bytes(port, "ret\n", assembly, {}, tmp_path) == assembly.code
