"""``klpemu doctor`` tells what works, what does not and what to do, and outlives whatever it finds."""

import importlib
import json
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from emu.arch import PORTS
from emu.cli import doctor_verb
from emu.cli.main import main
from emu.timing.model import cpu_model_names

ROOT = Path(__file__).parents[2]


def doctor(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", "--json"])
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert not err
    assert document["schema"] == "klpemu.doctor/1"
    code = stopped.value.code
    assert isinstance(code, int)
    assert document["ok"] is (code == 0)
    return code, {check["name"]: check for check in document["checks"]}


def test_this_installation_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = doctor(capsys)

    assert code == 0
    assert [check["name"] for check in checks.values() if check["needed"] and check["status"] != "ok"] == []
    for port in PORTS:
        assert {f"{what} {port}" for what in ("assembler", "decoder", "engine", "images")} <= checks.keys()
    assert all(name in checks["CPU models"]["detail"] for name in cpu_model_names())


def test_text_has_one_line_for_each_check(capsys: pytest.CaptureFixture[str]) -> None:
    _, checks = doctor(capsys)
    with pytest.raises(SystemExit):
        main(["doctor"])

    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == len(checks)
    assert all(line.split()[0] in ("ok", "missing", "problem") for line in lines)
    assert last == "everything needed works"


def test_the_versions_asked_for_are_the_ones_that_pip_installs() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]

    assert sorted(map(doctor_verb.requirement, doctor_verb.PACKAGES)) == sorted(project["dependencies"])
    assert project["requires-python"] == f">={'.'.join(map(str, doctor_verb.OLDEST_PYTHON))}"


def test_every_port_has_a_sample() -> None:
    assert doctor_verb.SAMPLES.keys() == PORTS.keys()


def _installed(monkeypatch: pytest.MonkeyPatch, package: str, found: str | None) -> None:
    def answer(name: str) -> str:
        if name != package:
            return version(name)
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(doctor_verb, "version", answer)


def test_a_missing_package_is_named_with_its_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _installed(monkeypatch, "pyelftools", None)
    code, checks = doctor(capsys)

    assert code == 1
    assert checks["pyelftools"]["status"] == "missing"
    assert checks["pyelftools"]["remedy"] == "pip install 'pyelftools>=0.31'"


@pytest.mark.parametrize("found", ["2.1.2", "2.0", "3.0.0", "nonsense"])
def test_a_package_of_the_wrong_version_is_a_problem(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    _installed(monkeypatch, "unicorn", found)
    code, checks = doctor(capsys)

    assert code == 1
    assert checks["unicorn"]["status"] == "problem"
    assert checks["unicorn"]["detail"] == f"{found} is not >=2.1.3,<3"


@pytest.mark.parametrize("error", [OSError("no such\nlibrary"), SystemExit("bye"), ImportError("broken")])
def test_a_package_that_does_not_load_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    load = importlib.import_module

    def answer(name: str) -> ModuleType:
        if name == "keystone":
            raise error
        return load(name)

    monkeypatch.setattr("importlib.import_module", answer)
    checks = {check.name: check for check in doctor_verb._checks()}

    assert checks["keystone-engine"].status == "problem"
    assert "\n" not in checks["keystone-engine"].detail
    assert checks["keystone-engine"].remedy == "pip install 'keystone-engine>=0.9.2,<0.10'"


def test_a_library_that_answers_wrongly_is_a_problem(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_verb, "SAMPLES", {"x86_64": ("mov eax, 0x2a", "b82b000000")})
    code, checks = doctor(capsys)

    assert code == 1
    assert checks["assembler x86_64"]["detail"] == "_WrongResultError: gives b82a000000, expected b82b000000"
    assert {checks[f"{what} x86_64"]["status"] for what in ("assembler", "decoder", "engine")} == {"problem"}


def test_no_place_for_compiled_code_is_no_reason_to_fail(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emu.compiled.cache_folder", lambda: None)
    code, checks = doctor(capsys)

    assert code == 0
    assert checks["compiled code"]["status"] == "problem"
    assert checks["compiled code"]["remedy"] == "set XDG_CACHE_HOME to a writable folder"


def test_code_that_is_not_compiled_yet_is_announced(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emu.compiled.is_compiled", lambda function="": False)
    code, checks = doctor(capsys)

    assert code == 0
    assert "the first run compiles, about 10 s" in checks["compiled code"]["detail"]


def test_optional_parts_may_be_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _installed(monkeypatch, "ziglang", None)
    monkeypatch.setattr("shutil.which", lambda _program: None)
    code, checks = doctor(capsys)

    assert code == 0
    assert checks["ziglang"]["status"] == "missing"
    assert checks["ziglang"]["remedy"] == "pip install 'klpemu[toolchain]'"
    assert {checks[f"GNU as {port}"]["status"] for port in PORTS} == {"missing"}


def test_it_survives_the_absence_of_everything() -> None:
    absent = [module for module, _, _ in doctor_verb.PACKAGES.values() if module != "click"]
    program = (
        f"import sys\nsys.modules.update(dict.fromkeys({absent!r}))\n"
        "from emu.cli.main import main\nmain(['doctor'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1] == "NOT OK: see the lines that do not say ok"
    assert done.stdout.count("\nmissing ") >= len(absent)
