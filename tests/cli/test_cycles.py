"""``klpemu cycles``."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from emu.arch.registry import PORTS
from emu.build.toolchain import EntryScheme, compile_object
from emu.cli.exits import BAD_INPUT, DONE, SKIPPED
from emu.cli.main import main

ZEN4 = Path(__file__).parents[2] / "emu/timing/models/zen4.toml"
pytestmark = pytest.mark.toolchain

LOOP = """
    .intel_syntax noprefix
    .text
    .globl kernel
kernel:
top:
    add rax, 1
    add rax, 1
    add rax, 1
    dec rdi
    jnz top
    ret
"""
ARM = """
    .text
    .globl kernel
kernel:
    mul x2, x2, x1
    subs x0, x0, #1
    b.ne kernel
    ret
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(["cycles", *arguments])
    out, err = capsys.readouterr()
    return int(done.value.code or 0), out, err


@pytest.fixture
def loop(tmp_path: Path) -> str:
    path = tmp_path / "loop.s"
    path.write_text(LOOP, "utf-8")
    return str(path)


class TestPrediction:
    @pytest.mark.parametrize("options", [(), ("--loop", "top")])
    def test_a_dependent_chain_takes_its_latency(
        self, capsys: pytest.CaptureFixture[str], loop: str, options: tuple[str, ...]
    ) -> None:
        code, out, _ = run(capsys, loop, "--json", *options)
        found = json.loads(out)
        assert code == DONE
        assert found["schema"] == "klpemu.cycles/1"
        assert found["cpu_model"] == "zen4"
        assert found["cycles_per_iteration"] == pytest.approx(3, abs=0.05)
        assert found["instructions_per_iteration"] == pytest.approx(5, abs=0.05)
        assert found["mispredicts_per_iteration"] == pytest.approx(0, abs=0.05)
        assert found["native"] is None

    def test_the_same_again_is_the_same(self, capsys: pytest.CaptureFixture[str], loop: str) -> None:
        assert run(capsys, loop, "--json") == run(capsys, loop, "--json")

    def test_stages_add_up_to_the_iteration(self, capsys: pytest.CaptureFixture[str], loop: str) -> None:
        _, out, _ = run(capsys, loop, "--json", "--loop", "top")
        found = json.loads(out)
        assert sum(found["stages"].values()) == round(found["cycles_per_iteration"])

    def test_two_files_side_by_side(self, capsys: pytest.CaptureFixture[str], loop: str) -> None:
        code, out, _ = run(capsys, "--compare", loop, loop, "--json")
        first, second = json.loads(out)["compare"]
        assert code == DONE
        assert first["cycles_per_iteration"] == second["cycles_per_iteration"]

    def test_arm64_by_its_own_models(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        path = tmp_path / "arm.s"
        path.write_text(ARM, "utf-8")
        code, out, _ = run(capsys, str(path), "--arch", "arm64", "--json")
        found = json.loads(out)
        assert code == DONE
        assert found["cpu_model"] == "neoverse-n1"
        assert found["cycles_per_iteration"] == pytest.approx(4, abs=0.05)  # MUL: LLVM 19, 4 cycles

    def test_a_call_returns_to_where_it_was_made(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "calls.s"
        nested = "call inner\n" * 3 + "ret\ninner: ret\n"
        path.write_text(f".globl kernel\nkernel: {nested}", "utf-8")
        found = json.loads(run(capsys, str(path), "--json")[1])
        assert (found["unit"], found["mispredicts_per_iteration"]) == ("call", 0)

    def test_the_view_tells_where_a_return_goes(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "calls.s"
        path.write_text(".globl kernel\nkernel: call inner\nret\ninner: nop\nret\n", "utf-8")
        view = run(capsys, str(path), "--view")[1].partition("instruction\n")[2].splitlines()
        assert [line for line in view if line.endswith(":")] == ["kernel:", "inner:", "kernel:"]

    def test_a_model_of_ones_own(self, capsys: pytest.CaptureFixture[str], loop: str, tmp_path: Path) -> None:
        path, text = tmp_path / "mine.toml", ZEN4.read_text("utf-8")
        assert "\nalu = {" in text
        head, _, tail = text.partition("\nalu = {")
        path.write_text(head + "\nalu = {" + tail.replace("latency = 1", "latency = 5", 1), "utf-8")
        code, out, _ = run(capsys, loop, "--cpu-model", str(path), "--json")
        found = json.loads(out)
        assert (code, found["cpu_model"]) == (DONE, "mine")
        assert found["cycles_per_iteration"] == pytest.approx(15, abs=0.05)

    def test_an_elf_file_needs_no_suffix(
        self, capsys: pytest.CaptureFixture[str], loop: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "plain"
        path.write_bytes(compile_object(PORTS["x86_64"], Path(loop), entry=EntryScheme.NONE))
        code, out, _ = run(capsys, str(path), "--json")
        assert (code, json.loads(out)["cycles_per_iteration"]) == (DONE, pytest.approx(3, abs=0.05))

    def test_what_is_neither_source_nor_elf_file(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("ret", "utf-8")
        code, _, err = run(capsys, str(path))
        assert (code, len(err.splitlines())) == (BAD_INPUT, 1)
        assert "is no ELF file, and its name does not end in .s, .S, .c" in err


class TestNative:
    @pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 host")
    def test_the_host_takes_about_its_latency(self, capsys: pytest.CaptureFixture[str], loop: str) -> None:
        code, out, err = run(capsys, loop, "--native", "--json")
        if code == BAD_INPUT and "too busy" in err:
            pytest.skip("the host is too busy to be measured")
        assert code == DONE
        assert json.loads(out)["native"]["cycles_per_iteration"] == pytest.approx(3, rel=0.1)

    def test_another_architecture_is_skipped(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "arm.s"
        path.write_text(ARM, "utf-8")
        if platform.machine() in ("aarch64", "arm64"):
            pytest.skip("needs another host")
        code, _, err = run(capsys, str(path), "--arch", "arm64", "--native")
        assert code == SKIPPED
        assert "arm64" in err


class TestMistakes:
    @pytest.mark.parametrize(
        ("body", "options", "message"),
        [
            ("1: jmp 1b", (), "not returned"),
            ("mov rax, [0]", (), "UNMAPPED"),
            ("ud2", (), "nvalid"),
            ("aesenc xmm0, xmm1\nret", (), "aesenc xmm0, xmm1"),
            ("ret", ("--loop", "nowhere"), "unknown symbol"),
            ("ret", ("--entry", "nowhere"), "unknown symbol"),
            ("ret", ("--loop", "kernel"), "reached 1 times"),
            ("ret", ("--cpu-model", "neoverse-n1"), "choose another"),
            ("ret", ("--cpu-model", "zen"), "unknown CPU model"),
            ("ret", ("--cpu-model", ""), "unknown CPU model"),
            ("ret", ("--cpu-model", "nowhere.toml"), "nowhere.toml: can't be read: No such file"),
        ],
    )
    def test_one_line_and_exit_code_2(
        self,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        body: str,
        options: tuple[str, ...],
        message: str,
    ) -> None:
        path = tmp_path / "wrong.s"
        path.write_text(f".intel_syntax noprefix\n.globl kernel\nkernel:\n{body}\n", "utf-8")
        code, _, err = run(capsys, str(path), *options)
        lines = [line for line in err.splitlines() if line.startswith("klpemu:")]
        assert code == BAD_INPUT
        assert len(lines) == 1
        assert message in lines[0]
