"""klp relocations: what a patch refers to is filled in when it is there, or refused as Linux refuses it."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from emu.arch import PORTS, Port
from emu.build.asm.source import Unit
from emu.build.elf.load import load_elf
from emu.build.elf.relocate import MACHINES, Rule
from emu.build.memory_map import MODULE_DATA
from emu.kernel.errno import EINVAL, ENOENT, ENOEXEC
from emu.machine.operations import Operation, OpKind
from tests.elf_writer import (
    ALLOC,
    EXEC,
    LIVEPATCH,
    SHN_LIVEPATCH,
    SHN_UNDEF,
    WRITE,
    Name,
    Part,
    Rela,
    Relas,
    elf_object,
)
from tests.lab.users import SETUPS, Users

BODY = {
    # push rbp; mov rbp, rsp; call; pop rbp; ret
    "x86_64": bytes.fromhex("55 4889e5 e800000000 5d c3"),
    # stp x29, x30, [sp, #-0x10]!; mov x29, sp; bl; ldp x29, x30, [sp], #0x10; ret
    "arm64": struct.pack("<5I", 0xA9BF7BFD, 0x910003FD, 0x94000000, 0xA8C17BFD, 0xD65F03C0),
}
CALL = {"x86_64": (5, 4, -4), "arm64": (8, 283, 0)}
"""Offset, type (R_X86_64_PLT32, R_AARCH64_CALL26) and addend of the call's relocation in it."""
POINTER = {"x86_64": 1, "arm64": 257}
"""R_X86_64_64, R_AARCH64_ABS64."""
TEXT, DATA = ALLOC | EXEC, ALLOC | WRITE


def caller(
    port: Port,
    symbol: str,
    *,
    section: str = ".klp.rela.victim.text",
    shndx: int = SHN_LIVEPATCH,
    pointer: str = "",
    flags: int = ALLOC | LIVEPATCH,
) -> bytes:
    """Return a patch module with ``lp_it``, which calls ``symbol``; and with a ``pointer`` to another one."""
    offset, kind, addend = CALL[port.name]
    parts = [Part(name=".text", content=BODY[port.name], flags=TEXT)]
    parts += [Part(name=".data", content=bytes(8), flags=DATA)]
    names = [
        Name(name="lp_it", part=".text", size=len(BODY[port.name])),
        Name(name="it_points_to", part=".data", size=8, kind=1),
        Name(name=symbol, part=shndx),
    ]
    rows = [Rela(offset=offset, kind=kind, symbol=symbol, addend=addend)]
    relas = [Relas(name=section, target=".text", rows=rows, flags=flags)]
    if pointer:
        names.append(Name(name=pointer, part=SHN_LIVEPATCH))
        rows = [Rela(offset=0, kind=POINTER[port.name], symbol=pointer, addend=0)]
        owner = pointer.split(".")[3]
        relas.append(
            Relas(name=f".klp.rela.{owner}.data", target=".data", rows=rows, flags=ALLOC | LIVEPATCH)
        )
    return elf_object(port, parts, names, relas)


class Bench(Users):
    """With patches that a test makes."""

    def add(
        self, code: bytes | Sequence[Unit], *, module: str = "victim", function: str = "vic_alpha"
    ) -> None:
        """Make the patch ``lp`` known, which replaces one function by ``lp_it``."""
        self.machine.add_patch("lp", code, objects={module: {function: "lp_it"}})

    def word(self, name: str) -> int:
        """Return the eight bytes at a symbol."""
        return self.machine.kernel.engine.memory.load(self.at(name))

    @property
    def port(self) -> Port:
        """Of the machine."""
        return self.machine.port

    def place(self) -> int:
        """Return the four bytes that the call's relocation is for."""
        at = self.at("lp_it") + CALL[self.port.name][0]
        return self.machine.kernel.engine.memory.load(at, 4)


@pytest.fixture(params=SETUPS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


@pytest.fixture(params=SETUPS)
def newer(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param, flavour="linux-6.17")


class TestApplied:
    """What a patch refers to is called and pointed to once its object is there."""

    def test_to_an_object_that_is_loaded(self, bench: Bench) -> None:
        bench.patch("lp_b1")
        bench.add(caller(bench.port, ".klp.sym.victim.vic_beta,0", pointer=".klp.sym.victim.vic_gamma,0"))
        bench.patch("lp")

        assert bench.call("vic_alpha") == 1  # what lp_b1 says as vic_beta
        assert bench.word("it_points_to") == bench.at("vic_gamma")
        bench.unpatch("lp")
        assert bench.call("vic_alpha") == 0
        bench.assert_sound()

    def test_to_an_object_that_comes_later(self, bench: Bench) -> None:
        bench.patch("lp_late1")
        bench.add(
            caller(bench.port, ".klp.sym.late.late_pong,0", section=".klp.rela.late.text"),
            module="late", function="late_ping",
        )  # fmt: skip
        bench.patch("lp")
        empty = bench.place()
        bench.log()

        assert bench.insmod("late") == 0
        assert bench.log() == [
            "livepatch: applying patch 'lp_late1' to loading module 'late'",
            "livepatch: applying patch 'lp' to loading module 'late'",
            "late: init: ping says ping:orig",
        ]
        assert bench.place() != empty
        assert bench.call("late_ping") == 0  # late_pong's, which nobody patches; lp_late1 says 1
        bench.assert_sound()

    def test_to_the_kernel_when_the_patch_module_is_loaded(self, bench: Bench) -> None:
        pointer = ".klp.sym.vmlinux.meminfo_proc_show,0"
        bench.add(
            caller(bench.port, ".klp.sym.late.late_pong,0", section=".klp.rela.late.text", pointer=pointer),
            module="late", function="late_ping",
        )  # fmt: skip
        bench.patch("lp")

        assert bench.word("it_points_to") == bench.at("meminfo_proc_show")

    def test_symbols_that_the_file_leaves_undefined(self, bench: Bench) -> None:
        bench.patch("lp_late1")
        code = caller(bench.port, "late_pong", section=".rela.text", shndx=SHN_UNDEF, flags=0)
        bench.add(code, module="late", function="late_ping")
        bench.patch("lp")
        assert bench.insmod("late") == 0

        assert bench.call("late_ping") == 0  # late_pong's
        (section,) = bench.machine.loader.image("lp").klp_sections
        assert section.name == ".klp.rela.late.text"
        assert [r.symbol for r in section.relocations] == [".klp.sym.late.late_pong,0"]
        bench.assert_sound()

    def test_symbols_of_nobody_are_named(self, bench: Bench) -> None:
        code = caller(bench.port, "nosuch", section=".rela.text", shndx=SHN_UNDEF, flags=0)
        bench.add(code)
        assert bench.shell.insmod("lp") == -ENOENT
        assert bench.machine.log[-1] == "lp: Unknown symbol nosuch (err -2)"

    def test_one_of_several_of_a_name(self, bench: Bench) -> None:
        bench.add(caller(bench.port, ".klp.sym.victim.vic_beta,0", pointer=".klp.sym.victim.vic_dup,2"))
        bench.patch("lp")

        first, second = bench.machine.kallsyms.find("victim", "vic_dup")
        assert first.address < bench.word("it_points_to") == second.address

    def test_of_a_module_that_is_no_patch_those_to_the_kernel(self, bench: Bench) -> None:
        pointer = ".klp.sym.vmlinux.meminfo_proc_show,0"
        code = caller(bench.port, ".klp.sym.victim.vic_beta,0", pointer=pointer)
        bench.machine.add_module("plain", code)
        assert bench.insmod("plain") == 0

        assert bench.word("it_points_to") == bench.at("meminfo_proc_show")
        assert bench.place() == int.from_bytes(
            BODY[bench.port.name][CALL[bench.port.name][0] :][:4], "little"
        )

    def test_by_stores_of_the_patching_cpu_and_a_sync(self, bench: Bench) -> None:
        played: list[Operation] = []
        bench.machine.kernel.installer.on_operation = played.append
        bench.add(caller(bench.port, ".klp.sym.victim.vic_beta,0", pointer=".klp.sym.victim.vic_gamma,0"))
        bench.patch("lp")

        place = bench.at("lp_it") + CALL[bench.port.name][0]
        (text,) = (at for at, o in enumerate(played) if o.kind is OpKind.TEXT_STORE and o.address == place)
        assert [o.kind for o in played[text:] if o.kind is OpKind.SYNC]
        stored = [o.value for o in played if o.kind is OpKind.STORE and o.address == bench.at("it_points_to")]
        assert stored == [bench.at("vic_gamma")]

    def test_a_task_that_sleeps_below_such_a_call_can_be_unwound(self, bench: Bench) -> None:
        bench.add(caller(bench.port, ".klp.sym.victim.vic_wait,0"))
        bench.patch("lp")
        bench.process.call(bench.at("vic_show"), bench.at("vic_alpha"), 0)
        bench.shell.settle()
        assert bench.shell.sleeps_on_gate(bench.process.task)

        stack = bench.machine.kernel.stack(bench.process.task)
        assert not isinstance(stack, int)
        names = [bench.machine.kallsyms.name_at(address) for address in stack]
        assert "lp_it [lp]" in names
        assert "vic_wait [victim]" in names


class TestTakenBack:
    """When the object goes, and what that means when it comes again."""

    def prepare(self, bench: Bench) -> None:
        """Patch ``late``, let it come and go."""
        bench.add(
            caller(bench.port, ".klp.sym.late.late_pong,0", section=".klp.rela.late.text"),
            module="late", function="late_ping",
        )  # fmt: skip
        bench.patch("lp")
        assert bench.insmod("late") == 0
        self.filled = bench.place()
        assert bench.shell.rmmod("late") == 0
        bench.log()

    def test_by_newer_kernels_on_x86_64(self, newer: Bench) -> None:
        self.prepare(newer)

        assert newer.place() == (0 if newer.port.name == "x86_64" else self.filled)
        assert newer.insmod("late") == 0
        assert newer.call("late_ping") == 0
        newer.assert_sound()

    def test_not_by_6_1_which_then_refuses_the_object_on_x86_64(self, bench: Bench) -> None:
        self.prepare(bench)

        assert bench.place() == self.filled
        if bench.port.name == "arm64":
            assert bench.insmod("late") == 0
            return
        place = bench.at("lp_it") + 5
        assert bench.insmod("late") == -ENOEXEC
        first, *others = bench.log()
        assert first.startswith(
            "module: x86/modules: Skipping invalid relocation target, existing value is nonzero for type 4, "
            f"loc {place:016x}, val "
        )
        assert others == [
            "livepatch: failed to initialize patch 'lp' for module 'late' (-8)",
            "livepatch: patch 'lp' failed for module 'late', refusing to load module 'late'",
        ]
        assert bench.machine.modules.find("late") is None

    def test_not_when_a_place_holds_something_else(self) -> None:
        bench = Bench("x86_64", flavour="linux-6.17")
        bench.add(
            caller(bench.port, ".klp.sym.late.late_pong,0", section=".klp.rela.late.text"),
            module="late", function="late_ping",
        )  # fmt: skip
        bench.patch("lp")
        assert bench.insmod("late") == 0
        place = bench.at("lp_it") + 5
        bench.machine.kernel.engine.memory.store(place, 0x77, 4)
        bench.log()

        assert bench.shell.rmmod("late") == 0
        assert any("existing value does not match expected value for type 4" in line for line in bench.log())
        assert bench.place() == 0x77


REFUSED = {
    "a symbol of no object": (
        ".klp.sym.vic_beta", {}, ["symbol .klp.sym.vic_beta has an incorrectly formatted name"],
    ),
    "no position": (
        ".klp.sym.victim.vic_beta", {},
        ["symbol .klp.sym.victim.vic_beta has an incorrectly formatted name"],
    ),
    "an object of 56 letters": (
        f".klp.sym.{'m' * 56}.x,0", {}, [f"symbol .klp.sym.{'m' * 56}.x,0 has an incorrectly formatted name"],
    ),
    "another prefix": ("vic_beta,0", {}, ["symbol vic_beta,0 has an incorrectly formatted name"]),
    "a symbol without the mark": (
        ".klp.sym.victim.vic_beta,0", {"shndx": SHN_UNDEF},
        ["symbol .klp.sym.victim.vic_beta,0 is not marked as a livepatch symbol"],
    ),
    "a section of no object": (
        ".klp.sym.victim.vic_beta,0", {"section": ".klp.rela."},
        ["section .klp.rela. has an incorrectly formatted name"],
    ),
    "another section": (
        ".klp.sym.victim.vic_beta,0", {"section": ".rela.text"},
        ["section .rela.text has an incorrectly formatted name"],
    ),
    "the kernel from a module's section": (
        ".klp.sym.vmlinux.meminfo_proc_show,0", {},
        [
            "invalid access to vmlinux symbol 'meminfo_proc_show' from module-specific livepatch "
            "relocation section",
        ],
    ),
    "nothing of that name": (
        ".klp.sym.victim.nosuch,0", {}, ["symbol 'nosuch' not found in symbol table"],
    ),
    "nothing of that name in the kernel": (
        ".klp.sym.vmlinux.nosuch,0", {"section": ".klp.rela.vmlinux.text"},
        ["symbol 'nosuch' not found in symbol table"],
    ),
    "in an object that is not there": (
        ".klp.sym.late.late_pong,0", {}, ["symbol 'late_pong' not found in symbol table"],
    ),
    "two of that name": (
        ".klp.sym.victim.vic_dup,0", {},
        ["unresolvable ambiguity for symbol 'vic_dup' in object 'victim'"],
    ),
    "no third of that name": (
        ".klp.sym.victim.vic_dup,3", {},
        ["symbol position 3 for symbol 'vic_dup' in object 'victim' not found"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
@pytest.mark.parametrize("setup", ["x86_64", "arm64"])
def test_refused_with_einval_and_the_kernels_line(setup: str, why: str) -> None:
    symbol, options, lines = REFUSED[why]
    bench = Bench(setup)
    bench.add(caller(bench.port, symbol, **options))  # type: ignore[arg-type]  # keyword arguments
    bench.log()

    assert bench.shell.insmod("lp") == -EINVAL
    log = [line for line in bench.log() if "tainting" not in line]
    assert log == [f"livepatch: {line}" for line in lines]
    assert bench.machine.modules.find("lp") is None
    assert bench.text() == bench.boot_text
    del bench.machine.manifest.patches["lp"]
    bench.patch("lp_a1")  # the next one works


def kinds(port: Port) -> list[tuple[str, int, Rule]]:
    """Return each relocation type that the loader knows: name, number, rule."""
    machine = MACHINES[port.machine]
    numbers = {name: number for number, name in machine.names.items()}
    return [(name, numbers[name], rule) for name, rule in machine.rules.items()]


TOO_SMALL = {"R_X86_64_16", "R_X86_64_8", "R_X86_64_PC8", "R_AARCH64_ABS16", "R_AARCH64_MOVW_UABS_G0",
             "R_AARCH64_MOVW_SABS_G0"}  # fmt: skip
"""Types whose fields do not hold the address of a module, or the distance to it."""
ROOM = {"x86_64": bytes(16), "arm64": b"\xa5" * 16}
"""What the place held before: arm64 does not mind."""


@pytest.mark.parametrize(
    ("port", "name", "number", "rule"),
    [pytest.param(port, *row, id=row[0]) for port in PORTS.values() for row in kinds(port)],
)
def test_every_type_gives_what_the_loader_gives(port: Port, name: str, number: int, rule: Rule) -> None:
    late, plain = ".klp.sym.victim.vic_dup,2", "vic_dup_2"
    parts = [
        Part(name=".text", content=BODY[port.name] + ROOM[port.name], flags=TEXT),
        Part(name=".data", content=bytes(16), flags=DATA),
    ]  # fmt: skip
    at = len(BODY[port.name])

    def made(symbol: str, shndx: int, section: str, flags: int) -> bytes:
        names = [
            Name(name="lp_it", part=".text", size=len(BODY[port.name])),
            Name(name=symbol, part=shndx),
        ]  # fmt: skip
        rows = [Rela(offset=at, kind=number, symbol=symbol, addend=24)]
        return elf_object(port, parts, names, [Relas(name=section, target=".text", rows=rows, flags=flags)])

    bench = Bench(port.name)
    bench.add(made(late, SHN_LIVEPATCH, ".klp.rela.victim.text", ALLOC | LIVEPATCH))
    ret = bench.shell.insmod("lp")
    if name in TOO_SMALL:
        assert ret == -ENOEXEC
        assert f"overflow in relocation type {number} val " in "".join(bench.log())
        return
    assert ret == 0, bench.log()
    image = bench.machine.loader.image("lp")
    (base, code), memory = image.text[0], bench.machine.kernel.engine.memory
    data = min((start for start, _ in image.data), default=MODULE_DATA.base)
    _, target = bench.machine.kallsyms.find("victim", "vic_dup")
    loaded = load_elf(
        port, made(plain, SHN_UNDEF, ".rela.text", 0), origin="x", text_base=base, data_base=data,
        text_size=0x1000, data_size=0x1000, externs={plain: target.address},
    )  # fmt: skip
    for segment in loaded.segments:
        assert memory.read(segment.address, len(segment.data)) == segment.data, segment.name
    if rule.form != "none":
        assert memory.read(base, len(code)) != code


LATE_CALL = {
    "x86_64": """
	.global	lp_it
lp_it:
	call	{function}
	ret
""",
    "arm64": """
	.global	lp_it
lp_it:
	stp	x29, x30, [sp, #-0x10]!
	mov	x29, sp
	movz	x9, #{function}_LO16
	movk	x9, #{function}_HI16, lsl #0x10
	blr	x9
	ldp	x29, x30, [sp], #0x10
	ret
""",
}


class TestAssembly:
    """Replacements of ours call functions of the modules that they patch by name, whenever these come."""

    def unit(self, bench: Bench, function: str) -> list[Unit]:
        """Return a replacement that does."""
        text = LATE_CALL[bench.port.name].format(function=function)
        return [Unit(name="lp_it", text=text, origin="lp_it.s")]

    def test_of_a_module_that_comes_goes_and_comes(self, newer: Bench) -> None:
        newer.add(self.unit(newer, "late_pong"), module="late", function="late_ping")
        newer.patch("lp")
        number = newer.patch("lp_late2")  # of both functions; the pong that lp_it calls is its
        for _ in range(2):
            assert newer.insmod("late") == 0
            assert newer.call("late_ping") == number
            assert newer.shell.rmmod("late") == 0
        newer.unpatch("lp_late2")
        for _ in range(2):
            assert newer.insmod("late") == 0
            assert newer.call("late_ping") == 0  # late_pong's, by way of lp_it
            assert newer.shell.rmmod("late") == 0
        newer.assert_sound()

    def test_through_a_stub_with_a_name_of_its_own(self, bench: Bench) -> None:
        bench.add(self.unit(bench, "vic_beta"))
        bench.patch("lp")

        (stub,) = bench.machine.kallsyms.find("lp", "vic_beta@plt")
        assert bench.call("vic_alpha") == 0
        sections = bench.machine.loader.image("lp").klp_sections
        assert [section.name for section in sections] == [".klp.rela.victim.text"]
        assert all(stub.address <= r.place < stub.address + stub.size for r in sections[0].relocations)
        assert {r.symbol for r in sections[0].relocations} == {".klp.sym.victim.vic_beta,0"}

    def test_one_of_several_of_a_name_by_its_label(self, bench: Bench) -> None:
        bench.add(self.unit(bench, "vic_dup__2"))
        bench.patch("lp")

        (section,) = bench.machine.loader.image("lp").klp_sections
        assert {r.symbol for r in section.relocations} == {".klp.sym.victim.vic_dup,2"}
        bench.patch("lp_dup2")
        assert bench.call("vic_alpha") == bench.call("dup2") != 0
