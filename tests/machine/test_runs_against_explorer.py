"""No run shows what the explorer forbids: small programs, run under many seeds and explored whole.

A program's text is read by the explorer and assembled by GNU as for the machine, so the two share nothing.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from emu.arch import PORTS
from emu.machine.programs import SHARED_WORDS, Outcome, Program, Thread
from emu.machine.state import Ordering
from emu.ordering.generate.programs import random_test
from emu.ordering.litmus.program import LitmusTest, read_test
from emu.ordering.litmus.run import run_text
from emu.ordering.litmus.source import read_source
from emu.ordering.models import Model
from tests.litmus.test_corpus import files

PROGRAMS = 12
RANDOM_SEEDS = 100
CORPUS_SEEDS = 60
SYMBOLS = "xyzabcd"
POINTERS = dict(zip(SYMBOLS, ("r9", "r10", "r11", "r12", "r13", "r14", "r15"), strict=True))
"""Registers for the addresses of locations on x86-64, whose programs name the locations themselves."""
ASSEMBLERS = {
    "AArch64": ("aarch64-linux-gnu-as", "aarch64-linux-gnu-objcopy", ".arch armv8.5-a\n"),
    "X86_64": ("as", "objcopy", ""),
}
Final = dict[str, int]


def address(symbol: str) -> int:
    return SHARED_WORDS + 0x40 * SYMBOLS.index(symbol)


@cache
def assembled(arch: str, lines: Sequence[str]) -> bytes:
    """Return the machine code of one CPU's column."""
    command, copier, head = ASSEMBLERS[arch]
    text = "\n".join(lines)
    if arch == "X86_64":
        text = re.sub(r"\((\w)\)", lambda found: f"(%{POINTERS[found[1]]})", text)
    with tempfile.TemporaryDirectory() as folder:
        source, target, plain = (Path(folder) / f"code.{end}" for end in ("s", "o", "bin"))
        source.write_text(f"{head}{text}\n", encoding="utf-8")
        subprocess.run([command, str(source), "-o", str(target)], check=True)
        subprocess.run([copier, "-O", "binary", "-j", ".text", str(target), str(plain)], check=True)
        return plain.read_bytes()


def program(test: LitmusTest, ordering: Ordering) -> Program:
    """Return the test as a program for the machine."""
    symbols = {test.names.symbol(name): address(name) for name in SYMBOLS}
    arch = test.source.arch
    threads = []
    for cpu in sorted(test.starts):
        registers = {name.lower(): symbols.get(value, value) for name, value in test.registers[cpu].items()}
        if arch == "X86_64":
            registers |= {register: address(name) for name, register in POINTERS.items()}
        code = assembled(arch, tuple(cells[cpu] for _, cells in test.source.rows))
        threads.append(Thread(code=code, registers=registers))
    return Program(PORTS["arm64" if arch == "AArch64" else "x86_64"], threads, ordering)


def final(test: LitmusTest, outcome: Outcome) -> Final:
    """Return what the test looks at, named as in the explorer's states."""
    found = {}
    for place in test.condition.places:
        if place.cpu < 0:
            found[f"[{place.name}]"] = outcome.memory[address(place.name)] & 0xFFFFFFFF
        else:
            found[f"{place.cpu}:{place.name}"] = outcome.registers[place.cpu][place.name.lower()] & 0xFFFFFFFF
    return found


def forbidden(text: str, ordering: str, seeds: int) -> list[Final]:
    """Return the outcomes that runs under so many seeds show and the explorer does not have."""
    test = read_test(read_source(text, "test"))
    explored = run_text(text, "test", model=Model(ordering))
    assert explored.complete
    runnable, start = program(test, Ordering[ordering.upper()]), {address(name): 0 for name in SYMBOLS}
    found = []
    for seed in range(seeds):
        outcome = runnable.run(seed, start)
        assert outcome.complete
        one = final(test, outcome)
        if one not in explored.states:
            found.append(one)
    return found


@pytest.mark.parametrize(
    ("folder", "ordering", "every"),
    [("x86_64", "tso", 1), ("aarch64", "arm64", 1), ("x86_64", "sc", 8), ("aarch64", "tso", 8)],
)
def test_runs_of_the_cycles_show_what_is_allowed(folder: str, ordering: str, every: int) -> None:
    texts = [path.read_text(encoding="utf-8") for path in files(f"generated/{folder}")[::every]]
    wrong = {
        text.splitlines()[0]: found for text in texts if (found := forbidden(text, ordering, CORPUS_SEEDS))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("features", "cpus", "ordering"),
    [
        *((kind, cpus, "arm64") for kind in ("deps", "atomics", "exclusives", "all") for cpus in (2, 3)),
        *(("x86", cpus, "tso") for cpus in (2, 3)),
        ("all", 2, "tso"),
        ("all", 2, "sc"),
        ("x86", 2, "sc"),
    ],
)
def test_runs_of_random_programs_show_what_is_allowed(features: str, cpus: int, ordering: str) -> None:
    # Three atomics on each of three CPUs can have millions of executions.
    length = {2: 4, 3: 2 if features == "atomics" else 3}[cpus]
    texts = [random_test(1000 * cpus + at, features, cpus=cpus, length=length) for at in range(PROGRAMS)]
    wrong = {text: found for text in texts if (found := forbidden(text, ordering, RANDOM_SEEDS))}
    assert wrong == {}
