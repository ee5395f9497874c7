"""Makes random tests whose accesses to one location differ in size and offset."""

from __future__ import annotations

import random

from emu.ordering.generate.text import text_of

_TYPES = {2: "uint16_t", 4: "uint32_t", 8: "uint64_t"}
_SUFFIX = {1: "B", 2: "H", 4: "", 8: ""}
_SIZES = {2: [1, 2], 4: [1, 2, 4], 8: [2, 4, 8]}


class _Shape:
    """The locations of a test and how they are accessed."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        whole = rng.choice([2, 2, 4, 4, 8])
        self.sizes = sorted(rng.sample(_SIZES[whole], 2))
        self.whole = whole
        self.locations = "xyz"[: rng.randint(1, 2)]
        self.init = "".join(f"{_TYPES[whole]} {one}; " for one in self.locations)

    def access(self) -> tuple[str, int, int]:
        """Return a location, an offset into it and a size."""
        size = self.rng.choice(self.sizes)
        # The lower places twice as often: accesses shall meet.
        offset = self.rng.choice([0, *range(0, self.whole, size)])
        return self.rng.choice(self.locations), offset, size

    def number(self, cpu: int, size: int) -> int:
        """Return a value with the same byte all over."""
        return int.from_bytes(bytes([self.rng.choice([1, 2, 3]) + 4 * cpu]) * size, "little")


class _Arm:
    """One CPU of an AArch64 test that is being written."""

    def __init__(self, cpu: int, shape: _Shape) -> None:
        self.cpu, self.shape, self.rng = cpu, shape, shape.rng
        self.lines: list[str] = []
        self.init = "".join(f"{cpu}:X{20 + at}={name}; " for at, name in enumerate(shape.locations))
        self.loaded: list[int] = []
        self.free = 0
        self.labels = 0

    def fresh(self, wide: bool = False) -> int:
        self.free += 1
        if wide:
            self.init += f"uint64_t {self.cpu}:X{self.free - 1}; "
        return self.free - 1

    def value(self, size: int) -> int:
        """Return a register with something to store."""
        target = self.fresh()
        if self.loaded and self.rng.random() < 0.35:
            source = self.rng.choice(self.loaded)
            if self.rng.random() < 0.5:
                return source
            self.lines.append(f"EOR X{target},X{source},X{source}")
            self.lines.append(f"ADD X{target},X{target},#{1 + 4 * self.cpu}")
        else:
            self.init += f"uint64_t {self.cpu}:X{target}={self.shape.number(self.cpu, size):#x}; "
        return target

    def place(self, plain: bool) -> tuple[str, int]:
        """Return an address operand and the size to use with it."""
        name, offset, size = self.shape.access()
        base = f"X{20 + self.shape.locations.index(name)}"
        if self.loaded and self.rng.random() < 0.25:
            source, index, moved = self.rng.choice(self.loaded), self.fresh(), self.fresh()
            self.lines.append(f"EOR X{index},X{source},X{source}")
            self.lines.append(f"ADD X{moved},{base},X{index}")
            base = f"X{moved}"
        if offset and not plain:
            moved = self.fresh()
            self.lines.append(f"ADD X{moved},{base},#{offset}")
            return f"[X{moved}]", size
        return (f"[{base},#{offset}]" if offset else f"[{base}]"), size

    def load(self) -> None:
        name = self.rng.choice(["LDR"] * 4 + ["LDAR", "LDAPR"])
        where, size = self.place(name == "LDR")
        target = self.fresh(True)
        self.lines.append(f"{name}{_SUFFIX[size]} {_view(target, size)},{where}")
        self.loaded.append(target)

    def store(self) -> None:
        name = self.rng.choice(["STR"] * 4 + ["STLR"])
        where, size = self.place(name == "STR")
        self.lines.append(f"{name}{_SUFFIX[size]} {_view(self.value(size), size)},{where}")

    def pair(self) -> None:
        size = self.shape.sizes[-1]
        if size < 4 or 2 * size > self.shape.whole:
            return self.load() if self.rng.random() < 0.5 else self.store()
        if self.rng.random() < 0.5:
            one, two = self.fresh(True), self.fresh(True)
            self.lines.append(f"LDP {_view(one, size)},{_view(two, size)},[X20]")
            self.loaded += [one, two]
        else:
            self.lines.append(f"STP {_view(self.value(size), size)},{_view(self.value(size), size)},[X20]")
        return None

    def atomic(self) -> None:
        where, size = self.place(False)
        kind = self.rng.choice(["SWP", "LDADD", "CAS", "LDEOR"])
        name = f"{kind}{self.rng.choice(['', 'A', 'L', 'AL'])}{_SUFFIX[size]}"
        if kind == "CAS":
            target = self.rng.choice(self.loaded) if self.loaded and self.rng.random() < 0.4 else -1
            if target < 0:
                target = self.fresh(True)
                self.loaded.append(target)
            self.lines.append(f"{name} {_view(target, size)},{_view(self.value(size), size)},{where}")
            return
        value, target = self.value(size), self.fresh(True)
        self.lines.append(f"{name} {_view(value, size)},{_view(target, size)},{where}")
        self.loaded.append(target)

    def exclusive(self) -> None:
        where, size = self.place(False)
        target, status = self.fresh(True), self.fresh()
        self.lines.append(
            f"{self.rng.choice(['LDXR', 'LDAXR'])}{_SUFFIX[size]} {_view(target, size)},{where}"
        )
        self.loaded.append(target)
        value = self.value(size)
        name = self.rng.choice(["STXR", "STLXR"]) + _SUFFIX[size]
        self.lines.append(f"{name} W{status},{_view(value, size)},{where}")
        self.loaded.append(status)

    def fence(self) -> None:
        self.lines.append(self.rng.choice(["DMB SY", "DMB LD", "DMB ST", "ISB", "DSB SY"]))

    def branch(self) -> None:
        if self.loaded:
            label = f"L{self.cpu}{self.labels}"
            self.labels += 1
            self.lines += [f"CBNZ X{self.rng.choice(self.loaded)},{label}", f"{label}:"]


def _view(register: int, size: int) -> str:
    return f"{'X' if size == 8 else 'W'}{register}"


def random_mixed_arm(rng: random.Random, name: str, cpus: int, length: int) -> str:
    """Return a random AArch64 test with accesses of different sizes."""
    shape = _Shape(rng)
    columns = []
    for cpu in range(cpus):
        column = _Arm(cpu, shape)
        steps = [
            column.load, column.load, column.store, column.store, column.pair, column.atomic,
            column.exclusive, column.fence, column.branch,
        ]  # fmt: skip
        for _ in range(length):
            rng.choice(steps)()
        columns.append(column)
    init = shape.init + "".join(column.init for column in columns)
    seen = [f"{cpu}:X{one}" for cpu, column in enumerate(columns) for one in dict.fromkeys(column.loaded)]
    return text_of(
        "AArch64", name, init, [column.lines for column in columns], seen, shape.locations, "Variant=mixed\n"
    )


_NAMES = {1: "{}l", 2: "{}x", 4: "e{}x", 8: "r{}x"}
_LETTER = {1: "b", 2: "w", 4: "l", 8: "q"}
_BASES = ("rsi", "rdi")


def random_mixed_x86(rng: random.Random, name: str, cpus: int, length: int) -> str:
    """Return a random X86_64 test with accesses of different sizes."""
    shape = _Shape(rng)
    init, columns, seen = shape.init, [], []
    for cpu in range(cpus):
        lines: list[str] = []
        free, loaded = list("abcd"), []
        init += "".join(f"{cpu}:{base}={one}; " for base, one in zip(_BASES, shape.locations, strict=False))
        for _ in range(length):
            place, offset, size = shape.access()
            where = f"{offset or ''}(%{_BASES[shape.locations.index(place)]})"
            letter, number = _LETTER[size], shape.number(cpu, min(size, 4))
            kind = rng.choice(["load", "load", "store", "store", "move", "fence", "xchg", "lock"])
            if kind in ("load", "xchg") and not free:
                kind = "store"
            if kind in ("load", "xchg"):
                one = free.pop(0)
                loaded.append(one)
                register = _NAMES[size].format(one)
                if kind == "xchg":
                    lines.append(f"mov{letter} ${number},%{register}")
                lines.append(
                    f"xchg{letter} %{register},{where}"
                    if kind == "xchg"
                    else f"mov{letter} {where},%{register}"
                )
                init += f"uint64_t {cpu}:r{one}x; "
            elif kind == "fence":
                lines.append("mfence")
            elif kind == "lock":
                lines.append(rng.choice([f"lock inc{letter} {where}", f"lock add{letter} $1,{where}"]))
            elif kind == "move" and loaded:
                lines.append(f"mov{letter} %{_NAMES[size].format(rng.choice(loaded))},{where}")
            else:
                lines.append(f"mov{letter} ${number},{where}")
        columns.append(lines or ["nop"])
        seen += [f"{cpu}:r{one}x" for one in loaded]
    return text_of("X86_64", name, init, columns, seen, shape.locations, "Variant=mixed\n")
