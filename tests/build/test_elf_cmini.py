"""The C kernel-in-miniature, compiled, loaded and run in plain Unicorn, does what its comments say."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from unicorn import arm64_const, unicorn_const, x86_const
from unicorn.unicorn_py3.unicorn import Uc

from emu.arch import PORTS, Port
from emu.build.elf.load import LoadedElf, load_elf
from emu.build.toolchain import TARGETS, EntryScheme, compile_object

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.skipif(
        importlib.util.find_spec("ziglang") is None and "CI" not in os.environ,
        reason="ziglang is not installed: pip install 'klpemu[toolchain]'",
    ),
]

IMAGE = Path(__file__).parents[2] / "images" / "cmini"
TEXT, PATCH_TEXT, STUB, STOP = 0x0100_0000, 0x010A_0000, 0x0107_0000, 0x0107_8000
DATA, PATCH_DATA, BUFFER, STACK_TOP = 0x2000_0000, 0x2008_0000, 0x2010_0000, 0x2011_F000
VERSION = 7
CASES = [
    pytest.param(port, entry, flags, id=f"{name}-{entry}-{'-'.join(flags) or 'default'}")
    for name, port in PORTS.items()
    for entry in TARGETS[port.machine].entry
    for flags in ((), ("-O0",), ("-fPIC",))
]
U32 = (1 << 32) - 1
MANY = tuple(range(0x8000_0001, 0x8000_000B))

RESULTS = [
    ("leaf", (41,), 42),
    ("leaf", (U32,), 0),
    ("nested", (1, U32), 2),
    ("recursive", (10,), 55),
    ("recursive", (0,), 0),
    ("many", MANY, sum(i * a for i, a in enumerate(MANY, 1)) & U32),
    ("loop", (100,), 5050),
    ("tail", (21,), 43),
    ("double", (0x8000_0001,), 2),
    ("triple", (5,), 15),
    *[
        ("switch", (op, 0x1234_5678), value & U32)
        for op, value in enumerate(
            [
                0x1234_5679,
                0x1234_5677,
                2 * 0x1234_5678,
                ~0x1234_5678,
                3 * 0x1234_5678,
                0x1234_5678 >> 3,
                0x1234_5678**2,
                0xDEAD,
            ]
        )
    ],
    *[("table", (index, 8), value) for index, value in enumerate([9, 16, 24, 8 ^ 0x55, 9])],
]
ONLY_ORIGINAL = [("through_static", (1,), (1 ^ 0x5EED) + 1), ("notrace", (0xFF,), 0xAA)]


class Runner:
    """Loaded files in a plain Unicorn; a test's stand-in for the machine."""

    def __init__(self, port: Port, *files: LoadedElf) -> None:
        self.is_x86 = port.machine == "EM_X86_64"
        if self.is_x86:
            self.uc = Uc(unicorn_const.UC_ARCH_X86, unicorn_const.UC_MODE_64)
            names: Any = x86_const
            self.registers = {n: getattr(names, f"UC_X86_REG_{n.upper()}") for n in port.registers.all}
        else:
            self.uc = Uc(unicorn_const.UC_ARCH_ARM64, unicorn_const.UC_MODE_ARM)
            names = arm64_const
            self.registers = {n: getattr(names, f"UC_ARM64_REG_{n.upper()}") for n in port.registers.all}
        self.port = port
        self.uc.mem_map(TEXT, 0x10_0000, unicorn_const.UC_PROT_READ | unicorn_const.UC_PROT_EXEC)
        self.uc.mem_map(DATA, 0x12_0000, unicorn_const.UC_PROT_READ | unicorn_const.UC_PROT_WRITE)
        for segment in (segment for file in files for segment in file.segments):
            self.uc.mem_write(segment.address, segment.data)
        self.uc.mem_write(STUB, b"\xc3" if self.is_x86 else bytes.fromhex("c0035fd6"))  # ret

    def call(self, address: int, args: tuple[int, ...]) -> int:
        """Return what the function at ``address`` returns, all 64 bits."""
        in_registers = self.port.registers.args
        stack = [*args[len(in_registers) :]]
        sp = STACK_TOP - 8 * (len(stack) + len(stack) % 2)
        for value, name in zip(args, in_registers, strict=False):
            self.uc.reg_write(self.registers[name], value)
        for slot, value in enumerate(stack):
            self.uc.mem_write(sp + 8 * slot, value.to_bytes(8, "little"))
        if self.is_x86:
            sp -= 8
            self.uc.mem_write(sp, STOP.to_bytes(8, "little"))
        else:
            self.uc.reg_write(self.registers["x30"], STOP)
        self.uc.reg_write(self.registers[self.port.registers.sp], sp)
        self.uc.emu_start(address, STOP, count=100_000)
        assert self.uc.reg_read(self.registers[self.port.registers.pc]) == STOP
        result = self.uc.reg_read(self.registers[self.port.registers.result])
        assert isinstance(result, int)
        return result


@cache
def compiled(
    port_name: str, file: str, entry: EntryScheme, flags: tuple[str, ...], version: int | None
) -> bytes:
    """Return a file of the image as an object; ``version`` is a macro if given."""
    defines = {} if version is None else {"KLP_VERSION": version}
    return compile_object(PORTS[port_name], IMAGE / file, entry=entry, flags=flags, defines=defines)


def load(port: Port, content: bytes, text: int, data: int, externs: Mapping[str, int]) -> LoadedElf:
    """Return a file of the image at its place, entry stubs defined."""
    stubs = dict.fromkeys(port.stub_names, STUB)
    return load_elf(
        port, content, origin="cmini", text_base=text, data_base=data, text_size=0x1_0000, data_size=0x8_0000,
        externs={**stubs, **externs},
    )  # fmt: skip


def functions(file: LoadedElf) -> dict[str, int]:
    """Return the file's function addresses by name."""
    return {symbol.name: symbol.address for symbol in file.symbols if symbol.kind == "func"}


@pytest.mark.parametrize(("port", "entry", "flags"), CASES)
class TestCmini:
    """cmini.c and cmini_patch.c, under every entry scheme and several code models."""

    def original(self, port: Port, entry: EntryScheme, flags: tuple[str, ...]) -> LoadedElf:
        """Return cmini.c, loaded."""
        content = compiled(port.name, "cmini.c", entry, flags, None)
        return load(port, content, TEXT, DATA, {})

    def test_functions_return_what_their_comments_say(
        self, port: Port, entry: EntryScheme, flags: tuple[str, ...]
    ) -> None:
        file = self.original(port, entry, flags)
        runner, at = Runner(port, file), functions(file)

        got = [(name, args, runner.call(at[f"c_{name}"], args)) for name, args, _ in RESULTS + ONLY_ORIGINAL]

        assert got == RESULTS + ONLY_ORIGINAL

    def test_memory_is_written_as_their_comments_say(
        self, port: Port, entry: EntryScheme, flags: tuple[str, ...]
    ) -> None:
        file = self.original(port, entry, flags)
        runner, at = Runner(port, file), functions(file)

        assert runner.call(at["c_show"], (BUFFER,)) == 0
        assert runner.uc.mem_read(BUFFER, 8) == b"orig\0\0\0\0"
        assert runner.call(at["c_name"], (2, BUFFER)) == len("triple")
        assert runner.uc.mem_read(BUFFER, 8) == b"triple\0\0"
        assert [runner.call(at["c_count"], (step,)) for step in (3, 4, 0)] == [0, 3, 7]

    def test_sites_are_the_functions_that_are_traced(
        self, port: Port, entry: EntryScheme, flags: tuple[str, ...]
    ) -> None:
        file = self.original(port, entry, flags)

        starts = sorted(functions(file).items(), key=lambda item: item[1])
        owners = [max((s for s in starts if s[1] <= site), key=lambda s: s[1])[0] for site in file.mcount_loc]

        expected = sorted(set(functions(file)) - {"c_notrace"}) if entry is not EntryScheme.NONE else []
        assert sorted(owners) == expected
        if entry in (EntryScheme.PATCHABLE, EntryScheme.CALL_OPS, EntryScheme.FENTRY):
            assert list(file.mcount_loc) == sorted(functions(file)[name] for name in expected)

    @pytest.mark.parametrize("is_macro", [True, False])
    def test_replacements_return_the_same_with_their_version(
        self, port: Port, entry: EntryScheme, flags: tuple[str, ...], is_macro: bool
    ) -> None:
        base = self.original(port, entry, flags)
        content = compiled(port.name, "cmini_patch.c", entry, flags, VERSION if is_macro else None)
        symbols = {symbol.name: symbol.address for symbol in base.symbols if symbol.is_global}
        patch = load(port, content, PATCH_TEXT, PATCH_DATA, symbols | {"KLP_VERSION": VERSION})
        runner, at = Runner(port, base, patch), functions(patch)

        got = [(name, args, runner.call(at[f"lp_c_{name}"], args)) for name, args, _ in RESULTS]

        tail_runs_the_original = {"tail"}
        assert got == [
            (name, args, value | (0 if name in tail_runs_the_original else VERSION << 32))
            for name, args, value in RESULTS
        ]
        assert runner.call(at["lp_c_show"], (BUFFER,)) == VERSION << 32
        assert runner.uc.mem_read(BUFFER, 8) == b"lp\0\x07\0\0\0\0"


@pytest.mark.parametrize(
    ("name", "flag"), [("x86_64", "-fcf-protection=branch"), ("arm64", "-mbranch-protection=bti")]
)
@pytest.mark.parametrize("entry", [EntryScheme.PATCHABLE, EntryScheme.FENTRY, EntryScheme.CALL_OPS])
def test_a_site_lies_behind_the_landing_pad(name: str, flag: str, entry: EntryScheme) -> None:
    port = PORTS[name]
    if entry not in TARGETS[port.machine].entry:
        pytest.skip(f"{name} has no entry scheme {entry}")
    pad = len(port.site.landing_pads[0])

    file = load(port, compile_object(port, IMAGE / "cmini.c", entry=entry, flags=[flag]), TEXT, DATA, {})

    traced = sorted(address for fn, address in functions(file).items() if fn != "c_notrace")
    with_pad = sorted({site - pad for site in file.mcount_loc} & set(traced))
    assert set(traced) - set(with_pad) <= {functions(file)["c_static"]}  # never called through a pointer
    assert len(file.mcount_loc) == len(traced)


def test_call_ops_leaves_eight_aligned_bytes_before_each_function() -> None:
    port = PORTS["arm64"]
    content = compile_object(port, IMAGE / "cmini.c", entry=EntryScheme.CALL_OPS)

    file = load(port, content, TEXT, DATA, {})

    text = next(segment for segment in file.segments if segment.kind == "text")
    for site in file.mcount_loc:
        assert site % 8 == 0
        assert text.data[site - 8 - text.address :][:16] == 4 * port.site.nop
