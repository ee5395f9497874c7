"""Memory ordering, exhaustively: every outcome of a few CPUs' programs that a memory model allows.

How to use it as a library. A *program* is what one CPU does. It is asked for one `Step` at a
time: the events that it makes without a choice, and what it waits for, which is a value from
memory (`Wanted`) or a choice of its own (``ways``). A program is never told to undo anything: its
states are values, and the explorer may go on from any of them as often as it likes. Whatever runs
machine code (`emu.ordering.code` for litmus tests, Unicorn elsewhere) fits behind `Program`.

    class Program(Protocol):
        def start(self) -> Step: ...
        def read(self, state, value) -> Step: ...    # the wanted read returned this
        def way(self, state, number) -> Step: ...    # the program takes this one of its ways

Each `Event` brings the set of earlier events of its CPU that it is ordered after; `ArmOrder` and
`TsoOrder` work that out as the events are made (``TsoOrder(total=True)`` is sequential consistency).
So the local part of a model stays with the program, and `explore` knows only what concerns several
CPUs: reads-from, coherence, from-reads, atomicity, instruction fetch. Values and locations are any
hashable; addresses and ints will do.

    explore(programs, {address: value}, rules=RULES[Model.ARM64], observed=[address])

gives an `Exploration`: outcomes (what each program returned at its end, last values of the observed
locations), how many executions lead to each, one *witness* per outcome (its events with reads-from and
coherence), and whether it is ``complete``. Budgets: seconds, executions, size of the choice trees.
With ``lazily=True`` a program is asked only for steps that a partial execution in keeping with the
axioms has reached: for longer programs, whose reads could be combined in too many ways beforehand.

How it works: `tree` grows one choice tree per CPU, `pack` turns the trees into tables, `search` (compiled)
places CPU after CPU, each read with its write and each write with its place in coherence order, and cuts a
branch as soon as an order that must have no cycle gets one. docs/ordering.md has the models in words.
"""

from emu.ordering.columns import CLEAN, ENTRY, FETCH, HAZARD, INVALIDATE, READ, SERIALISE, WRITE
from emu.ordering.dependencies import NONE, Deps
from emu.ordering.explore import Exploration, Outcome, explore
from emu.ordering.local_arm64 import ArmOrder
from emu.ordering.local_x86 import TsoOrder
from emu.ordering.models import RULES, Model
from emu.ordering.tree import Event, Program, Step, Wanted

__all__ = [
    "CLEAN",
    "ENTRY",
    "FETCH",
    "HAZARD",
    "INVALIDATE",
    "NONE",
    "READ",
    "RULES",
    "SERIALISE",
    "WRITE",
    "ArmOrder",
    "Deps",
    "Event",
    "Exploration",
    "Model",
    "Outcome",
    "Program",
    "Step",
    "TsoOrder",
    "Wanted",
    "explore",
]
