"""Compiling a source file: an object, or the compiler's own first error, and nothing left behind."""

from __future__ import annotations

import importlib.util
import io
import os
import tempfile
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from emu.arch import PORTS, Port
from emu.build.elf.errors import CompileError, CompileTimeoutError
from emu.build.gnu import gnu_command
from emu.build.toolchain import TARGETS, EntryScheme, compile_object
from emu.errors import MissingOptionalError, UnknownNameError

needs_zig = [
    pytest.mark.toolchain,
    pytest.mark.skipif(
        importlib.util.find_spec("ziglang") is None and "CI" not in os.environ,
        reason="ziglang is not installed: pip install 'klpemu[toolchain]'",
    ),
]
CMINI = Path(__file__).parents[2] / "images" / "cmini" / "cmini.c"
EVERY = [
    pytest.param(port, entry, id=f"{name}-{entry}")
    for name, port in PORTS.items()
    for entry in TARGETS[port.machine].entry
]


class TestCompiling:
    """The object is the port's, whatever the entry scheme, and the same each time."""

    pytestmark = needs_zig

    @pytest.mark.parametrize(("port", "entry"), EVERY)
    def test_an_object_of_the_ports_machine_comes_out(self, port: Port, entry: EntryScheme) -> None:
        elf = ELFFile(io.BytesIO(compile_object(port, CMINI, entry=entry)))

        assert (elf["e_type"], elf["e_machine"]) == ("ET_REL", port.machine)
        names = {section.name for section in elf.iter_sections()}
        assert not {name for name in names if name.startswith((".eh_frame", ".debug"))}
        assert ("__patchable_function_entries" in names) == (
            entry in (EntryScheme.PATCHABLE, EntryScheme.CALL_OPS)
        )

    @pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)
    def test_the_same_source_gives_the_same_bytes_anywhere(self, port: Port, tmp_path: Path) -> None:
        for name in ("cmini.c", "cmini.h"):
            (tmp_path / name).write_bytes((CMINI.parent / name).read_bytes())

        assert compile_object(port, tmp_path / "cmini.c") == compile_object(port, CMINI)

    @pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)
    def test_nothing_is_left_behind(
        self, port: Port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, scratch = tmp_path / "source", tmp_path / "scratch"
        source.mkdir()
        scratch.mkdir()
        (source / "bad.c").write_text("int f(\n")
        (source / "good.c").write_text("int f(void) { return 1; }\n")
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        monkeypatch.chdir(source)

        compile_object(port, Path("good.c"))
        with pytest.raises(CompileError):
            compile_object(port, Path("bad.c"))

        assert list(scratch.iterdir()) == []
        assert sorted(path.name for path in source.iterdir()) == ["bad.c", "good.c"]


class TestRefusals:
    """A mistake gives one line with file and line."""

    pytestmark = needs_zig

    def test_the_compilers_first_error_is_passed_on_with_its_line(self, tmp_path: Path) -> None:
        source = tmp_path / "bad.c"
        source.write_text("int f(int a)\n{\n\treturn b;\n}\nint g(\n")

        with pytest.raises(CompileError, match=r"^.*/bad\.c:3: use of undeclared identifier 'b'$") as told:
            compile_object(PORTS["x86_64"], source)

        assert told.value.line == 3

    def test_a_flag_the_compiler_does_not_know_is_named(self) -> None:
        with pytest.raises(
            CompileError, match=r"^.*cmini\.c: the compiler stopped with code \d+: .*-fno-such-flag.*$"
        ):
            compile_object(PORTS["x86_64"], CMINI, flags=["-fno-such-flag"])

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(CompileError, match=r"^.*/none\.c: no such file; name a \.c, \.s or \.S file$"):
            compile_object(PORTS["x86_64"], tmp_path / "none.c")

    def test_an_entry_scheme_of_another_port_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(
            UnknownNameError, match=r"^unknown entry scheme of arm64 'fentry'; known: call-ops, .*$"
        ):
            compile_object(PORTS["arm64"], CMINI, entry=EntryScheme.FENTRY)

    def test_a_compiler_that_does_not_finish_is_stopped(self, tmp_path: Path) -> None:
        source = tmp_path / "slow.c"
        source.write_text(
            "#define A(x) x x x x x x x x\nint f(void) { return 0\nA(A(A(A(A(A(A(A(+1))))))))\n; }\n"
        )

        with pytest.raises(
            CompileTimeoutError, match=r"^.*/slow\.c: the compiler did not finish in 0\.2 s; .*$"
        ):
            compile_object(PORTS["x86_64"], source, time_limit_s=0.2)


def test_without_ziglang_the_error_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(
        MissingOptionalError, match=r"^ziglang is not installed, .*; pip install 'klpemu\[toolchain\]'$"
    ):
        compile_object(PORTS["x86_64"], CMINI)


class TestGnu:
    """Without ziglang, assembly goes to GNU tools that are there."""

    @pytest.fixture(autouse=True)
    def _without_ziglang(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    @pytest.mark.parametrize(("arch", "ret"), [("x86_64", b"\xc3"), ("arm64", bytes.fromhex("c0035fd6"))])
    def test_assembly_becomes_an_object(self, arch: str, ret: bytes, tmp_path: Path) -> None:
        if gnu_command(PORTS[arch].machine, ".s") is None:
            pytest.skip("needs GNU as for this port (Debian: binutils-aarch64-linux-gnu)")
        source = tmp_path / "f.s"
        source.write_text("\t.globl f\nf:\tret\n")

        content = compile_object(PORTS[arch], source)

        (text,) = [s for s in ELFFile(io.BytesIO(content)).iter_sections() if s.name == ".text"]
        assert text.data() == ret

    def test_a_mistake_is_told_with_its_line(self, tmp_path: Path) -> None:
        if gnu_command("EM_X86_64", ".s") is None:
            pytest.skip("needs GNU as for this port (Debian: binutils-x86-64-linux-gnu)")
        source = tmp_path / "f.s"
        source.write_text("f:\tret\n\tnosuch\n")

        with pytest.raises(CompileError, match=r"f\.s:2: no such instruction: `nosuch'"):
            compile_object(PORTS["x86_64"], source)

    def test_without_either_the_error_tells_how_to_get_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("shutil.which", lambda name: None)

        with pytest.raises(
            MissingOptionalError, match=r"^ziglang is not installed, which compiling f\.s needs"
        ):
            compile_object(PORTS["arm64"], tmp_path / "f.s")
