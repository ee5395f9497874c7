"""Relations between two accesses, from which litmus tests are made: names, ends, what orders them.

Names follow the usual ones of the field: ``Rfe``, ``Fre``, ``Coe`` lead to another CPU; ``PodWR`` is
program order between different locations, ``PosRR`` at the same one; ``DMB.SYdWR`` has a barrier
between, ``DpAddrdR`` a dependency. An annotation after a colon says how the two ends access memory:
``PodRR:AP`` begins with an acquire and ends with a plain access.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from emu.errors import EmuError

_NAME = re.compile(
    r"""(?:(?P<com>Rf|Fr|Co)(?P<where>[ei])
      | Po(?P<same>[ds])(?P<po>[RW]{2})
      | (?P<fence>D[MS]B\.(?:SY|LD|ST)|ISB|[MLS]FENCE)(?P<fsame>[ds])(?P<fends>[RW]{2})
      | Dp(?P<dep>Addr|Data|Ctrl|CtrlIsb|AddrIsb)(?P<dsame>[ds])(?P<dend>[RW])
      )(?::(?P<marks>[PALQX]{2}))?$""",
    re.VERBOSE,
)
_COM = {"Rf": "WR", "Fr": "RW", "Co": "WW"}


class EdgeError(EmuError):
    """A name is not one of a relation, or relations do not make a test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A relation between two accesses.

    Args:
        name: of it.
        ends: kinds of the two accesses, such as ``WR``.
        external: whether it leads to another CPU.
        same: whether both are to one location.
        fence: between the two; empty: none.
        dependency: ``Addr``, ``Data``, ``Ctrl``, ``CtrlIsb``, ``AddrIsb`` or empty.
        marks: of the two ends: P plain, A acquire, Q acquirePC, L release, X locked or exchange.
    """

    name: str
    ends: str
    external: bool
    same: bool
    fence: str = ""
    dependency: str = ""
    marks: str = "PP"


def edge(name: str) -> Edge:
    """Return a relation by its name.

    >>> edge("DMB.SYdWR").fence, edge("PodRR:AP").marks, edge("Rfe").ends
    ('DMB.SY', 'AP', 'WR')

    Raises:
        EdgeError: there is no such relation.
    """
    match = _NAME.match(name)
    if match is None:
        raise EdgeError(
            f"{name!r} is not a relation; such as Rfe, Fre, Coe, PodWR, DMB.SYdWR, DpAddrdR, PodRR:AP"
        )
    communication = match["com"]
    return Edge(
        name=name,
        ends=_COM[communication] if communication else match["po"] or match["fends"] or "R" + match["dend"],
        external=match["where"] == "e",
        same=bool(communication) or "s" in (match["same"], match["fsame"], match["dsame"]),
        fence=match["fence"] or "",
        dependency=match["dep"] or "",
        marks=match["marks"] or "PP",
    )


def ordered_arm(one: Edge) -> bool:
    """Whether the Arm architecture alone keeps the two accesses in order, to different locations.

    Source: Arm ARM DDI 0487 B2.3, the definitions of Dependency-ordered-before and Barrier-ordered-before.
    """
    source, target = one.ends[0], one.ends[1]
    if one.fence in ("DMB.SY", "DSB.SY"):
        return True
    if one.fence in ("DMB.LD", "DSB.LD") and source == "R":
        return True
    if one.fence in ("DMB.ST", "DSB.ST") and one.ends == "WW":
        return True
    if one.dependency in ("Addr", "Data", "CtrlIsb", "AddrIsb"):
        return True
    if one.dependency == "Ctrl" and target == "W":
        return True
    first, second = one.marks[0], one.marks[1]
    return first in "AQ" or second == "L" or (first == "L" and second == "A")


def ordered_x86(one: Edge) -> bool:
    """Whether x86-TSO alone keeps the two accesses in order: all but a write before a read.

    Source: Intel SDM vol. 3A, 9.2.2; locked instructions and MFENCE order everything.
    """
    return one.ends != "WR" or one.fence == "MFENCE" or "X" in one.marks
