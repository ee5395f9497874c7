"""What is shipped is whole, and says nothing of the machine that it was made on."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tarfile
import tokenize
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WANTED = (
    "emu/analysis/cost.py",
    "emu/arch/registry.py",
    "emu/asm/arm64/order.txt",
    "emu/asm/x86_64/ftrace_caller.s",
    "emu/images/mini/manifest.toml",
    "emu/images/scenarios/demo.toml",
    "emu/py.typed",
)
"""One file of each linked folder, and what tools look for."""

SHIPPED = ("emu", "analysis", "asm", "images", "docs", "examples", "benchmarks", "README.md", "CHANGELOG.md")
TEXT = {".py", ".s", ".c", ".h", ".toml", ".txt", ".md", ".json"}
PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in [*ROOT.glob("emu/**/__init__.py"), *ROOT.glob("emu/analysis/__init__.py")]
)
MACHINE_PATH = re.compile(r"/(?:work|home|root|Users|opt/venv|tmp/bash)(?:/|\b)")


def build(target: str, folder: Path) -> Path:
    """Build a distribution into ``folder`` and return it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the wheel by name."""
    pytest.importorskip("hatchling")
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the source distribution by name, without its top folder."""
    pytest.importorskip("hatchling")
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        files = [(member, archive.extractfile(member)) for member in archive.getmembers()]
        return {member.name.partition("/")[2]: file.read() for member, file in files if file is not None}


class TestDistributions:
    """Both distributions hold every file of the package."""

    @pytest.mark.parametrize("name", WANTED)
    def test_wheel_holds(self, wheel: dict[str, bytes], name: str) -> None:
        assert name in wheel

    @pytest.mark.parametrize("name", WANTED)
    def test_sdist_holds(self, sdist: dict[str, bytes], name: str) -> None:
        assert name in sdist

    def test_wheel_holds_the_package_and_nothing_else(self, wheel: dict[str, bytes]) -> None:
        assert {name.split("/")[0] for name in wheel} == {"emu", "klpemu-0.1.0.dist-info"}
        assert not [name for name in wheel if name.endswith((".pyc", ".so")) or "__pycache__" in name]
        committed = {
            str(path.relative_to(ROOT)): path
            for path in ROOT.glob("emu/**/*.*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert committed.keys() <= wheel.keys()

    def test_wheel_has_the_command_and_its_licence(self, wheel: dict[str, bytes]) -> None:
        info = "klpemu-0.1.0.dist-info"
        assert b"klpemu = emu.cli.main:main" in wheel[f"{info}/entry_points.txt"]
        assert f"{info}/licenses/LICENSE" in wheel

    def test_every_assembly_file_of_the_link_order_is_shipped(self, wheel: dict[str, bytes]) -> None:
        for name, content in wheel.items():
            if name.endswith("/order.txt"):
                folder = name.removesuffix("order.txt")
                missing = [unit for unit in content.decode().split() if f"{folder}{unit}" not in wheel]
                assert not missing, folder


class TestPublicNames:
    """``__all__`` of every package is sorted, and is all that its ``__init__`` brings."""

    @pytest.mark.parametrize("name", PACKAGES)
    def test_is_sorted_and_complete(self, name: str) -> None:
        package = importlib.import_module(name)
        source = Path(str(package.__file__)).read_text(encoding="utf-8")
        imported = set(
            re.findall(r"^(?:    )?from \S+ import [^(\n]+|^from \S+ import \([^)]*\)", source, re.M)
        )
        names = {
            word.split(" as ")[-1].strip()
            for line in imported
            if "__future__" not in line and " typing " not in line and "collections.abc" not in line
            for word in line.split(" import ", 1)[1].strip("() \n").replace("\n", "").split(",")
            if word.strip()
        }
        declared = list(getattr(package, "__all__", []))
        assert set(declared) >= names
        assert declared == sorted(declared, key=_ruff_order)
        assert len(declared) == len(set(declared))
        for public in declared:
            assert hasattr(package, public), public

    def test_packages_are_found(self) -> None:
        assert {"emu", "emu.analysis", "emu.arch", "emu.ftrace", "emu.livepatch", "emu.trace"} <= set(
            PACKAGES
        )


def _ruff_order(name: str) -> tuple[int, str]:
    """Sort as ruff's RUF022: CONSTANTS, Classes, functions."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name


def shipped_files() -> Iterator[Path]:
    """Yield every text file that is shipped, not through the links."""
    for top in SHIPPED:
        path = ROOT / top
        inside = [path] if path.is_file() else path.rglob("*")
        for file in inside:
            linked = any(parent.is_symlink() for parent in (file, *file.parents))
            if file.is_file() and file.suffix in TEXT and not linked:
                yield file


class TestContents:
    """Files say nothing about the machine that they were written on."""

    def test_no_file_mentions_a_path_of_a_machine(self) -> None:
        found = [
            f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
            for file in shipped_files()
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
            if MACHINE_PATH.search(line)
        ]
        assert not found, "\n".join(found)

    def test_python_files_are_utf8_and_end_with_a_newline(self) -> None:
        for file in shipped_files():
            content = file.read_bytes()
            assert content.decode("utf-8").endswith("\n") or not content, file
            if file.suffix == ".py":
                tokenize.detect_encoding(BytesIO(content).readline)


COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
BARE_NUMBER = re.compile(r"(?<![\w.])[0-9]+(?!x)(?!\w)")


class TestAssembly:
    """Sources write numbers as 0x...: Keystone's default radix is whatever it was last time."""

    @pytest.mark.parametrize(
        "path", sorted(ROOT.glob("asm/**/*.s")), ids=lambda path: f"{path.parts[-2]}/{path.name}"
    )
    def test_numbers_are_hexadecimal(self, path: Path) -> None:
        text = COMMENT.sub("", path.read_text(encoding="utf-8"))
        hash_comments = "\t#" in text or " #" in text
        for number, line in enumerate(text.splitlines(), 1):
            code = re.sub(r"(?:^|\s)#\s.*$|\"[^\"]*\"", "", line) if hash_comments else line
            assert not BARE_NUMBER.search(code), f"line {number}: {line}"
