"""Makes random small programs as litmus tests, for comparing explorers with each other.

Every register that a program loads into and every location is observed, so that whole sets
of outcomes are compared, not one verdict.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from emu.ordering.generate.mixed import random_mixed_arm, random_mixed_x86
from emu.ordering.generate.text import text_of

_LOCATIONS = "xyz"


class _Column:
    """One CPU of an AArch64 test that is being written."""

    def __init__(self, cpu: int, rng: random.Random, locations: str) -> None:
        self.cpu = cpu
        self.rng = rng
        self.lines: list[str] = []
        self.address = {name: f"X{20 + place}" for place, name in enumerate(locations)}
        self.loaded: list[int] = []
        self.written = 0
        self.free = 0
        self.labels = 0

    def fresh(self) -> int:
        self.free += 1
        return self.free - 1

    def where(self) -> str:
        return self.address[self.rng.choice(list(self.address))]

    def value(self) -> int:
        """Return a register that holds something to store: a new number or one that was loaded."""
        if self.loaded and self.rng.random() < 0.3:
            source, target = self.rng.choice(self.loaded), self.fresh()
            if self.rng.random() < 0.5:
                self.lines.append(f"ADD W{target},W{source},#1")
            else:
                self.lines.append(f"EOR W{target},W{source},W{source}")
                self.lines.append(f"ADD W{target},W{target},#{self.rng.randint(1, 2)}")
            return target
        target = self.fresh()
        self.lines.append(f"MOV W{target},#{self.rng.randint(1, 2)}")
        return target

    def target(self) -> str:
        """Return an address operand, now and then one that depends on a read."""
        base = self.where()
        if self.loaded and self.rng.random() < 0.3:
            source, index = self.rng.choice(self.loaded), self.fresh()
            self.lines.append(f"EOR W{index},W{source},W{source}")
            return f"[{base},W{index},SXTW]"
        return f"[{base}]"


def _load(column: _Column) -> None:
    rng = column.rng
    name = rng.choice(["LDR", "LDR", "LDR", "LDAR", "LDAPR"])
    where = column.target() if name == "LDR" else f"[{column.where()}]"
    register = column.fresh()
    column.lines.append(f"{name} W{register},{where}")
    column.loaded.append(register)


def _store(column: _Column) -> None:
    name = column.rng.choice(["STR", "STR", "STR", "STLR"])
    register = column.value()
    where = column.target() if name == "STR" else f"[{column.where()}]"
    column.lines.append(f"{name} W{register},{where}")


def _fence(column: _Column) -> None:
    column.lines.append(
        column.rng.choice(["DMB SY", "DMB LD", "DMB ST", "DMB SY", "ISB", "DSB SY", "DSB LD", "DSB ST"])
    )


def _branch(column: _Column) -> None:
    if not column.loaded:
        return
    label = f"L{column.cpu}{column.labels}"
    column.labels += 1
    source = column.rng.choice(column.loaded)
    if column.rng.random() < 0.3:
        column.lines += [f"CMP W{source},#1", f"B.NE {label}"]
    else:
        column.lines.append(f"{column.rng.choice(['CBZ', 'CBNZ'])} W{source},{label}")
    if column.rng.random() < 0.4:
        _store(column)
    column.lines.append(f"{label}:")
    if column.rng.random() < 0.4:
        column.lines.append("ISB")


def _select(column: _Column) -> None:
    if not column.loaded:
        return
    source = column.rng.choice(column.loaded)
    one, two, target = column.value(), column.value(), column.fresh()
    column.lines += [f"CMP W{source},#1", f"CSEL W{target},W{one},W{two},{column.rng.choice(['EQ', 'NE'])}"]
    if column.rng.random() < 0.5:
        column.loaded.append(target)
    else:
        column.lines.append(f"STR W{target},{column.target()}")


def _atomic(column: _Column) -> None:
    rng = column.rng
    order = rng.choice(["", "A", "L", "AL"])
    kind = rng.choice(["SWP", "LDADD", "LDEOR", "CAS", "STADD", "CAS"])
    value, where = column.value(), column.where()
    if kind == "STADD":
        column.lines.append(f"STADD{order.replace('A', '')} W{value},[{where}]")
        return
    if kind == "CAS":
        compared = rng.choice(column.loaded) if column.loaded and rng.random() < 0.4 else column.fresh()
        if compared not in column.loaded:
            column.lines.append(f"MOV W{compared},#{rng.randint(0, 1)}")
            column.loaded.append(compared)
        column.lines.append(f"CAS{order} W{compared},W{value},[{where}]")
        return
    target = column.fresh()
    name = "WZR" if rng.random() < 0.15 else f"W{target}"
    column.lines.append(f"{kind}{order} W{value},{name},[{where}]")
    if name != "WZR":
        column.loaded.append(target)


def _exclusive(column: _Column) -> None:
    rng = column.rng
    where = column.where()
    loaded, status = column.fresh(), column.fresh()
    column.lines.append(f"{rng.choice(['LDXR', 'LDAXR'])} W{loaded},[{where}]")
    column.loaded.append(loaded)
    if rng.random() < 0.3:
        _load(column)
    value = column.value()
    column.lines.append(f"{rng.choice(['STXR', 'STLXR'])} W{status},W{value},[{where}]")
    column.loaded.append(status)


_ARM: dict[str, Sequence[Callable[[_Column], None]]] = {
    "plain": (_load, _store, _load, _store, _fence),
    "deps": (_load, _store, _load, _branch, _select, _fence),
    "atomics": (_load, _store, _atomic, _atomic, _branch),
    "exclusives": (_load, _store, _exclusive, _branch),
    "all": (_load, _store, _fence, _branch, _select, _atomic, _exclusive),
}


def _random_arm(rng: random.Random, name: str, cpus: int, length: int, features: str) -> str:
    locations = _LOCATIONS[: rng.randint(1, 3)]
    columns = []
    for cpu in range(cpus):
        column = _Column(cpu, rng, locations)
        for _ in range(length):
            rng.choice(_ARM[features])(column)
        columns.append(column)
    init = "".join(
        f"{cpu}:{register}={place}; "
        for cpu, column in enumerate(columns)
        for place, register in column.address.items()
    )
    seen = [f"{cpu}:X{one}" for cpu, column in enumerate(columns) for one in dict.fromkeys(column.loaded)]
    return text_of("AArch64", name, init, [column.lines for column in columns], seen, locations)


_X86_REGISTERS = ("eax", "ebx", "ecx", "edx", "esi", "edi")


def _random_x86(rng: random.Random, name: str, cpus: int, length: int) -> str:
    locations = _LOCATIONS[: rng.randint(1, 3)]
    columns, seen = [], []
    for cpu in range(cpus):
        lines: list[str] = []
        free = list(_X86_REGISTERS)
        loaded: list[str] = []
        for step in range(length):
            where, number = rng.choice(locations), rng.randint(1, 2)
            kind = rng.choice(
                ["load", "store", "load", "store", "fence", "xchg", "add", "lock", "branch", "move"]
            )
            if kind in ("load", "xchg") and not free:
                kind = "store"
            if kind == "load":
                loaded.append(free.pop(0))
                lines.append(f"movl ({where}),%{loaded[-1]}")
            elif kind == "xchg":
                loaded.append(free.pop(0))
                lines += [f"movl ${number},%{loaded[-1]}", f"xchgl %{loaded[-1]},({where})"]
            elif kind == "fence":
                lines.append("mfence")
            elif kind == "add":
                lines.append(f"addl ${number},({where})")
            elif kind == "lock":
                lines.append(rng.choice([f"lock incl ({where})", f"lock addl ${number},({where})"]))
            elif kind == "branch" and loaded:
                lines += [f"cmpl $1,%{rng.choice(loaded)}", f"{rng.choice(['je', 'jne'])} L{cpu}{step}"]
                lines += [f"movl ${number},({where})", f"L{cpu}{step}:"]
            elif kind == "move" and loaded:
                lines.append(f"movl %{rng.choice(loaded)},({where})")
            else:
                lines.append(f"movl ${number},({where})")
        columns.append(lines or ["nop"])
        seen += [f"{cpu}:r{one[1:]}" for one in loaded]
    return text_of("X86_64", name, "", columns, seen, locations)


def _random_fetch(rng: random.Random, name: str, cpus: int, length: int) -> str:
    """Return a test in which instructions are written while they may be executed."""
    sites = [(rng.randrange(cpus), f"L{number}") for number in range(rng.randint(1, 2))]
    patched = rng.choice(["NOP", "NOP", 'instr:"MOV W8,#2"', 'instr:"B .+12"'])
    columns: list[list[str]] = []
    init = ""
    seen = []
    for cpu in range(cpus):
        lines: list[str] = []
        own = [site for owner, site in sites if owner == cpu]
        places = sorted(rng.sample(range(length + 1), min(len(own), length + 1)))
        for place, (owner, site) in enumerate(sites):
            init += f"{cpu}:X{20 + place}=P{owner}:{site}; "
        init += f"{cpu}:X10={patched}; {cpu}:X11=x; "
        for step in range(length + 1):
            if own and step in places:
                site = own.pop(0)
                number = int(site[1:])
                lines += [f"{site}: B Out{site}", f"MOV W{number},#1", f"Out{site}:"]
                seen.append(f"{cpu}:X{number}")
            if step == length:
                break
            register = f"X{20 + rng.randrange(len(sites))}"
            kind = rng.choice(
                [
                    "store",
                    "store",
                    "DC",
                    "IC",
                    "DSB",
                    "DSB",
                    "ISB",
                    "DMB",
                    "sync",
                    "read",
                    "write",
                    "load",
                    "branch",
                ]
            )
            if kind == "store":
                lines.append(f"STR W10,[{register}]")
            elif kind == "DC":
                lines.append(f"DC CVAU,{register}")
            elif kind == "IC":
                lines.append(f"IC IVAU,{register}")
            elif kind == "DSB":
                lines.append("DSB ISH")
            elif kind == "ISB":
                lines.append("ISB")
            elif kind == "DMB":
                lines.append(rng.choice(["DMB SY", "DMB ST", "DMB LD"]))
            elif kind == "sync":
                lines += [f"DC CVAU,{register}", "DSB ISH", f"IC IVAU,{register}", "DSB ISH"]
            elif kind == "write":
                lines += ["MOV W12,#1", "STR W12,[X11]"]
            elif kind == "read" and f"{cpu}:X5" not in seen:
                lines.append("LDR W5,[X11]")
                seen.append(f"{cpu}:X5")
            elif kind == "load" and f"{cpu}:X6" not in seen:
                lines.append(f"LDR W6,[{register}]")
                seen.append(f"{cpu}:X6")
            elif kind == "branch" and f"{cpu}:X5" in seen and f"C{cpu}:" not in lines:
                lines += [f"CBNZ W5,C{cpu}", f"C{cpu}:", "ISB"]
        columns.append(lines or ["NOP"])
    header = rng.choice(["", "", "CacheType=IDC\n", "CacheType=DIC\n"])
    return text_of("AArch64", name, init, columns, seen, "x", header)


FEATURES = (*_ARM, "x86", "fetch", "mixed", "mixed-x86")
"""Kinds of random tests."""


def random_test(seed: int, features: str, *, cpus: int = 2, length: int = 3) -> str:
    """Return a random litmus test; the same for the same arguments.

    Args:
        seed: of everything drawn.
        features: one of `FEATURES`.
        cpus: how many.
        length: about how many accesses each makes.

    Raises:
        ValueError: no such features.
    """
    if features not in FEATURES:
        raise ValueError(f"features must be one of {', '.join(FEATURES)}, not {features!r}")
    rng = random.Random(seed)
    name = f"{features}-{cpus}-{length}-{seed}"
    if features == "x86":
        return _random_x86(rng, name, cpus, length)
    if features == "fetch":
        return _random_fetch(rng, name, cpus, length)
    if features == "mixed":
        return random_mixed_arm(rng, name, cpus, length)
    if features == "mixed-x86":
        return random_mixed_x86(rng, name, cpus, length)
    return _random_arm(rng, name, cpus, length, features)
