"""Makes litmus tests from cycles of relations.

Each access of the cycle is at one location and in one CPU; going round the cycle, values are given
so that the test's condition holds just if every relation of the cycle does. The cycle is then a
proof: if each of its relations is part of an order that must have no cycles, the outcome is forbidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from emu.ordering.generate.edges import Edge, EdgeError, edge, ordered_arm, ordered_x86

_NAMES = "xyzabc"
_X86 = ("eax", "ebx", "ecx", "edx")


@dataclass(slots=True)
class _Access:
    """One access of the cycle: where, what, and what leads to it inside its CPU."""

    kind: str
    mark: str
    cpu: int
    location: int
    value: int = 0
    before: Edge | None = None
    register: str = ""


@dataclass(slots=True)
class Cycle:
    """A cycle of relations, laid out.

    Args:
        edges: relations, beginning at a CPU's first access.
        accesses: one per relation, the one it begins with.
    """

    edges: list[Edge]
    accesses: list[_Access] = field(default_factory=list)

    @property
    def cpus(self) -> int:
        """Return how many CPUs it has."""
        return self.accesses[-1].cpu + 1

    def forbidden(self, arch: str) -> bool:
        """Whether the relations alone forbid the outcome.

        Exact if each CPU has at most two accesses of the cycle, to different locations: then
        nothing but the relation between the two can order them.

        Args:
            arch: ``AArch64`` or ``X86_64``.
        """
        ordered = ordered_arm if arch == "AArch64" else ordered_x86
        return all(one.external or one.same or ordered(one) for one in self.edges)


def cycle(names: Sequence[str]) -> Cycle:
    """Return a cycle laid out.

    Args:
        names: of relations, in order; the last leads back to the first access.

    Raises:
        EdgeError: ends do not fit, or there is no cycle through several CPUs and locations.
    """
    edges = [edge(name) for name in names]
    if not any(one.external for one in edges):
        raise EdgeError("a cycle needs a relation to another CPU")
    while not edges[-1].external:  # begin where a CPU does
        edges = [*edges[1:], edges[0]]
    for one, after in zip(edges, [*edges[1:], edges[0]], strict=True):
        if one.ends[1] != after.ends[0]:
            raise EdgeError(f"{one.name} ends in {one.ends[1]}, {after.name} begins with {after.ends[0]}")
    different = sum(not one.same for one in edges)
    if different == 1:
        raise EdgeError("one relation alone can't lead to another location and back")
    result = Cycle(edges)
    cpu = location = 0
    for place, one in enumerate(edges):
        mark = one.marks[0] if one.marks[0] != "P" else edges[place - 1].marks[1]
        before = edges[place - 1]
        result.accesses.append(
            _Access(one.ends[0], mark, cpu, location, before=None if before.external else before)
        )
        cpu += one.external
        location += not one.same
    for access in result.accesses:
        if different:
            access.location %= different
    _give_values(result, different)
    return result


def _give_values(laid: Cycle, locations: int) -> None:
    """Number the writes of each location along the cycle; a read returns the last one before it."""
    count = len(laid.edges)
    start = 0
    if locations:  # begin where a location does
        start = next(place for place in range(count) if not laid.edges[place - 1].same)
    value = 0
    for step in range(count):
        place = (start + step) % count
        if step and not laid.edges[place - 1].same:
            value = 0
        access = laid.accesses[place]
        if access.kind == "W":
            value += 1
        access.value = value


def _last_values(laid: Cycle) -> dict[int, int]:
    """Return the last value of each location that is written twice or more."""
    writes: dict[int, list[int]] = {}
    for access in laid.accesses:
        if access.kind == "W":
            writes.setdefault(access.location, []).append(access.value)
    return {location: max(values) for location, values in writes.items() if len(values) > 1}


def litmus(names: Sequence[str], arch: str, name: str = "") -> str:
    """Return the litmus test of a cycle.

    Args:
        names: of relations.
        arch: ``AArch64`` or ``X86_64``.
        name: of the test; the relations if empty.

    Raises:
        EdgeError: see `cycle`; or a relation is none of this architecture.
    """
    laid = cycle(names)
    columns: list[list[str]] = [[] for _ in range(laid.cpus)]
    init: list[str] = []
    if arch == "AArch64":
        for cpu in range(laid.cpus):
            _arm_column(laid, cpu, columns[cpu])
            used = sorted({access.location for access in laid.accesses if access.cpu == cpu})
            init += [f"{cpu}:X{20 + place}={_NAMES[place]};" for place in used]
    else:
        for cpu in range(laid.cpus):
            _x86_column(laid, cpu, columns[cpu])
    atoms = [
        f"{access.cpu}:{access.register}={access.value}" for access in laid.accesses if access.kind == "R"
    ]
    atoms += [f"[{_NAMES[location]}]={value}" for location, value in sorted(_last_values(laid).items())]
    rows = []
    width = [max([2, *(len(line) for line in column)]) for column in columns]
    for row in range(max(len(column) for column in columns)):
        cells = [column[row] if row < len(column) else "" for column in columns]
        rows.append(" | ".join(f"{cell:<{wide}}" for cell, wide in zip(cells, width, strict=True)))
    heads = " | ".join(f"{f'P{cpu}':<{wide}}" for cpu, wide in enumerate(width))
    lines = [f"{arch} {name or '+'.join(names)}", f'"{" ".join(names)}"', "{ " + " ".join(init) + " }"]
    lines += [f" {line} ;" for line in [heads, *rows]]
    condition = " /\\ ".join(atoms)
    lines.append(f"exists ({condition})")
    return "\n".join(lines) + "\n"


def _arm_column(laid: Cycle, cpu: int, lines: list[str]) -> None:
    """Write the accesses of one CPU in A64."""
    free = 0
    last = ""
    for number, access in enumerate(one for one in laid.accesses if one.cpu == cpu):
        before = access.before
        address = f"[X{20 + access.location}]"
        data = ""
        if before is not None:
            if before.fence:
                lines.append(before.fence.replace(".", " "))
            if before.dependency in ("Addr", "AddrIsb"):
                lines.append(f"EOR W{free},W{last},W{last}")
                address = f"[X{20 + access.location},W{free},SXTW]"
                free += 1
                if before.dependency == "AddrIsb":
                    lines += [f"LDR W{free},[X{20 + access.location},W{free - 1},SXTW]", "ISB"]
                    free += 1
                    address = f"[X{20 + access.location}]"
            elif before.dependency == "Data":
                lines.append(f"EOR W{free},W{last},W{last}")
                data = f"W{free}"
                free += 1
            elif before.dependency:
                lines += [f"CBNZ W{last},L{cpu}{number}", f"L{cpu}{number}:"]
                if before.dependency == "CtrlIsb":
                    lines.append("ISB")
        register = f"W{free}"
        free += 1
        if access.kind == "R":
            name = {"A": "LDAR", "Q": "LDAPR"}.get(access.mark, "LDR")
            if access.mark == "X":
                lines += [f"MOV {register},#0", f"LDADD {register},{register},{address}"]
            else:
                if access.mark != "P" and "," in address:
                    raise EdgeError("an acquire has no index register")
                lines.append(f"{name} {register},{address}")
            access.register = f"X{register[1:]}"
            last = register[1:]
            continue
        if data:
            lines.append(f"ADD {data},{data},#{access.value}")
            register = data
        else:
            lines.append(f"MOV {register},#{access.value}")
        if access.mark == "X":
            lines.append(f"SWP {register},W{free},{address}")
            free += 1
        else:
            if access.mark != "P" and "," in address:
                raise EdgeError("a release has no index register")
            lines.append(f"{'STLR' if access.mark == 'L' else 'STR'} {register},{address}")
        last = register[1:]


def _x86_column(laid: Cycle, cpu: int, lines: list[str]) -> None:
    """Write the accesses of one CPU in x86-64."""
    free = list(_X86)
    for access in (one for one in laid.accesses if one.cpu == cpu):
        before = access.before
        if before is not None:
            if before.fence:
                lines.append(before.fence.lower())
            if before.dependency:
                raise EdgeError(f"{before.name} is not a relation of X86_64")
        where = f"({_NAMES[access.location]})"
        if access.kind == "R":
            register = free.pop(0)
            lines.append(f"movl {where},%{register}")
            access.register = f"r{register[1:]}"
        elif access.mark == "X":
            register = free.pop()
            lines += [f"movl ${access.value},%{register}", f"xchgl %{register},{where}"]
        else:
            lines.append(f"movl ${access.value},{where}")
