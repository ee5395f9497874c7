"""Executables and shared objects: segments inside the areas, dynamic relocations, sites."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.arch import PORTS, Port
from emu.build.elf.load import LoadedElf, load_elf
from emu.build.toolchain import EntryScheme, compile_object
from emu.errors import EmuError

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.skipif(
        importlib.util.find_spec("ziglang") is None and "CI" not in os.environ,
        reason="ziglang is not installed: pip install 'klpemu[toolchain]'",
    ),
]

CMINI = Path(__file__).parents[2] / "images" / "cmini" / "cmini.c"
TEXT, DATA, TEXT_SIZE, DATA_SIZE = 0x0100_0000, 0x2000_0000, 0x8_0000, 0x10_0000
PLACED = ("-Ttext=0x1001000", "-Tdata=0x20001000", "--section-start=.rodata=0x20000000")
SHIFTED = tuple(flag.replace("0x1001000", "0x1101000").replace("0x2000", "0x2010") for flag in PLACED)
PIE = ("-pie", "--no-dynamic-linker")
parametrize_port = pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)


def load(port: Port, content: bytes, externs: dict[str, int] | None = None) -> LoadedElf:
    """Return a file loaded at the test's areas."""
    return load_elf(
        port, content, origin="x.elf", text_base=TEXT, data_base=DATA, text_size=TEXT_SIZE,
        data_size=DATA_SIZE, externs=externs or {},
    )  # fmt: skip


def link(content: bytes, flags: tuple[str, ...], tmp_path: Path) -> bytes:
    """Return what ld.lld makes of one object."""
    source, result = tmp_path / "in.o", tmp_path / "out.elf"
    source.write_bytes(content)
    run = subprocess.run(
        [sys.executable, "-m", "ziglang", "ld.lld", "-e", "c_leaf", *flags, str(source), "-o", str(result)],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr.decode()
    return result.read_bytes()


@cache
def cmini(port_name: str, entry: EntryScheme, flags: tuple[str, ...] = ()) -> bytes:
    """Return cmini.c compiled."""
    return compile_object(PORTS[port_name], CMINI, entry=entry, flags=flags)


def functions(image: LoadedElf) -> dict[str, int]:
    """Return function addresses by name."""
    return {s.name: s.address for s in image.symbols if s.kind == "func"}


def traced(image: LoadedElf) -> list[int]:
    """Return the addresses of the functions that must have a site."""
    return sorted(
        address for name, address in functions(image).items() if name not in ("c_notrace", "__fentry__")
    )


@parametrize_port
class TestExecutables:
    """ET_EXEC stays where it was linked."""

    def test_a_placed_executable_loads_with_its_sites(self, port: Port, tmp_path: Path) -> None:
        image = load(port, link(cmini(port.name, EntryScheme.PATCHABLE), PLACED, tmp_path))

        assert image.mcount_loc == tuple(traced(image))
        assert image.entry == functions(image)["c_leaf"]
        assert {(s.kind, s.address >> 24) for s in image.segments} == {("text", 0x01), ("data", 0x20)}

    def test_a_misplaced_one_is_told_how_to_link_and_that_works(self, port: Port, tmp_path: Path) -> None:
        content = cmini(port.name, EntryScheme.PATCHABLE)

        with pytest.raises(
            EmuError, match=r"^x\.elf: segment \d \(r--\) lies at 0x\w+-0x\w+, .* link with "
        ) as told:
            load(port, link(content, (), tmp_path))

        advice = re.search(r"-Wl,(-T\S+),", str(told.value))
        assert advice is not None
        flags = tuple(advice[1].split(","))
        assert load(port, link(content, flags, tmp_path)).mcount_loc
        assert load(
            port, link(cmini(port.name, EntryScheme.PATCHABLE, ("-fPIC",)), (*PIE, *flags), tmp_path)
        ).mcount_loc

    def test_one_that_is_writable_and_executable_is_refused(self, port: Port, tmp_path: Path) -> None:
        content = link(cmini(port.name, EntryScheme.NONE), ("-N", "-Ttext=0x1001000"), tmp_path)

        with pytest.raises(EmuError, match=r"^x\.elf: segment \d \(rwx\) is writable and executable, .*$"):
            load(port, content)


@parametrize_port
class TestMovedFiles:
    """ET_DYN is shifted as a whole and relocated."""

    @pytest.mark.parametrize("extra", [(), ("-z", "pack-relative-relocs")], ids=["rela", "relr"])
    def test_a_pie_moved_is_the_pie_linked_there(
        self, port: Port, extra: tuple[str, ...], tmp_path: Path
    ) -> None:
        content = cmini(port.name, EntryScheme.PATCHABLE, ("-fPIC",))
        there = load(port, link(content, (*PIE, *extra, *PLACED), tmp_path))

        moved = load(port, link(content, (*PIE, *extra, *SHIFTED), tmp_path))

        shift = functions(moved)["c_leaf"] - functions(there)["c_leaf"]
        assert moved.mcount_loc == tuple(traced(moved))
        assert moved.mcount_loc == tuple(site + shift for site in there.mcount_loc)
        table = next(s.address for s in moved.symbols if s.name == "c_operations")
        assert words_at(moved, table, 4) == [
            functions(moved)[n] for n in ("c_leaf", "c_double", "c_triple", "c_notrace")
        ]

    def test_symbols_of_a_shared_object_come_from_outside(self, port: Port, tmp_path: Path) -> None:
        source = tmp_path / "user.c"
        source.write_text(
            "extern long one, two; long *uses[] = {&one, &two, 0}; long c_leaf(void) { return one; }\n"
        )
        content = compile_object(port, source, entry=EntryScheme.NONE, flags=["-fPIC"])
        shared = link(content, ("-shared", *PLACED), tmp_path)

        image = load(port, shared, {"one": 0x1234, "two": 0x5678})

        uses = next(s.address for s in image.symbols if s.name == "uses")
        assert words_at(image, uses, 3) == [0x1234, 0x5678, 0]
        with pytest.raises(EmuError, match=r"^x\.elf: undefined symbols: one, two; define them .*$"):
            load(port, shared)

    def test_one_whose_text_and_data_lie_together_is_refused(self, port: Port, tmp_path: Path) -> None:
        content = link(cmini(port.name, EntryScheme.NONE, ("-fPIC",)), PIE, tmp_path)

        with pytest.raises(
            EmuError, match=r"^x\.elf: the image fits at no load address \(segment .*-Ttext=.*$"
        ):
            load(port, content)


def words_at(image: LoadedElf, address: int, count: int) -> list[int]:
    """Return 8-byte words of a loaded image."""
    segment = next(s for s in image.segments if s.address <= address < s.address + len(s.data))
    at = address - segment.address
    return [int.from_bytes(segment.data[at + 8 * i : at + 8 * i + 8], "little") for i in range(count)]


def test_calls_of_fentry_at_entries_are_sites_of_a_linked_file(tmp_path: Path) -> None:
    port = PORTS["x86_64"]
    content = cmini("x86_64", EntryScheme.FENTRY, ("-fcf-protection=branch",))

    image = load(port, link(content, (*PLACED, "--defsym=__fentry__=c_notrace"), tmp_path))

    behind_pads = {site - 4 for site in image.mcount_loc} | set(image.mcount_loc)
    assert behind_pads >= set(traced(image))
    assert len(image.mcount_loc) == len(traced(image))


@parametrize_port
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_loads_or_says_why(port: Port, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(real_files(port.name))))
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.sampled_from([(0, 64), (64, 1024), (0, len(content)), (-2048, 0)]))
        at = data.draw(st.integers(*where).map(lambda n: n % len(content)))
        content[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    del content[data.draw(st.sampled_from([len(content)] * 4 + [len(content) // 2])) :]

    message = "x.elf: "
    try:
        load(port, bytes(content))
    except EmuError as error:
        message = str(error)

    assert message.startswith("x.elf: ")
    assert message.isprintable()


@cache
def real_files(port_name: str) -> list[bytes]:
    """Return an object, an executable and a PIE of cmini.c."""
    picky = cmini(port_name, EntryScheme.PATCHABLE, ("-fPIC",))
    with tempfile.TemporaryDirectory() as scratch:
        return [picky, *(link(picky, flags, Path(scratch)) for flags in (PLACED, (*PIE, *PLACED)))]
