"""Decoding: the one door to Capstone."""

from __future__ import annotations

import pytest

from emu.arch.registry import PORTS
from emu.build.decode import Instruction, decode, decode_lite

BASE = 0x0100_0000


@pytest.mark.parametrize(
    ("port", "code", "text", "groups"),
    [
        ("x86_64", "e8fb0f0000", "call 0x1001000", {"call", "relative"}),
        ("x86_64", "ffe0", "jmp rax", {"jump"}),
        ("x86_64", "c3", "ret", {"return"}),
        ("x86_64", "cc", "int3", {"interrupt"}),
        ("x86_64", "4889d8", "mov rax, rbx", set()),
        ("arm64", "00040094", "bl #0x1001000", {"call", "jump", "relative"}),
        ("arm64", "c0035fd6", "ret", {"return"}),
        ("arm64", "e00301aa", "mov x0, x1", set()),
    ],
)
def test_an_instruction_is_decoded_with_its_groups(port: str, code: str, text: str, groups: set[str]) -> None:
    (insn,) = decode(PORTS[port], bytes.fromhex(code), BASE)

    assert insn.text == text
    assert insn.groups >= groups
    assert bool(insn.groups) == bool(groups)
    mnemonic, _, operands = text.partition(" ")
    assert insn == Instruction(
        address=BASE, size=len(code) // 2, mnemonic=mnemonic, operands=operands, groups=insn.groups
    )


@pytest.mark.parametrize("port", PORTS)
def test_both_ways_agree_and_stop_at_what_is_no_instruction(port: str) -> None:
    bad = {"x86_64": b"\x06", "arm64": b"\xff\xff\xff\xff"}[port]
    code = PORTS[port].site.nop * 3 + bad + PORTS[port].site.nop

    full = decode(PORTS[port], code, BASE)

    lite = decode_lite(PORTS[port], code, BASE)
    assert [(i.address, i.size, i.mnemonic, i.operands) for i in full] == lite
    assert len(lite) == 3
    assert decode_lite(PORTS[port], code, BASE, count=2) == lite[:2]
