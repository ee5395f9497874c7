"""Every mistake is answered with one line on stderr, exit code 2, and nothing else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from emu.cli.main import main
from emu.errors import MissingOptionalError
from emu.trace import RunWriter
from tests.trace import strategies

ROOT = Path(__file__).parents[2]
SCHEMAS = ("other/1", "klpemu.run/1", "klpemu.run/99", "klpemu.run/x")
VERBS = ("analyze", "cycles", "disasm", "doctor", "explore", "list", "litmus", "run")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty directory, with the engine taken for compiled: that it has to be is said on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("emu.compiled.is_compiled", lambda function="": True)
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """Return the one line that the command answers with, without its prefix."""
    before = sorted(Path().rglob("*"))
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    out, err = capsys.readouterr()

    assert stopped.value.code == code
    assert out == ""
    assert err.startswith("klpemu: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    assert sorted(Path().rglob("*")) == before
    return err.removeprefix("klpemu: ").rstrip("\n")


class TestCommandLine:
    """Verbs and options that do not exist, or not like this."""

    @pytest.mark.parametrize("verb", ["bogus", "", "Run", "runs", "--bogus", "-x"])
    def test_unknown_verb_or_option(self, capsys: pytest.CaptureFixture[str], verb: str) -> None:
        refusal(capsys, verb)

    def test_an_unknown_verb_is_answered_with_those_there_are(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert refusal(capsys, "bogus") == f"no verb 'bogus'; known: {', '.join(VERBS)}"

    @pytest.mark.parametrize("verb", VERBS)
    def test_unknown_option_of_a_verb(self, capsys: pytest.CaptureFixture[str], verb: str) -> None:
        assert refusal(capsys, verb, "--bogus").startswith("No such option '--bogus'")

    @pytest.mark.parametrize(
        "verb", [verb for verb in VERBS if verb not in ("cycles", "litmus")]
    )  # take several files
    def test_too_many_arguments(self, capsys: pytest.CaptureFixture[str], verb: str) -> None:
        assert refusal(capsys, verb, "images", "images").startswith("Got unexpected extra argument")

    @pytest.mark.parametrize("verb", ["analyze", "disasm"])
    def test_too_few_arguments(self, capsys: pytest.CaptureFixture[str], verb: str) -> None:
        assert refusal(capsys, verb).startswith("Missing argument")

    def test_unknown_kind_of_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "'nosuch' is not one of 'images'" in refusal(capsys, "list", "nosuch")


@pytest.mark.parametrize("verb", ["analyze", "disasm"])
@pytest.mark.parametrize("as_json", [False, True])
class TestRunDirectory:
    """Verbs that read a recording."""

    def answer(self, capsys: pytest.CaptureFixture[str], verb: str, path: str, as_json: bool) -> str:
        return refusal(capsys, verb, path, *(["--json"] if as_json else []))

    def test_nothing_there(self, capsys: pytest.CaptureFixture[str], verb: str, as_json: bool) -> None:
        assert "nosuch" in self.answer(capsys, verb, "nosuch", as_json)

    def test_no_name(self, capsys: pytest.CaptureFixture[str], verb: str, as_json: bool) -> None:
        self.answer(capsys, verb, "", as_json)

    def test_a_file(self, capsys: pytest.CaptureFixture[str], verb: str, as_json: bool) -> None:
        Path("file").write_text("", encoding="utf-8")

        assert self.answer(capsys, verb, "file", as_json).startswith("file is not a klpemu run: it is a file")

    def test_an_empty_directory(self, capsys: pytest.CaptureFixture[str], verb: str, as_json: bool) -> None:
        assert "it has no meta.json" in self.answer(capsys, verb, ".", as_json)

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "null", *(f'{{"schema": "{name}"}}' for name in SCHEMAS)]
    )
    def test_broken_meta(
        self, capsys: pytest.CaptureFixture[str], verb: str, as_json: bool, text: str
    ) -> None:
        Path("meta.json").write_text(text, encoding="utf-8")

        self.answer(capsys, verb, ".", as_json)

    @pytest.mark.parametrize("name", ["calls.npy", "events.npy", "symbols.json", "log.txt"])
    def test_a_file_of_a_finished_run_is_gone(
        self, capsys: pytest.CaptureFixture[str], verb: str, as_json: bool, name: str
    ) -> None:
        with RunWriter("run", strategies.meta()) as writer:
            writer.finish({})
        Path("run", name).unlink()

        assert name in self.answer(capsys, verb, "run", as_json)

    @pytest.mark.parametrize("name", ["calls.npy", "events.npy", "symbols.json"])
    def test_a_file_holds_something_else(
        self, capsys: pytest.CaptureFixture[str], verb: str, as_json: bool, name: str
    ) -> None:
        with RunWriter("run", strategies.meta()) as writer:
            writer.finish({})
        Path("run", name).write_bytes(b"something else\n" * 20)

        assert name in self.answer(capsys, verb, "run", as_json)


class TestDisasm:
    """What ``disasm`` alone can be asked wrongly."""

    def test_unknown_image(self, capsys: pytest.CaptureFixture[str]) -> None:
        known = "cmini, mini, reference, traced-helper, or the directory of a run"
        expected = f"unknown image 'nosuch'; known: {known}"
        assert refusal(capsys, "disasm", "nosuch") == expected

    def test_unknown_port(self, capsys: pytest.CaptureFixture[str]) -> None:
        expected = "unknown port 'mips'; known: arm64, x86_64"
        assert refusal(capsys, "disasm", "mini", "--arch", "mips") == expected

    def test_unknown_function(self, capsys: pytest.CaptureFixture[str]) -> None:
        answer = refusal(capsys, "disasm", "mini", "--function", "mini_leaf", "--function", "nosuch")
        assert answer.startswith("unknown function 'nosuch'; known: __fentry__, ")

    def test_another_port_than_the_runs(self, capsys: pytest.CaptureFixture[str]) -> None:
        with RunWriter("run", strategies.meta()) as writer:
            writer.finish({})

        answer = refusal(capsys, "disasm", "run", "--arch", "arm64")
        assert answer == "--arch arm64: the run is one of x86_64; leave the option out"


SCENARIOS = {
    "empty": ("", r"name: is missing"),
    "no TOML": ("name =", r"TOML: "),
    "nameless": ("cpus = 4", r"name: is missing"),
    "name is a number": ("name = 5", r"name: must be a string, not 5"),
    "unknown key": ('name = "x"\ncpu = 4', r"cpu: unknown key; did you mean 'cpus'\?"),
    "unknown table": ('name = "x"\n[nosuch]\na = 1', r"nosuch: unknown key"),
    "no CPU": ('name = "x"\ncpus = 0', r"cpus: must be a whole number from 1 to 64, not 0"),
    "too many CPUs": ('name = "x"\ncpus = 65', r"cpus: must be a whole number from 1 to 64, not 65"),
    "CPUs are true": ('name = "x"\ncpus = true', r"cpus: must be a whole number"),
    "a fraction of calls": ('name = "x"\ncalls = 1.5', r"calls: must be a whole number"),
    "no calls": ('name = "x"\ncalls = 0', r"calls: must be a whole number from 1 "),
    "far too many calls": (f'name = "x"\ncalls = {10**30}', r"calls: must be a whole number"),
    "negative seed": ('name = "x"\nseed = -1', r"seed: must be a whole number from 0 "),
    "unknown port": ('name = "x"\narch = "mips"', r"arch: must be one of arm64, x86_64, not 'mips'"),
    "port is a list": ('name = "x"\narch = ["arm64"]', r"arch: must be one of arm64, x86_64"),
    "unknown image": ('name = "x"\nimage = "nosuch"', r"image: unknown image 'nosuch'; known: cmini, mini, "),
    "unknown mode": ('name = "x"\nmode = "slow"', r"mode: must be one of fast, exact, not 'slow'"),
    "unknown schedule": ('name = "x"\nmode = "exact"\nschedule = "no"', r"schedule: must be one of "),
    "unknown fetch": ('name = "x"\nfetch = "no"', r"fetch: must be one of "),
    "fast and random": ('name = "x"\nschedule = "random"', r"schedule: 'random' needs mode exact"),
    "nobody calls": ('name = "x"\nworkers = 0\nusers = 0', r"workers: no workers and no users"),
    "CALL_OPS on x86": ('name = "x"\ncall_ops = true', r"call_ops: x86_64 sites carry no ops pointer"),
    "far modules on x86": ('name = "x"\nfar_modules = true', r"far_modules: x86_64 calls reach all text, "),
    "CALL_OPS is text": ('name = "x"\ncall_ops = "yes"', r"call_ops: must be true or false, not 'yes'"),
    "steps is a number": ('name = "x"\nsteps = 5', r"steps: must be an array of tables"),
    "steps is a table": ('name = "x"\n[steps]\nenable = "a"', r"steps: must be an array of tables"),
    "a step is a number": ('name = "x"\nsteps = [5]', r"steps\[0\]: must be a table"),
    "a step does nothing": ('name = "x"\n[[steps]]', r"steps\[0\]: needs exactly one of enable, "),
    "a step does two things": (
        'name = "x"\n[[steps]]\nenable = "a"\ndisable = "b"', r"steps\[0\]: needs exactly one of enable, ",
    ),
    "a step has an unknown key": (
        'name = "x"\n[[steps]]\nenable = "a"\nat = 3', r"steps\[0\].at: unknown key",
    ),
    "a step's patch is a number": (
        'name = "x"\n[[steps]]\nenable = 5', r"steps\[0\].enable: must name the patch",
    ),
    "a step before the start": (
        'name = "x"\n[[steps]]\nenable = "a"\nafter_calls = -1', r"steps\[0\].after_calls: must be a whole ",
    ),
    "steps out of order": (
        'name = "x"\n[[steps]]\nenable = "a"\nafter_calls = 5\n[[steps]]\nenable = "b"',
        r"steps\[1\].after_calls: must not be less",
    ),
}  # fmt: skip
UNKNOWN_SUBJECTS = {
    "unknown patch": ('enable = "nosuch"', r"enable: unknown patch 'nosuch'; known: livepatch-both, "),
    "unknown module": (
        'load = "nosuch"',
        r"load: unknown module 'nosuch'; .*, target, .*",
    ),
    "unknown function": ('trace = "nosuch"', r"trace: unknown function 'nosuch'; known: "),
    "a patch that is not enabled": (
        'disable = "livepatch-sample"',
        r"disable: unknown enabled patch 'livepatch-s",
    ),
}


class TestScenario:
    """A scenario file that can't be run is refused before anything runs or is written."""

    def answer(self, capsys: pytest.CaptureFixture[str], text: str | bytes) -> str:
        Path("s.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return refusal(capsys, "run", "s.toml", "--out", "out")

    @pytest.mark.parametrize(("text", "expected"), SCENARIOS.values(), ids=SCENARIOS)
    def test_what_it_says_can_not_be(
        self, capsys: pytest.CaptureFixture[str], text: str, expected: str
    ) -> None:
        answer = self.answer(capsys, text)

        assert re.match(f"s.toml: {expected}", answer), answer

    @pytest.mark.parametrize(("step", "expected"), UNKNOWN_SUBJECTS.values(), ids=UNKNOWN_SUBJECTS)
    def test_a_step_names_nothing_that_exists(
        self, capsys: pytest.CaptureFixture[str], step: str, expected: str
    ) -> None:
        answer = self.answer(capsys, f'name = "x"\ncalls = 100\n[[steps]]\n{step}')

        assert re.match(rf"s.toml: steps\[0\]\.{expected}", answer), answer

    @pytest.mark.parametrize("text", [b"\xff\xfe", b'name = "\xe9"', bytes(range(128, 256))])
    def test_not_utf_8(self, capsys: pytest.CaptureFixture[str], text: bytes) -> None:
        assert self.answer(capsys, text).startswith("s.toml: file: is not UTF-8 text (byte ")

    @pytest.mark.parametrize(
        "text", ["name = " + "[" * 100_000, "calls = " + "9" * 5_000], ids=["deep", "long"]
    )
    def test_toml_that_python_gives_up_on(self, capsys: pytest.CaptureFixture[str], text: str) -> None:
        assert self.answer(capsys, text).startswith("s.toml: TOML: ")

    def test_control_characters_do_not_reach_the_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "\x1b" not in self.answer(capsys, 'name = "x"\n"\\u001b[31m" = 1')

    def test_no_such_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert refusal(capsys, "run", "nosuch").startswith(
            "unknown scenario 'nosuch'; known: c-module, demo, "
        )

    def test_no_such_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert refusal(capsys, "run", "no.toml") == "no.toml: file: can't be read: No such file or directory"

    def test_a_directory(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert refusal(capsys, "run", ".") == ".: file: can't be read: Is a directory"


class TestRunOptions:
    """Options of ``run`` that can't be."""

    @pytest.mark.parametrize(
        ("arguments", "key"),
        [
            ("--arch mips", "arch"),
            ("--arch=", "arch"),
            ("--cpus 0", "cpus"),
            ("--cpus 65", "cpus"),
            ("--cpus -1", "cpus"),
            ("--calls 0", "calls"),
            ("--calls -5", "calls"),
            ("--seed -1", "seed"),
            ("--mode slow", "mode"),
            ("--mode exact --schedule nosuch", "schedule"),
            ("--mode fast --schedule random", "schedule"),
            ("--schedule round-robin", "schedule"),
            ("--fetch nosuch", "fetch"),
            ("--ordering nosuch", "ordering"),
            ("--ordering arm64", "ordering"),
            ("--ordering arm64 --mode exact", "ordering"),
            ("--flavour linux-7.0", "flavour"),
        ],
    )
    def test_impossible_value(self, capsys: pytest.CaptureFixture[str], arguments: str, key: str) -> None:
        assert refusal(capsys, "run", *arguments.split(), "--out", "out").startswith(f"option: {key}: ")

    def test_no_defect_to_leave_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        answer = refusal(capsys, "run", "demo", "--fixed")

        assert answer == "scenario demo: defect: there is none to leave out; run it without --fixed"

    @pytest.mark.parametrize(
        "arguments", ["--cpus four", "--calls 1e9", "--timing no", "--ordering no", "--seed"]
    )
    def test_not_even_of_that_kind(self, capsys: pytest.CaptureFixture[str], arguments: str) -> None:
        refusal(capsys, "run", *arguments.split())

    def test_a_mistake_is_told_before_the_engine_is_compiled(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emu.compiled.is_compiled", lambda function="": False)

        refusal(capsys, "run", "--cpus", "0")


class TestRunOut:
    """A place that a run can't be recorded in is refused, and left as it was."""

    def test_a_directory_with_something_else(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("taken").mkdir()
        Path("taken", "precious.txt").write_text("mine", encoding="utf-8")

        assert refusal(capsys, "run", "--out", "taken").startswith("will not write a run to taken: ")

    @pytest.mark.parametrize("path", ["file", "file/below"])
    def test_a_file_in_the_way(self, capsys: pytest.CaptureFixture[str], path: str) -> None:
        Path("file").write_text("mine", encoding="utf-8")

        assert refusal(capsys, "run", "--out", path).startswith(f"will not write a run to {path}: ")
        assert Path("file").read_text(encoding="utf-8") == "mine"

    def test_a_place_where_nothing_can_be_made(self, capsys: pytest.CaptureFixture[str]) -> None:
        place = "/proc/klpemu" if sys.platform == "linux" else "/klpemu"

        answer = refusal(capsys, "run", "--out", place)

        inside = str(Path(place).parent)
        assert re.fullmatch(
            rf"cannot create {place}: {inside} takes no new entry \(.+\); choose a .+", answer
        )

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
    def test_a_directory_without_permission(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("locked").mkdir(mode=0o500)

        expected = "cannot create locked/run: locked takes no new entry (Permission denied); "
        assert refusal(capsys, "run", "--out", "locked/run").startswith(expected)

    def test_a_directory_that_another_run_is_being_recorded_to(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with RunWriter("run", strategies.meta()) as first:
            answer = refusal(capsys, "run", "--out", "run")

            assert answer.startswith("will not write a run to run: another run is being recorded there; ")
            assert first.finish({}).complete


@pytest.mark.parametrize("verb", ["analyze", "disasm", "run"])
def test_a_name_longer_than_a_file_may_have(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    refusal(capsys, verb, "a" * 5_000)


def test_something_optional_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_path: object) -> None:
        raise MissingOptionalError("ziglang", "compiling", "pip install 'klpemu[toolchain]'")

    monkeypatch.setattr("emu.trace.reader.load_run", load)

    expected = "ziglang is not installed, which compiling needs; pip install 'klpemu[toolchain]'"
    assert refusal(capsys, "analyze", "run", code=4) == expected


HEAVY = ("numba", "unicorn", "numpy", "llvmlite", "capstone", "keystone", "rich")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], [], ["--version"], ["bogus"], ["--bogus"]], ids=str
)
def test_help_and_refusals_start_without_the_emulator(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom emu.cli.main import main\n"
        f"try:\n    main({arguments!r})\n"
        f"finally:\n    print(sorted(set(sys.modules) & set({HEAVY!r})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-1] == "[]"
    assert done.returncode == (2 if "bogus" in str(arguments) else 0)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    out, err = capsys.readouterr()

    assert (stopped.value.code, err) == (0, "")
    assert out.startswith(f"Usage: klpemu {verb} ")
