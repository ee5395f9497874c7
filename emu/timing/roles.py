"""What an instruction does to registers, memory and fetch: what both ports' role tables are made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from emu.timing.layout import Branch, Detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One instruction, decoded.

    Args:
        cost: name of its class in the CPU models.
        flags: ``F_*`` of `emu.timing.layout`.
        sources: registers that it computes from.
        load_address: registers of the address that it reads; likewise ``store_address``.
        dests: registers that it writes, each with the cycles by which it is later (or earlier) than the rest.
        load_size: bytes of its first read, 0 if it reads nothing; likewise ``store_size``.
        loads: operations on the load ports; likewise ``stores``.
        indexed: the address needs more than one addition.
        extended: what it loads is sign-extended or merged.
        slots: dispatch slots on top of the class's.
        branch: how it leaves the straight line.
        detail: what its latency depends on.
        writeback: address register that it updates, -1 for none.
    """

    cost: str
    flags: int = 0
    sources: tuple[int, ...] = ()
    load_address: tuple[int, ...] = ()
    store_address: tuple[int, ...] = ()
    dests: tuple[tuple[int, int], ...] = ()
    load_size: int = 0
    store_size: int = 0
    loads: int = 0
    stores: int = 0
    indexed: bool = False
    extended: bool = False
    slots: int = 0
    branch: Branch = Branch.NONE
    detail: Detail = Detail.NONE
    writeback: int = -1

    def but(self, **changes: object) -> Role:
        """Return it with some of its facts changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How the instructions of one mnemonic use their operands.

    Args:
        access: of each explicit operand, in order: ``r``, ``w``, ``rw``, ``a`` (address only) or ``-``.
        cost: class in the CPU models; ``load_cost`` if an operand is in memory and it reads only.
        flags: what it does with the flags register: any of ``r`` and ``w``.
        reads: registers that it reads without naming them; likewise ``writes``.
        bits: ``F_*``.
    """

    access: tuple[str, ...]
    cost: str
    flags: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    bits: int = 0
    extended: bool = False
    branch: Branch = Branch.NONE
    detail: Detail = Detail.NONE
    late: tuple[tuple[str, int], ...] = field(default=())


def table(groups: dict[str, Entry]) -> dict[str, Entry]:
    """Return entries by mnemonic; a key of ``groups`` is several mnemonics with blanks between."""
    found: dict[str, Entry] = {}
    for names, entry in groups.items():
        for name in names.split():
            assert name not in found, f"{name} stands in two groups"
            found[name] = entry
    return found
