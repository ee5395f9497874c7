"""``klpemu cycles``."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from emu.cli.exits import BAD_INPUT, DONE, SKIPPED
from emu.cli.main import main

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
