"""``klpemu disasm`` shows what the linker made, and what a run has made of it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emu.arch import PORTS, Port
from emu.build.image import Image, build_kernel
from emu.build.manifest import load_manifest
from emu.cli.main import main
from emu.lab.disassembly import ImageChangedError, disassemble_run
from emu.lab.machine import Machine
from emu.trace import CALLS, EVENTS, CodeBlock, EventKind, RunWriter, Symbol, load_run
from tests.trace import strategies

TRAMPOLINE = 0x0108_0000
LEAF = "mini_leaf"
PATCHES = [
    {"index": 0, "name": "original", "functions": {}},
    {"index": 1, "name": "p1", "functions": {LEAF: "lp_mini_leaf"}},
    {"index": 2, "name": "p2", "functions": {LEAF: LEAF, "mini_loop": "lp_mini_loop"}},
]


@pytest.fixture(params=list(PORTS.values()), ids=list(PORTS))
def port(request: pytest.FixtureRequest) -> Port:
    found: Port = request.param
    return found


@pytest.fixture
def image(port: Port) -> Image:
    return build_kernel(port, load_manifest("mini"))


def klpemu(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["disasm", *arguments])
    out, err = capsys.readouterr()
    assert (stopped.value.code, err) == (0, "")
    return out


def functions(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, Any]]:
    document = json.loads(klpemu(capsys, *arguments, "--json"))
    assert document["schema"] == "klpemu.disasm/1"
    return {function["name"]: function for function in document["functions"]}


class TestImage:
    """Every byte of every function is there, with its source."""

    def test_instructions_are_the_images_bytes(
        self, capsys: pytest.CaptureFixture[str], port: Port, image: Image
    ) -> None:
        found = functions(capsys, "mini", "--arch", port.name)

        base, code = image.text[0]
        for name, function in found.items():
            lines, start, size = function["instructions"], function["address"] - base, function["size"]
            shown = bytes.fromhex("".join(line["bytes"] for line in lines))
            assert len(shown) == size
            assert start < 0 or shown == code[start : start + size], name
            assert [line["address"] for line in lines] == sorted({line["address"] for line in lines})
        assert len(found) == sum(bool(s.size) and s.unit != "variables" for s in image.symbols.values())

    def test_every_instruction_of_the_sources_is_there_once(
        self, capsys: pytest.CaptureFixture[str], port: Port, image: Image
    ) -> None:
        found = functions(capsys, "mini", "--arch", port.name)

        sources = [line["source"] for function in found.values() for line in function["instructions"]]
        expected = [f"{file}:{line}" for _, file, line in image.lines]
        assert sorted(filter(None, sources)) == sorted(expected)

    @pytest.mark.parametrize(
        ("name", "site"),
        [(LEAF, "entry"), ("mini_landing", "entry"), ("mini_mcount", "mcount"), ("mini_bare", "none")],
    )
    def test_kind_of_site(self, capsys: pytest.CaptureFixture[str], port: Port, name: str, site: str) -> None:
        function = functions(capsys, "mini", "--arch", port.name, "--function", name)[name]

        assert function["site"] == site
        assert function["state"] == ("no site" if site == "none" else "as linked")
        assert sum(line["site"] for line in function["instructions"]) == (site != "none")

    def test_branch_targets_are_named(
        self, capsys: pytest.CaptureFixture[str], port: Port, image: Image
    ) -> None:
        found = functions(capsys, "mini", "--arch", port.name)

        for function in found.values():
            for line in function["instructions"]:
                if line["target"] is not None:
                    named = re.search(r"(\w+)\+(0x[0-9a-f]+)$", line["text"])
                    assert named, line["text"]
                    assert image.address(named[1]) + int(named[2], 16) == line["target"]
        assert any(line["text"].endswith(" mini_leaf+0x0") for line in found["mini_nested"]["instructions"])

    def test_the_site_of_an_x86_64_function_calls_the_stub(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, _, header, site, *_ = klpemu(capsys, "mini", "--function", LEAF).splitlines()

        assert header.endswith(" <mini_leaf>  9 bytes, asm/x86_64/mini_leaf.s, traced at entry")
        assert re.fullmatch(
            r"  0x\w+  e8( \w\w){4} +call __fentry__\+0x0 +mini_leaf.s:\d+ +; site \(entry\)", site
        )

    def test_inner_labels_and_traps_are_shown(self, capsys: pytest.CaptureFixture[str], port: Port) -> None:
        text = klpemu(capsys, "mini", "--arch", port.name, "--function", "klp_ftrace_handler")

        assert "\nklp_in_transition:\n" in text
        assert "; WARN klp_idle_state\n" in text
        assert "__warn_" not in text

    def test_functions_come_in_the_order_asked_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = functions(capsys, "mini", "--function", "mini_loop", "--function", LEAF)

        assert list(found) == ["mini_loop", LEAF]

    def test_addresses_of_variables_are_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = klpemu(capsys, "mini", "--function", "ftrace_caller")

        assert re.search(r"\[rip \+ 0x[0-9a-f]+\] +; function_trace_op\+0x0$", text, re.MULTILINE)


def record(
    path: Path,
    port: Port,
    *events: dict[str, int],
    symbols: dict[str, Symbol] | None = None,
    code: tuple[CodeBlock, ...] = (),
    **meta: Any,
) -> Path:
    """Write a run of ``events`` alone."""
    with RunWriter(path, strategies.meta(arch=port.name, patches=PATCHES, **meta)) as writer:
        writer.add_calls(strategies.rows_of(CALLS))
        rows = [{"seq": seq, **event} for seq, event in enumerate(events)]
        writer.add_events(strategies.rows_of(EVENTS, *rows))
        writer.set_symbols(symbols or {})
        for block in code:
            writer.add_code(block)
        writer.finish({})
    return path


PATCH = strategies.BLOCK
MODULE = CodeBlock(
    kind="module", name="m", seq=1, address=0x10C_0000, code=b"\xc3" * 16, symbols={"f": (0x10C_0000, 16)}
)


def poke(address: int, data: bytes) -> dict[str, int]:
    first = int.from_bytes(data[:8], "little")
    return {"kind": EventKind.TEXT_POKE, "a": address, "b": len(data), "c": first}


def boot(port: Port, image: Image) -> list[dict[str, int]]:
    """What ftrace_init stores at mini_leaf's site."""
    at, site = image.sites[LEAF], port.site
    prologue = [poke(at, site.prologue)] if site.prologue else []
    return [*prologue, poke(at + site.poke_offset, site.nop)]


def switched_on(port: Port, image: Image, target: int = TRAMPOLINE) -> list[dict[str, int]]:
    """What is stored at mini_leaf's site until it calls ``target``."""
    at = image.sites[LEAF] + port.site.poke_offset
    call = port.encode_call(at, target)
    if port.name == "x86_64":
        return [poke(at, b"\xcc"), poke(at + 1, call[1:]), poke(at, call[:1])]
    return [poke(at, call)]


def marks(kind: EventKind, patch: int, flag: int = 0) -> dict[str, int]:
    return {"kind": kind, "a": patch, "b": flag}


class TestRun:
    """A run's text is the image's with every poke played again."""

    def leaf(self, capsys: pytest.CaptureFixture[str], run: Path) -> dict[str, Any]:
        return functions(capsys, str(run), "--function", LEAF)[LEAF]

    def site_line(self, function: dict[str, Any]) -> dict[str, Any]:
        (line,) = [line for line in function["instructions"] if line["site"]]
        found: dict[str, Any] = line
        return found

    def test_before_boot_it_is_as_linked(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port
    ) -> None:
        run = functions(capsys, str(record(tmp_path / "run", port)))
        linked = functions(capsys, "mini", "--arch", port.name)

        def code(function: dict[str, Any]) -> list[str]:
            return [line["bytes"] for line in function["instructions"]]

        assert {name: code(function) for name, function in run.items()} == {
            name: code(function) for name, function in linked.items()
        }

    def test_after_boot_a_site_is_off(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port, image: Image
    ) -> None:
        leaf = self.leaf(capsys, record(tmp_path / "run", port, *boot(port, image)))

        assert leaf["state"] == "off"
        assert self.site_line(leaf)["bytes"] == port.site.nop.hex()
        assert self.site_line(leaf)["notes"] == ["site: off"]
        assert not leaf["versions"]

    def test_a_traced_site_names_what_it_calls(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port, image: Image
    ) -> None:
        target = image.address("ftrace_caller")
        run = record(tmp_path / "run", port, *boot(port, image), *switched_on(port, image, target))
        leaf = self.leaf(capsys, run)

        assert (leaf["state"], leaf["calls"]) == ("on", "ftrace_caller")
        assert self.site_line(leaf)["notes"] == ["patched: calls ftrace_caller"]
        assert self.site_line(leaf)["text"].endswith(" ftrace_caller+0x0")

    @pytest.mark.parametrize(
        ("symbols", "name"),
        [
            ({"ftrace_trampoline": Symbol(TRAMPOLINE, 0x100, "function")}, "ftrace_trampoline"),
            ({}, "trampoline@0x1080000"),
        ],
        ids=["known", "unknown"],
    )
    def test_a_private_trampoline_has_the_runs_name_for_it(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port, image: Image,
        symbols: dict[str, Symbol], name: str,
    ) -> None:  # fmt: skip
        run = record(tmp_path / "run", port, *switched_on(port, image), symbols=symbols)

        assert self.leaf(capsys, run)["calls"] == name

    def test_an_enabled_patch_names_the_replacement(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port, image: Image
    ) -> None:
        settled = [marks(EventKind.ENABLE, 1), *switched_on(port, image), marks(EventKind.SETTLED, 1, 1)]
        leaf = self.leaf(capsys, record(tmp_path / "run", port, *boot(port, image), *settled))

        assert leaf["versions"] == [{"patch": "p1", "replacement": "lp_mini_leaf", "in_transition": False}]
        (note,) = self.site_line(leaf)["notes"]
        assert note == "patched: calls trampoline@0x1080000, runs lp_mini_leaf (p1)"

    def test_a_patch_in_transition_is_marked(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port, image: Image
    ) -> None:
        going = [marks(EventKind.ENABLE, 1), *switched_on(port, image)]
        text = klpemu(capsys, str(record(tmp_path / "run", port, *going)), "--function", LEAF)

        assert "runs lp_mini_leaf (p1, in transition)" in text

    def test_a_disabled_patch_is_not_shown(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port, image: Image
    ) -> None:
        done = [
            marks(EventKind.ENABLE, 1), marks(EventKind.SETTLED, 1, 1),
            marks(EventKind.DISABLE, 1), marks(EventKind.SETTLED, 1, 0),
        ]  # fmt: skip

        assert not self.leaf(capsys, record(tmp_path / "run", port, *boot(port, image), *done))["versions"]

    def test_an_atomic_replace_with_a_nop_runs_the_original(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port, image: Image
    ) -> None:
        replaced = [
            marks(EventKind.ENABLE, 1), *switched_on(port, image), marks(EventKind.SETTLED, 1, 1),
            marks(EventKind.ENABLE, 2, 1), marks(EventKind.SETTLED, 2, 1),
        ]  # fmt: skip
        text = klpemu(capsys, str(record(tmp_path / "run", port, *replaced)), "--function", LEAF)

        assert "runs original (p2)" in text
        assert "(p1" not in text

    def test_a_half_done_poke_is_a_breakpoint(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        port = PORTS["x86_64"]
        image = build_kernel(port, load_manifest("mini"))
        run = record(tmp_path / "run", port, *boot(port, image), *switched_on(port, image)[:2])
        leaf = self.leaf(capsys, run)

        assert leaf["state"] == "breakpoint"
        assert [line["text"].split()[0] for line in leaf["instructions"]] == ["int3", ".byte", "lea", "ret"]
        assert sum(len(bytes.fromhex(line["bytes"])) for line in leaf["instructions"]) == leaf["size"]

    def test_a_poke_elsewhere_tells_what_was_there(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port, image: Image
    ) -> None:
        at = image.address("ftrace_call")
        call = poke(at, port.encode_call(at, image.address("ftrace_ops_list_func")))
        text = klpemu(capsys, str(record(tmp_path / "run", port, call)), "--function", "ftrace_caller")

        assert re.search(
            r" ftrace_ops_list_func\+0x0 .*; poked; was \w+ ftrace_stub\+0x0$", text, re.MULTILINE
        )

    @pytest.mark.parametrize(
        ("address", "size"), [(0, 8), (2**64 - 4, 8), (0x100_0000, 2**64 - 1), (0x100_0000, 0)]
    )
    def test_pokes_of_other_text_or_of_nonsense_are_passed_over(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port, address: int, size: int
    ) -> None:
        wild = {"kind": EventKind.TEXT_POKE, "a": address, "b": size, "c": 2**64 - 1}

        assert self.leaf(capsys, record(tmp_path / "run", port, wild))["state"] in ("as linked", "off")

    def test_a_long_poke_of_the_kernels_text_is_owned_up_to(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port, image: Image
    ) -> None:
        run = record(tmp_path / "run", port, poke(image.address(LEAF), bytes(16)))

        assert "\nnote: 1 text poke of more than 8 bytes can't be shown" in klpemu(capsys, str(run))

    def test_what_came_into_memory_is_shown_behind_the_kernel(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port
    ) -> None:
        found = functions(capsys, str(record(tmp_path / "run", port, code=(PATCH, MODULE))))

        assert [*found][-3:] == ["lp1_mini_leaf", "lp1_mini_tail", "f"]
        assert [(found[name]["kind"], found[name]["object"]) for name in (LEAF, "lp1_mini_leaf", "f")] == [
            ("kernel", "vmlinux"), ("patch", "p1"), ("module", "m"),
        ]  # fmt: skip
        lines = found["lp1_mini_leaf"]["instructions"]
        assert bytes.fromhex("".join(line["bytes"] for line in lines)) == PATCH.code[:0x20]
        assert [line["source"] for line in lines if line["source"]] == ["leaf.s:1", "leaf.s:2"]
        assert found["lp1_mini_leaf"]["source"] == "leaf.s"

    def test_pokes_change_what_is_there_when_they_are_made(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port
    ) -> None:
        at, unload = MODULE.address, {"kind": EventKind.MODULE_UNLOAD, "a": MODULE.address, "b": 16}
        again = replace(MODULE, name="n", seq=4, symbols={"g": (at, 16)})
        pokes = poke(at, b"\x01"), poke(at + 1, b"\x02"), poke(at + 2, b"\x03"), unload, poke(at + 3, b"\x04")
        found = functions(capsys, str(record(tmp_path / "run", port, *pokes, code=(MODULE, again))))

        codes = {
            name: bytes.fromhex("".join(line["bytes"] for line in found[name]["instructions"]))
            for name in ("f", "g")
        }
        assert codes == {"f": b"\xc3\x02\x03" + 13 * b"\xc3", "g": 3 * b"\xc3" + b"\x04" + 12 * b"\xc3"}
        assert (found["f"]["gone"], found["g"]["gone"]) == (True, False)

    def test_headers_say_whose_code_it_is(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port
    ) -> None:
        copy = replace(
            MODULE, kind="trampoline", name="t", address=TRAMPOLINE, symbols={"t": (TRAMPOLINE, 16)}
        )
        plt = replace(MODULE, kind="plt", address=0x10C_0010, symbols={"m:f@plt": (0x10C_0010, 16)})
        unload = {"kind": EventKind.MODULE_UNLOAD, "a": MODULE.address, "b": 16}
        code = (MODULE, copy, plt, PATCH)
        text = klpemu(capsys, str(record(tmp_path / "run", port, {}, {}, unload, code=code)))

        assert "\n0x10c0000 <f>  16 bytes, module m, unloaded by then, no site\n" in text
        assert "\n0x1080000 <t>  16 bytes, trampoline\n" in text
        assert "\n0x10c0010 <m:f@plt>  16 bytes, PLT of m, unloaded by then\n" in text
        assert "\n0x10a0000 <lp1_mini_leaf>  32 bytes, patch p1, leaf.s, traced at entry\n" in text

    def test_a_patchs_function_can_be_asked_for_without_its_patch(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port
    ) -> None:
        patches = [
            replace(PATCH, name=name, symbols={f"{name}:f": (PATCH.address, 4)}, sites={})
            for name in ("p", "q")
        ]
        run = str(record(tmp_path / "run", port, code=(*patches, MODULE)))

        assert list(functions(capsys, run, "--function", "f")) == ["p:f", "q:f", "f"]
        assert list(functions(capsys, run, "--function", "q:f")) == ["q:f"]

    def test_one_function_is_not_several(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port
    ) -> None:
        text = klpemu(capsys, str(record(tmp_path / "run", port)), "--function", LEAF)

        assert text.splitlines()[0].endswith(": 1 function")

    def test_a_run_of_another_image_is_refused(self, tmp_path: Path, port: Port, image: Image) -> None:
        moved = {LEAF: Symbol(image.address(LEAF) + 0x10, 9, "function")}
        run = load_run(record(tmp_path / "run", port, symbols=moved))

        message = r"^the run's image 'mini' is not the one of this klpemu: mini_leaf was at "
        with pytest.raises(ImageChangedError, match=message):
            disassemble_run(run)

    @pytest.mark.parametrize("change", [{"image": "nosuch"}, {"arch": "mips"}])
    def test_an_unknown_image_or_port_is_a_mistake(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, change: dict[str, str]
    ) -> None:
        with RunWriter(tmp_path / "run", strategies.meta(**change)) as writer:
            writer.finish({})
        with pytest.raises(SystemExit) as stopped:
            main(["disasm", str(tmp_path / "run")])

        out, err = capsys.readouterr()
        assert (stopped.value.code, out, err.count("\n")) == (2, "", 1)

    def test_an_unfinished_run_says_so(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port
    ) -> None:
        RunWriter(tmp_path / "run", strategies.meta(arch=port.name)).close()

        assert "note: the run did not finish" in klpemu(capsys, str(tmp_path / "run"))

    def test_names_of_a_directory_like_an_images_need_a_slash(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, port: Port, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record(tmp_path / "mini", port)
        monkeypatch.chdir(tmp_path)

        assert "as linked" in klpemu(capsys, "mini", "--function", LEAF).splitlines()[0]
        assert "when the run ended" in klpemu(capsys, "./mini", "--function", LEAF).splitlines()[0]


@pytest.mark.slow
@pytest.mark.parametrize("arch", PORTS)
def test_a_real_runs_text_is_what_its_memory_holds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arch: str
) -> None:
    with Machine(arch=arch, cpus=2, out=tmp_path / "run") as machine:
        machine.wait(machine.load("target"))
        for patch in ("livepatch-show", "livepatch-target"):
            machine.run(until=machine.livepatch.enable(patch).settled)
        sites = {name: machine.site_bytes(name) for name in machine.kernel.image.sites}
        memory, text_areas = machine.kernel.engine.memory, machine.text_areas
        machine.finish()

    found = functions(capsys, str(tmp_path / "run"))
    for function in found.values():
        shown = bytes.fromhex("".join(line["bytes"] for line in function["instructions"]))
        assert shown == memory.read(function["address"], function["size"]), function["name"]
    addresses = [function["address"] for function in found.values()]
    for block in (block for area in text_areas for block in area.live()):
        assert any(0 <= address - block.address < block.size for address in addresses), hex(block.address)
    for name, expected in sites.items():
        (line,) = [line for line in found[name]["instructions"] if line["site"]]
        assert line["bytes"] == expected.hex(), name
    assert found["cmdline_proc_show"]["versions"][0]["replacement"] == "livepatch-show:lp_cmdline_proc_show"
    assert [name for name in sites if found[name]["state"] == "on"] == [
        "cmdline_proc_show", "meminfo_proc_show", "uptime_proc_show", "loadavg_proc_show",
    ]  # fmt: skip
