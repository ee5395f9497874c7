"""No text kills or hangs the process: Keystone 0.9.2 does both, for text outside the whitelist."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from emu.arch.registry import PORTS
from emu.build.asm.assembler import Unit, assemble
from emu.build.image import port_equates
from emu.errors import EmuError

WORDS = [
    ".text", ".section", ".p2align 0x3f", ".fill", "lock", "rep", "rex64", "data16", "fs", "gs:",
    "ah", "sil", "r12", "xmm3", "[", "]", "(", ")", ",", ":", "#", ":lo12:", "=", "0x1", "-0x1",
    "0x80000000", "0xffffffffffffffff", "99", "[rip + ", "riz", "qword ptr", "byte ptr",
    "tbz x0, #0x3,", ".Lnone", "1b", "\\@", "\"", "/*", "*/", "'", "x31", "v0.4s", "lsl #0x3", "!", "{x0}",
    "ldr x0,", "adr x0,", "adrp x0,", "b.eq", "cbz w0,", "jrcxz", "loop", "call", "push", "mov",
    "nop", "movabs", "enter", "st",
]  # fmt: skip


def mutations(port: str, count: int, seed: int) -> list[str]:
    """Return shipped sources with words put in, taken out and swapped."""
    chance = random.Random(seed)
    sources = [path.read_text() for path in sorted(Path(str(files("emu") / "asm" / port)).glob("**/*.s"))]
    texts = []
    for _ in range(count):
        words = chance.choice(sources).replace("\n", " \n ").split(" ")
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(words))
            words[place : place + chance.randrange(2)] = [chance.choice(WORDS)] * chance.randrange(3)
        texts.append(" ".join(words))
    return texts


def assemble_all(port: str, count: int, seed: int) -> None:
    """Assemble every mutation; whatever is not an `EmuError` ends the process."""
    for text in mutations(port, count, seed):
        labels = set(re.findall(r"(\w+):", text))
        names = set(re.findall(r"[a-z_]\w{3,}", text)) - labels
        equates = dict.fromkeys(names, 0x1000040) | port_equates(PORTS[port])
        lines = [line for line in text.split("\n") if chr(58) not in line]
        for body in (text, *("\n".join(lines[at : at + 3]) for at in range(0, len(lines), 7))):
            try:
                unit = Unit(name="u", text=body, origin="u")
                assemble(PORTS[port], [unit], base=0x1000000, equates=equates)
            except EmuError:
                continue


@pytest.mark.parametrize("port", PORTS)
def test_broken_sources_end_in_an_error_of_ours(port: str) -> None:
    done = subprocess.run(
        [sys.executable, __file__, port, "150", "7"],
        timeout=60, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


if __name__ == "__main__":
    assemble_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
