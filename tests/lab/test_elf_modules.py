"""Modules and patches that a compiler made: they run, are traced and patched, and leave nothing behind."""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from functools import cache
from pathlib import Path

import pytest

from emu.analysis import audit
from emu.arch import PORTS, Port
from emu.build.code_source import SourceFile
from emu.build.contents import Call
from emu.build.memory_map import FAR_MODULES, MODULE_DATA
from emu.build.toolchain import TARGETS, EntryScheme, compile_object
from emu.cli.main import main
from emu.errors import UnknownNameError
from emu.kernel.errno import EINVAL, ENOENT
from emu.lab.machine import Machine
from emu.lab.run import Outcome, run_scenario
from emu.lab.scenario import load_scenario
from emu.trace import load_run
from emu.trace.schema import EventKind

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.skipif(
        importlib.util.find_spec("ziglang") is None and "CI" not in os.environ,
        reason="ziglang is not installed: pip install 'klpemu[toolchain]'",
    ),
]

IMAGE = Path(__file__).parents[2] / "images" / "cmini"
parametrize_port = pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)
SCHEMES = [
    pytest.param(port, entry, id=f"{name}-{entry}")
    for name, port in PORTS.items()
    for entry in TARGETS[port.machine].entry
    if entry is not EntryScheme.NONE
]
PATCHED = (
    "c_leaf",
    "c_nested",
    "c_recursive",
    "c_many",
    "c_loop",
    "c_tail",
    "c_show",
    "c_double",
    "c_triple",
)


@cache
def compiled(port: str, text: str, entry: EntryScheme = EntryScheme.PATCHABLE) -> bytes:
    """Return C text as an object."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "x.c")
        source.write_text(text)
        return compile_object(PORTS[port], source, entry=entry)


@cache
def outcome_of(port: str) -> Outcome:
    """Return the shipped scenario, run."""
    return run_scenario(load_scenario("c-module").with_options({"arch": port, "cpus": 2}))


@parametrize_port
class TestShippedScenario:
    """images/scenarios/c-module.toml: load, enable, disable, unload."""

    def test_every_call_is_right_and_every_rule_is_kept(self, port: Port) -> None:
        outcome = outcome_of(port.name)

        assert outcome.ok
        assert outcome.bad_results == 0
        assert [step.answer for step in outcome.steps] == ["ok"] * 4
        assert outcome.facts["audit"]["checked"] > 10_000

    def test_every_patched_function_ran_both_versions(self, port: Port) -> None:
        run = outcome_of(port.name).run
        symbols = run.symbols

        for name in PATCHED:
            calls = run.calls[run.calls["site"] == symbols[name].address]
            assert set(calls["target"]) == {
                symbols[name].address, symbols[f"livepatch-cmini:lp_{name}"].address
            }, name  # fmt: skip

    def test_the_log_is_livepatchs(self, port: Port) -> None:
        assert list(outcome_of(port.name).run.log) == [
            "livepatch-cmini: tainting kernel with TAINT_LIVEPATCH",
            "livepatch: enabling patch 'livepatch-cmini'",
            "livepatch: 'livepatch-cmini': starting patching transition",
            "livepatch: 'livepatch-cmini': patching complete",
            "livepatch: 'livepatch-cmini': starting unpatching transition",
            "livepatch: 'livepatch-cmini': unpatching complete",
        ]

    def test_the_patch_table_names_symbols_of_the_run(self, port: Port) -> None:
        run = outcome_of(port.name).run
        functions = run.meta["patches"][1]["functions"]

        assert functions["c_leaf"] == "livepatch-cmini:lp_c_leaf"
        assert {name for pair in functions.items() for name in pair} <= run.symbols.keys()
        assert run.symbols["c_leaf"].kind == "function"
        assert run.symbols["c_names"].kind == "object"
        assert run.symbols["klp_ops_list"].kind == "object"


@pytest.mark.parametrize(("port", "entry"), SCHEMES)
def test_every_entry_scheme_is_traced_and_patched_or_refused_with_the_reason(
    port: Port, entry: EntryScheme
) -> None:
    call_ops = entry is EntryScheme.CALL_OPS
    with Machine("cmini", arch=port.name, cpus=2, call_ops=call_ops) as machine:
        calls = machine.manifest.modules["cmini"].calls
        machine.add_module("cmini", SourceFile(path=IMAGE / "cmini.c", entry=entry), calls=calls)
        assert machine.wait(machine.load("cmini")) == 0
        assert machine.wait(machine.tracing.add("c_leaf")) == 0
        assert machine.run(calls=3_000).ok
        handle = machine.livepatch.enable("livepatch-cmini")
        assert machine.run(until=handle.settled).ok
        assert machine.run(calls=3_000).ok
        run = machine.finish()
        bad, hits, log = machine.bad_results(), machine.tracing.hits("c_leaf"), machine.log

    assert bad == 0
    assert hits > 0
    assert audit(run).passed
    if entry is EntryScheme.MCOUNT:
        assert handle.result == -EINVAL
        assert "livepatch: failed to find location for function 'c_leaf'" in log
        assert any(r.startswith("c_leaf [cmini]: its site is 0x") for r in handle.reasons)
        assert all(r.endswith(("behind the prologue", "not at its entry")) for r in handle.reasons)
    else:
        assert (handle.result, handle.reasons) == (0, ())
        assert (run.calls["patch"] == handle.id).any()


@parametrize_port
class TestMemory:
    """A module has the data that it asks for, and nothing of it is left when it has gone."""

    BIG = """
        static volatile unsigned table[3000] = {[2999] = 7};
        unsigned long zeroes[2000];
        unsigned big(unsigned a) { zeroes[a] += 1; return table[2999] + a; }
    """

    def test_several_pages_of_data_come_and_go(self, port: Port) -> None:
        with Machine(arch=port.name, cpus=2) as machine:
            heap, texts = machine.loader.data, machine.text_areas
            before = len(heap.live()), [len(area.live()) for area in texts]
            machine.add_module(
                "big", compiled(port.name, self.BIG), calls=[Call(fn="big", args=(1,), expected=8)]
            )
            assert machine.wait(machine.load("big")) == 0
            assert machine.run(calls=1_000).ok
            zeroes = machine.symbols.table()["zeroes"].address
            (data,) = heap.live()
            assert data.size >= 12_000 + 16_000
            assert zeroes in range(data.address, data.address + data.size)
            assert zeroes in MODULE_DATA
            assert machine.kernel.engine.memory.load(zeroes + 8) > 0
            assert machine.wait(machine.unload("big")) == 0
            assert machine.run(calls=1_000).ok

            assert machine.bad_results() == 0
            assert (len(heap.live()), [len(area.live()) for area in texts]) == before
            assert not machine.kallsyms.find("big", "big")
            assert [image.name for image in machine.kernel.images] == ["mini"]

    def test_who_still_uses_the_data_is_told(self, port: Port) -> None:
        user = "unsigned user(unsigned long *kept) { return *kept; }"
        with Machine(arch=port.name, cpus=2) as machine:
            machine.add_module("big", compiled(port.name, self.BIG))
            assert machine.wait(machine.load("big")) == 0
            kept = machine.symbols.table()["zeroes"].address  # by no name that would hold the module
            machine.add_module(
                "user", compiled(port.name, user), calls=[Call(fn="user", args=(kept,), expected=0)]
            )
            assert machine.wait(machine.load("user")) == 0
            assert machine.run(calls=500).ok
            assert machine.wait(machine.unload("big")) == 0
            report = machine.run(calls=500)

        assert not report.ok
        assert report.details[0].startswith("use after free: data of module big+0x")

    def test_a_name_is_kept_for_each_address_it_has_had(self, port: Port) -> None:
        content = compiled(port.name, "unsigned twice(unsigned a) { return a; }")
        with Machine(arch=port.name, cpus=1) as machine:
            machine.add_module("twice", content, calls=[Call(fn="twice", args=(1,), expected=1)])
            for _ in range(2):
                assert machine.wait(machine.load("twice")) == 0
                assert machine.run(calls=200).ok
                assert machine.wait(machine.unload("twice")) == 0
            run = machine.finish()

        addresses = {run.symbols[name].address for name in ("twice", "twice:twice")}
        assert len(addresses) == 2
        assert addresses <= set(run.calls["site"].tolist())


def test_sites_without_room_for_an_ops_pointer_are_refused() -> None:
    content = compiled(
        "arm64", "unsigned f(unsigned a) { return a; } unsigned g(unsigned a) { return a * a; }"
    )
    with Machine(arch="arm64", cpus=1, call_ops=True) as machine:
        machine.add_module("m", content)

        assert machine.wait(machine.load("m")) == -EINVAL

        assert machine.log[-1].startswith("ftrace: no room for an ops pointer before the function at ")
        assert machine.loader.data.live() == []
        assert machine.run(calls=300).ok


def test_an_arm64_module_out_of_reach_calls_the_kernel_through_its_plt() -> None:
    text = (
        "unsigned mini_leaf(unsigned a); unsigned far(unsigned a) { return mini_leaf(a) + mini_leaf(a + 1); }"
    )
    for entry in (EntryScheme.PATCHABLE, EntryScheme.MCOUNT):
        with Machine(arch="arm64", cpus=2, far_modules=True) as machine:
            content = compiled("arm64", text, entry)
            machine.add_module("far", content, calls=[Call(fn="far", args=(1,), expected=5)])
            assert machine.wait(machine.load("far")) == 0
            assert machine.wait(machine.tracing.add("far")) == 0
            assert machine.run(calls=2_000).ok

            assert machine.bad_results() == 0
            assert machine.tracing.hits("far") > 0
            assert machine.symbols.table()["far"].address in FAR_MODULES


@pytest.mark.parametrize("spelling", ["mcount", "_mcount"])
def test_arm64_compilers_may_spell_the_stub_either_way(spelling: str, tmp_path: Path) -> None:
    source = tmp_path / "x.s"
    source.write_text(
        ".text\n.globl f\n.type f, %function\nf:\nstp x29, x30, [sp, #-16]!\nmov x0, x30\n"
        f"bl {spelling}\nldp x29, x30, [sp], #16\nmov w0, #3\nret\n.size f, .-f\n"
    )
    with Machine(arch="arm64", cpus=1) as machine:
        machine.add_module("m", source, calls=[Call(fn="f", args=(), expected=3)])
        assert machine.wait(machine.load("m")) == 0
        assert machine.wait(machine.tracing.add("f")) == 0
        assert machine.run(calls=500).ok
        assert machine.bad_results() == 0
        assert machine.tracing.hits("f") > 0


@parametrize_port
def test_a_killed_run_can_be_audited(port: Port, tmp_path: Path) -> None:
    machine = Machine("cmini", arch=port.name, cpus=2, out=tmp_path / "run")
    assert machine.wait(machine.load("cmini")) == 0
    handle = machine.livepatch.enable("livepatch-cmini")
    assert machine.run(until=handle.settled).ok
    assert machine.run(calls=2_000).ok
    machine.close()  # as if killed: never finished

    run = load_run(tmp_path / "run")
    found = audit(run)

    assert not run.complete
    assert found.passed
    assert found.checked > 0
    assert (run.calls["patch"] == handle.id).any()
    assert not any("symbols.json" in note for note in found.notes)


@parametrize_port
class TestReferences:
    """What a module or patch refers to must be there."""

    def test_a_symbol_that_nobody_defines(self, port: Port) -> None:
        content = compiled(port.name, "int nobody(void); int f(void) { return nobody() + 1; }")
        with Machine(arch=port.name, cpus=1) as machine:
            machine.add_module("m", content)
            job = machine.load("m")
            assert machine.wait(job) == -ENOENT
            assert machine.log[-1:] == ["m: Unknown symbol nobody (err -2)"]
            assert machine.loader.data.live() == []
            assert machine.run(calls=100).ok

    def test_a_replacement_that_the_patch_has_not(self, port: Port) -> None:
        content = compiled(port.name, "unsigned lp_mini_leaf(unsigned a) { return a + 1; }")
        with Machine(arch=port.name, cpus=1) as machine:
            machine.add_patch("fix", content, objects={"vmlinux": {"mini_leaf": "lp_leaf"}})
            handle = machine.livepatch.enable("fix")
            assert machine.run(until=handle.settled).ok
            with pytest.raises(
                UnknownNameError, match=r"^unknown replacement in patch fix: 'lp_leaf'; .*lp_mini_"
            ):
                handle.result  # noqa: B018  (raises)

            machine.add_patch("fix", content, objects={"vmlinux": {"mini_leaf": "lp_mini_leaf"}})
            again = machine.livepatch.enable("fix")
            assert machine.run(until=again.settled).ok
            assert again.result == 0
            assert machine.run(calls=500).ok
            assert machine.bad_results() == 0


def test_the_version_is_known_as_a_macro_and_as_a_symbol(tmp_path: Path) -> None:
    source = tmp_path / "fix.c"
    source.write_text(
        "#ifdef KLP_VERSION\nunsigned long lp_mini_leaf(unsigned a)"
        " { return (unsigned)(a + 1) | (unsigned long)KLP_VERSION << 32; }\n#endif\n"
    )
    as_symbol = compiled(
        "x86_64",
        "extern char KLP_VERSION[]; unsigned long lp_mini_leaf(unsigned a)"
        " { return (unsigned)(a + 1) | (unsigned long)KLP_VERSION << 32; }",
    )
    for code in (source, as_symbol):
        with Machine(cpus=1) as machine:
            machine.add_patch("fix", code, objects={"vmlinux": {"mini_leaf": "lp_mini_leaf"}})
            for _ in range(2):
                handle = machine.livepatch.enable("fix")
                assert machine.run(until=handle.settled).ok
                assert machine.run(calls=300).ok
                assert machine.run(until=handle.disable().settled).ok
            run = machine.finish()

        versions = run.calls[run.calls["patch"] > 0]
        assert set(versions["patch"]) == {1, 2}
        assert ((versions["result"] >> 32) == versions["patch"]).all()
        assert audit(run).passed
        assert run.meta["patches"][2]["functions"] == {"mini_leaf": "fix#2:lp_mini_leaf"}


SCENARIO = """
name = "mine"
cpus = 2
calls = 3_000

[modules.mine]
{module}

[[modules.mine.calls]]
fn = "twice"
args = [21]
expected = {expected}

[patches.fix]
source = "fix.c"

[patches.fix.objects.mine]
twice = "lp_twice"

[[steps]]
after_calls = 500
load = "mine"

[[steps]]
after_calls = 1_000
enable = "fix"
"""
MINE = "unsigned twice(unsigned a) { return 2 * a; }\n"
FIX = "unsigned lp_twice(unsigned a) { return a + a; }\n"


class TestUsersScenario:
    """A scenario file that brings its own code, from the command line."""

    def run(self, *arguments: str, module: str = 'source = "mine.c"', expected: int = 42) -> int:
        """Return the exit code of ``klpemu run`` with the files of the current directory."""
        Path("code").mkdir(exist_ok=True)
        Path("code/mine.toml").write_text(SCENARIO.format(module=module, expected=expected))
        for name, text in (("mine.c", MINE), ("fix.c", FIX)):
            if not Path("code", name).exists():
                Path("code", name).write_text(text)
        with pytest.raises(SystemExit) as stopped:
            main(["run", "code/mine.toml", *arguments])
        assert isinstance(stopped.value.code, int)
        return stopped.value.code

    @pytest.fixture(autouse=True)
    def _empty_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("emu.compiled.is_compiled", lambda function="": True)

    @pytest.mark.parametrize("arch", sorted(PORTS))
    def test_source(self, arch: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run("--arch", arch, "--json") == 0

        document = json.loads(capsys.readouterr().out)
        assert document["bad_results"] == 0
        assert document["by_version"]["fix"] > 0
        assert document["audit"]["passed"]

    @pytest.mark.parametrize("arch", sorted(PORTS))
    def test_object_of_the_port(self, arch: str) -> None:
        Path("code").mkdir()
        Path(f"code/mine-{arch}.o").write_bytes(compiled(arch, MINE))

        assert self.run("--arch", arch, module='object = "mine-{arch}.o"') == 0

    def test_defines_and_entry(self) -> None:
        Path("code").mkdir()
        Path("code/mine.c").write_text("unsigned twice(unsigned a) { return FACTOR * a; }\n")
        module = 'source = "mine.c"\nentry = "fentry"\ndefines = { FACTOR = 2 }'

        assert self.run("--arch", "x86_64", module=module) == 0

    def test_wrong_results_are_a_no(self) -> None:
        assert self.run(expected=43) == 1

    def test_a_guest_gone_wrong_is_a_no(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("code").mkdir()
        Path("code/mine.c").write_text("unsigned twice(unsigned a) { return *(volatile unsigned *)8; }\n")

        assert self.run("--json") == 1

        stopped = json.loads(capsys.readouterr().out)["stopped"]
        assert stopped["what"] == "read from unmapped memory at 0x8"
        assert stopped["where"].startswith("twice+0x")
        assert "that is a null pointer" in stopped["report"][1]

    @pytest.mark.parametrize(
        ("module", "message"),
        [
            ('object = "none.o"', r"code/none.o: can't be read: No such file or directory; "),
            ('object = "mine.c"', r"code/mine.c: "),
            ('source = "none.c"', r"code/none.c: can't be read: No such file or directory; "),
            ('source = "bad.c"', r"code/bad.c:1: "),
            (
                'source = "mine.c"\nentry = "call-ops"',
                "unknown entry scheme of x86_64 'call-ops'; known: fentry",
            ),
        ],
    )
    def test_code_that_is_no_good_is_told_in_one_line(
        self, module: str, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("code").mkdir()
        Path("code/bad.c").write_text("int f(\n")

        assert self.run(module=module) == 2

        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert message in err

    def test_without_a_toolchain_it_is_skipped(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

        assert self.run() == 4

        assert "pip install 'klpemu[toolchain]'" in capsys.readouterr().err


def test_module_events_tell_where_the_module_was() -> None:
    run = outcome_of("x86_64").run
    loads = run.events[run.events["kind"] == EventKind.MODULE_LOAD]
    site = run.symbols["c_leaf"].address

    assert any(row["a"] <= site < row["a"] + row["b"] for row in loads)
