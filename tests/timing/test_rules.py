"""What single rules of the Zen 4 model say about loops that were made to show them.

The cycles per iteration are those of an AMD EPYC (family 25 model 17), rounded.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cycles.frame import Kernel, source
from emu.lab.cycles.piece import read_piece
from emu.lab.cycles.predict import Predictor
from tests.reference.both_models import assert_equal_clocks

_F = "\n.p2align 4\nf: "
_TURN = "add ecx, 1\nand ecx, 1\ncall [r14 + rcx * 8]"
_TABLE = "lea rax, [rip + a]\nmov [r14], rax\nlea rax, [rip + b]\nmov [r14 + 8], rax\nxor ecx, ecx"


_EIGHT = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10")


def _jumps(count: int) -> str:
    return "".join(f"jmp {at + 1}f\nnop\n{at + 1}: " for at in range(count))


def _loop(rounds: int) -> str:
    return f"mov ecx, {rounds}\n1: add rax, 1\ndec ecx\njnz 1b\n"


def _copy(distance: int) -> str:
    return "\n".join(f"mov rax, [r14 + {8 * at}]\nmov [r14 + {distance + 8 * at}], rax" for at in range(4))


def _stores(count: int) -> str:
    return "\n".join(f"mov [r14 + {8 * at}], rax" for at in range(count))


_TAIL = (
    "\n.p2align 4\nf: call t\nret\n.p2align 4\ng: add rbx, 2\nret\n"
    ".p2align 4\nt: lea r11, [rip + g]\n{}\nadd rsp, 8\njmp r11"
)

RULES = {
    "three parts, the base late": (Kernel("", "lea rax, [rax + rbx + 1]\n" * 4), 8),
    "three parts, the index late": (Kernel("", "lea rax, [rbx + rax * 4 + 1]\n" * 4), 4),
    "three parts take two ports": (
        Kernel("", "\n".join(f"lea {r}, [r14 + rbx * 4 + 1]" for r in _EIGHT)),
        4.25,
    ),
    "a wide immediate takes two slots, kept together": (
        Kernel("", "mov rax, 0x123456789ab\n" * 6),
        7 / 3,
    ),
    "shld": (Kernel("", "shld rax, r12, 4\nshld rcx, r12, 4\nshld rdx, r12, 4"), 5),
    "a loaded byte is merged": (Kernel("", "mov al, [r14]\n" * 4), 4),
    "a stored byte is not renamed": (Kernel("", "mov [r14], al\nmov al, [r14]"), 8),
    "cqo takes a shifter": (Kernel("", "cqo\n" * 4), 2),
    "lodsq blocks": (Kernel("", "mov rsi, r14\nlodsq\n" * 2), 6),
    "96 bytes are moved at once": (Kernel("", "mov rdi, r14\nmov ecx, 12\nrep stosq"), 15),
    "128 bytes are not": (Kernel("", "mov rdi, r14\nmov ecx, 16\nrep stosq"), 34),
    "leave adds": (Kernel("", "push rbp\nmov rbp, rsp\nleave"), 2),
    "a nop behind another instruction": (Kernel("", "mov rax, rbx\nnop\n" * 5), 1),
    "a nop in front": (Kernel("", "nop\nmov rax, rbx\n" * 5), 7 / 6),
    "ten slots are two deliveries": (Kernel("", "mov rax, rbx\n" * 9), 2),
    "a loop of three rounds": (Kernel("", _loop(3)), 3),
    "a loop of five rounds": (Kernel("", _loop(5)), 6),
    "the same before the next line": (Kernel("", _loop(5) + ".p2align 6"), 6),
    "the same before a return": (Kernel("", "call f", functions=_F + _loop(5) + "ret"), 9),
    "call and return": (Kernel("", "call f", functions=_F + "ret"), 5),
    "a jump in a called function": (Kernel("", "call f", functions=_F + _jumps(1) + "ret"), 5),
    "two jumps there": (Kernel("", "call f", functions=_F + _jumps(2) + "ret"), 6),
    "three jumps there": (Kernel("", "call f", functions=_F + _jumps(3) + "ret"), 6),
    "six jumps there": (Kernel("", "call f", functions=_F + _jumps(6) + "ret"), 9),
    "a jump between two calls": (Kernel("", f"call f\n{_jumps(1)}call f", functions=_F + "ret"), 9),
    "two targets that leave no trace": (
        Kernel("", _TURN, _TABLE, "\n.p2align 4\na: add rbx, 1\nret\n.p2align 4\nb: add rbx, 2\nret"),
        26,
    ),
    "two targets, a return of one 4 further": (
        Kernel(
            "", _TURN, _TABLE, "\n.p2align 4\na: add rbx, 1\nret\n.p2align 4\nb: add rbx, 2\nadd rsi, 1\nret"
        ),
        6.5,
    ),
    "a copy at 1024": (Kernel("", _copy(0x400)), 4),
    "a copy at 1088": (Kernel("", _copy(0x440)), 8 / 3),
    "stores to one half of a line": (Kernel("", "mov [r14], rax\nmov [r14 + 16], rcx"), 1),
    "stores to two halves": (Kernel("", "mov [r14], rax\nmov [r14 + 32], rcx"), 2),
    "a forward that fails again and again": (Kernel("", "mov [r14], al\nmov ebx, [r14]"), 19),
    "an operand that is forwarded": (Kernel("", "mov [r14], rax\nadd rax, [r14]"), 8),
    "locked operations at one place": (Kernel("", "lock inc dword ptr [r14]\nlock inc dword ptr [r14]"), 12),
    "locked operations at two places": (
        Kernel("", "lock inc dword ptr [r14]\nlock inc dword ptr [r14 + 64]"),
        16,
    ),
    "three sfences": (Kernel("", "sfence\nsfence\nsfence"), 3),
    "a sfence behind three stores": (Kernel("", _stores(3) + "\nsfence"), 2),
    "lfence waits for a renamed load": (Kernel("", "lfence\npush rax\npop rbx"), 27),
    "divisions overlap": (
        Kernel("", "mov rax, r8\nxor edx, edx\ndiv rcx\nadd rbx, rax", f"mov rcx, 3\nmov r8, {3 << 40}"),
        7,
    ),
    "a long quotient": (
        Kernel(
            "", "mov rax, r8\nxor edx, edx\ndiv rcx\nand rax, 0\nor r8, rax", f"mov rcx, 3\nmov r8, {3 << 40}"
        ),
        15,
    ),
    "two stores are dispatched per cycle": (Kernel("", "call f", functions=_TAIL.format(_stores(14))), 26),
}


@pytest.mark.toolchain
@pytest.mark.parametrize("name", RULES)
def test_a_rule_says(tmp_path: Path, name: str) -> None:
    kernel, cycles = RULES[name]
    path = tmp_path / "rule.s"
    path.write_text(source(kernel), "utf-8")
    predictor = Predictor(read_piece(path, "x86_64", None), "zen4")
    assert predictor.predict(None).cycles == pytest.approx(cycles, rel=0.06)
    assert_equal_clocks(predictor, 30)
