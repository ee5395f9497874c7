"""The litmus corpus: what each test is made from, and why its verdict is what it is.

Verdicts here never come from running the explorer. A cycle of relations is forbidden just if each
relation in it is one that the architecture keeps in order (each CPU has two accesses at most, to
different locations, so nothing else can order them). A test of patched code is forbidden just if each
step is there that the architecture asks for. Tests by hand carry their own reason.

``python -m tests.litmus.corpus`` writes the generated files anew.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from emu.ordering.generate import cycle, litmus

HERE = Path(__file__).parent

SHAPES = {  # P stands for a relation inside one CPU
    "SB": "PWR Fre PWR Fre",
    "MP": "PWW Rfe PRR Fre",
    "LB": "PRW Rfe PRW Rfe",
    "R": "PWW Coe PWR Fre",
    "S": "PWW Rfe PRW Coe",
    "2+2W": "PWW Coe PWW Coe",
    "WRC": "Rfe PRW Rfe PRR Fre",
    "RWC": "Rfe PRR Fre PWR Fre",
    "WWC": "Rfe PRW Rfe PRW Coe",
    "WRR+2W": "Rfe PRR Fre PWW Coe",
    "WRW+2W": "Rfe PRW Coe PWW Coe",
    "IRIW": "Rfe PRR Fre Rfe PRR Fre",
    "IRRWIW": "Rfe PRR Fre Rfe PRW Coe",
    "IRWIW": "Rfe PRW Coe Rfe PRW Coe",
    "ISA2": "PWW Rfe PRW Rfe PRR Fre",
    "3.SB": "PWR Fre PWR Fre PWR Fre",
    "3.LB": "PRW Rfe PRW Rfe PRW Rfe",
    "3.2W": "PWW Coe PWW Coe PWW Coe",
    "W+RWC": "PWW Rfe PRR Fre PWR Fre",
    "Z6.0": "PWW Rfe PRW Coe PWR Fre",
    "Z6.1": "PWW Coe PWW Rfe PRW Coe",
    "Z6.2": "PWW Rfe PRW Rfe PRW Coe",
    "Z6.3": "PWW Coe PWW Rfe PRR Fre",
    "Z6.4": "PWW Coe PWR Fre PWR Fre",
    "Z6.5": "PWW Coe PWW Coe PWR Fre",
    "4.SB": "PWR Fre PWR Fre PWR Fre PWR Fre",
    "4.LB": "PRW Rfe PRW Rfe PRW Rfe PRW Rfe",
}

ARM = {
    "WR": ["Pod", "DMB.SYd", "DMB.STd", "DMB.LDd", "DSB.SYd", "ISBd", "Pod:LA", "Pod:LP", "Pod:PA", "Pod:LQ"],
    "WW": ["Pod", "DMB.SYd", "DMB.STd", "DMB.LDd", "DSB.STd", "Pod:PL", "Pod:LP"],
    "RR": [
        "Pod",
        "DMB.SYd",
        "DMB.LDd",
        "DMB.STd",
        "DSB.LDd",
        "ISBd",
        "DpAddrd",
        "DpCtrld",
        "DpCtrlIsbd",
        "Pod:AP",
        "Pod:QP",
        "Pod:PA",
    ],
    "RW": [
        "Pod",
        "DMB.SYd",
        "DMB.LDd",
        "DMB.STd",
        "DpAddrd",
        "DpDatad",
        "DpCtrld",
        "DpCtrlIsbd",
        "Pod:AP",
        "Pod:QP",
        "Pod:PL",
    ],
}

X86 = {
    "WR": ["Pod", "MFENCEd", "Pod:XP", "LFENCEd", "SFENCEd"],
    "WW": ["Pod", "MFENCEd", "Pod:PX", "SFENCEd"],
    "RR": ["Pod", "MFENCEd", "LFENCEd"],
    "RW": ["Pod", "MFENCEd", "Pod:PX"],
}

SYNC = {
    "full": ("DC", "DSB", "IC", "DSB"),
    "nodc": ("DSB", "IC", "DSB"),
    "nodsb1": ("DC", "IC", "DSB"),
    "noic": ("DC", "DSB", "DSB"),
    "nodsb2": ("DC", "DSB", "IC"),
    "dmb1": ("DC", "DMB", "IC", "DSB"),
    "dmb2": ("DC", "DSB", "IC", "DMB"),
    "dsb": ("DSB",),
    "dmb": ("DMB",),
    "po": (),
}
READERS = {
    "ctrlisb": ["CBNZ W2,C1", "C1: ISB"],
    "dsbisb": ["DSB SY", "ISB"],
    "addrisb": ["EOR W4,W2,W2", "LDR W5,[X3,W4,SXTW]", "ISB"],
    "ctrl": ["CBNZ W2,C1", "C1: NOP"],
    "isb": ["ISB"],
    "po": [],
    "dsb": ["DSB SY"],
    "dmbisb": ["DMB LD", "ISB"],
}
_STEP = {"DC": "DC CVAU,X1", "IC": "IC IVAU,X1", "DSB": "DSB ISH", "DMB": "DMB SY"}
CACHES = {"": "", "IDC.": "IDC", "DIC.": "DIC"}


class Entry(NamedTuple):
    """A generated test.

    Args:
        folder: that it stands in.
        name: of it.
        text: of the file.
    """

    folder: str
    name: str
    text: str


def _marked(text: str, verdict: str, reason: str) -> str:
    first, rest = text.split("\n", 1)
    return f"{first}\nExpect={verdict}\nReason={reason}\n{rest}"


def _relations(shape: str, choice: list[str]) -> list[str]:
    """Return the relations of a shape with a choice for each relation inside a CPU."""
    names = []
    picks = iter(choice)
    for part in shape.split():
        if part[0] != "P":
            names.append(part)
            continue
        base, _, marks = next(picks).partition(":")
        ends = part[2] if base.startswith("Dp") else part[1:]
        names.append(base + ends + (f":{marks}" if marks else ""))
    return names


def _cycles(
    arch: str, folder: str, table: dict[str, list[str]], per_shape: int, seed: int
) -> Iterator[Entry]:
    rng = random.Random(seed)
    for shape, relations in SHAPES.items():
        inside = [part[1:] for part in relations.split() if part[0] == "P"]
        every = list(itertools.product(*(table[ends] for ends in inside)))
        keep = [every[0], *(row for row in every if len(set(row)) == 1)]
        rng.shuffle(every)
        seen = 0
        done = set()
        for row in [*keep, *every]:
            if seen == per_shape:
                break
            names = _relations(relations, list(row))
            key = "+".join(row)
            if key in done:
                continue
            done.add(key)
            seen += 1
            laid = cycle(names)
            name = f"{shape}+{'+'.join(one.lower().replace(':', '-') for one in row)}"
            verdict = "Forbidden" if laid.forbidden(arch) else "Allowed"
            why = (
                "every relation of the cycle is kept" if verdict == "Forbidden" else "a relation is not kept"
            )
            yield Entry(folder, name, _marked(litmus(names, arch, name), verdict, why))


def writer_publishes(steps: tuple[str, ...], cache: str) -> bool:
    """Whether a writer that stores code, does these steps and sets a flag has made the code visible before.

    Source: Arm ARM DDI 0487, B2.4.4 and the pseudocode of CTR_EL0.IDC and DIC: without IDC the store is
    cleaned to the point of unification; without DIC the instruction caches are invalidated after that; each
    step is completed by a DSB, since a DMB does not order IC.
    """
    if cache == "DIC":
        return "DSB" in steps or "DMB" in steps
    rest = list(steps)
    if cache != "IDC":
        if "DC" not in rest:
            return False
        rest = rest[rest.index("DC") + 1 :]
    else:
        rest = [step for step in rest if step != "DC"]
    for wanted in ("DSB", "IC", "DSB"):
        if wanted not in rest:
            return False
        rest = rest[rest.index(wanted) + 1 :]
    return True


def reader_fetches_late(reader: str) -> bool:
    """Whether what a reader does between reading the flag and executing orders the fetch after the read.

    Only a context synchronisation event orders something before a later fetch, and only what is known to
    be done before it: a branch on the read, an access at an address made from it, a DSB.
    """
    return reader in ("ctrlisb", "dsbisb", "addrisb")


def _patched_code() -> Iterator[Entry]:
    for (prefix, cache), (how, steps), (reader, lines) in itertools.product(
        CACHES.items(), SYNC.items(), READERS.items()
    ):
        name = f"{prefix}MP.RF+{how}+{reader}"
        left = ["STR W0,[X1]", *(_STEP[step] for step in steps), "MOV W2,#1", "STR W2,[X3]"]
        right = ["LDR W2,[X3]", *lines, "S: B E", "MOV W9,#1", "E: NOP"]
        forbidden = writer_publishes(steps, cache) and reader_fetches_late(reader)
        rows = list(itertools.zip_longest(left, right, fillvalue=""))
        text = f"AArch64 {name}\n" + (f"CacheType={cache}\n" if cache else "")
        text += "{ 0:X0=NOP; 0:X1=P1:S; 0:X3=y; 1:X1=P1:S; 1:X3=y; }\n"
        text += " P0           | P1                  ;\n"
        text += "".join(f" {one:<12} | {two:<19} ;\n" for one, two in rows)
        text += "exists (1:X2=1 /\\ 1:X9=0)\n"
        # The old instruction is a branch over the MOV: executing it after the flag is the stale outcome.
        why = "every step that the cache type needs is there" if forbidden else "a step is missing"
        yield Entry("ifetch", name, _marked(text, "Forbidden" if forbidden else "Allowed", why))


def entries() -> list[Entry]:
    """Return all generated tests."""
    return [
        *_cycles("X86_64", "x86_64", X86, 7, 1),
        *_cycles("AArch64", "aarch64", ARM, 13, 2),
        *_patched_code(),
    ]


def file_of(entry: Entry) -> Path:
    """Return where a generated test stands."""
    return HERE / "generated" / entry.folder / f"{entry.name}.litmus"


def main() -> None:
    """Write all generated tests."""
    for entry in entries():
        path = file_of(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(entry.text, encoding="utf-8")


if __name__ == "__main__":
    main()
