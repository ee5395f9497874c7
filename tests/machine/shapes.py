"""The shapes that memory models are told apart by, as programs of two to four threads.

X10, X11, X12 (r10, r11, r12) point at the words x, y, z, each in a granule of its own; all start at 0. A shape's
outcome of interest is a condition on the registers of each thread and the final words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from emu.arch import PORTS
from emu.build.asm.assembler import assemble
from emu.build.asm.source import Unit
from emu.build.memory_map import KERNEL_TEXT
from emu.machine.programs import SHARED_WORDS, Outcome, Program, Thread
from emu.machine.state import Ordering

X, Y, Z = (SHARED_WORDS + 0x40 * at for at in range(3))
POINTERS = {
    "arm64": {"x10": X, "x11": Y, "x12": Z, "x20": 1, "x21": 2},
    "x86_64": {"r10": X, "r11": Y, "r12": Z, "r8": 1, "r9": 2},
}
RESULTS = {"arm64": ("x0", "x1", "x2"), "x86_64": ("rax", "rbx", "rcx")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A program and the outcome that is asked about.

    Args:
        port: whose assembly it is.
        threads: one instruction per line; ``;`` counts as a new line.
        asks: (registers of each thread in order, (x, y, z) at the end) -> is it the outcome?
        never: orderings that forbid it.
        shows: those under which a run shows it.
    """

    name: str
    port: str
    threads: Sequence[str]
    asks: Callable[[Sequence[Sequence[int]], Sequence[int]], bool]
    never: frozenset[Ordering]
    shows: frozenset[Ordering]

    def __str__(self) -> str:
        return f"{self.port}-{self.name}"


@cache
def code_of(port: str, text: str) -> bytes:
    """Return the machine code of a thread, which must not depend on where it stands."""
    source = ".global thread\nthread:\n" + text.replace(";", "\n") + "\n"
    unit = Unit(name="thread", text=source, origin="thread")
    return assemble(PORTS[port], [unit], base=KERNEL_TEXT.base, equates={}).code


def program_of(shape: Shape, ordering: Ordering) -> Program:
    """Return the shape's program under an ordering."""
    threads = [
        Thread(code=code_of(shape.port, text), registers=POINTERS[shape.port]) for text in shape.threads
    ]
    return Program(PORTS[shape.port], threads, ordering, observed=RESULTS[shape.port])


def outcomes(shape: Shape, ordering: Ordering, seeds: range) -> Iterator[Outcome]:
    """Run the shape under each seed."""
    program = program_of(shape, ordering)
    for seed in seeds:
        outcome = program.run(seed, {X: 0, Y: 0, Z: 0})
        assert outcome.complete
        yield outcome


def is_asked_for(shape: Shape, outcome: Outcome) -> bool:
    """Tell whether it is the outcome of interest."""
    registers = [[row[name] for name in RESULTS[shape.port]] for row in outcome.registers]
    return shape.asks(registers, [outcome.memory[at] for at in (X, Y, Z)])


SC, TSO, ARM64 = Ordering.SC, Ordering.TSO, Ordering.ARM64

# The outcome of each family.
Asks = Callable[[Sequence[Sequence[int]], Sequence[int]], bool]
_ASKS: dict[str, Asks] = {
    "MP": lambda r, m: r[1][0] == 1 and r[1][1] == 0,
    "SB": lambda r, m: r[0][0] == 0 and r[1][0] == 0,
    "LB": lambda r, m: r[0][0] == 1 and r[1][0] == 1,
    "S": lambda r, m: r[1][0] == 1 and m[0] == 2,
    "R": lambda r, m: r[1][0] == 0 and m[1] == 2,
    "2+2W": lambda r, m: m[0] == 1 and m[1] == 1,
    "CoRR": lambda r, m: r[1][0] == 1 and r[1][1] == 0,
    "CoWW": lambda r, m: m[0] == 1,
    "CoRW": lambda r, m: r[0][0] == 1,
    "CoWR": lambda r, m: r[0][0] == 0,
    "IRIW": lambda r, m: (r[2][0], r[2][1], r[3][0], r[3][1]) == (1, 0, 1, 0),
    "WRC": lambda r, m: (r[1][0], r[2][0], r[2][1]) == (1, 1, 0),
    "ISA2": lambda r, m: (r[1][0], r[2][0], r[2][1]) == (1, 1, 0),
    "lost": lambda r, m: m[0] != 2,
    "own": lambda r, m: (r[0][0], r[0][1], r[1][0], r[1][1]) == (1, 0, 1, 0),
    "ABA": lambda r, m: (r[0][0], r[0][1], r[0][2], m[0]) == (0, 0, 0, 2),
    "mixed": lambda r, m: (r[0][0], r[1][0]) == (0x01, 0x0100),
}


def _shape(port: str, name: str, threads: Sequence[str], shows: str, never: str) -> Shape:
    named = {"sc": SC, "tso": TSO, "arm64": ARM64}
    family = name.split(" ", maxsplit=1)[0]
    return Shape(
        name=name, port=port, threads=threads, asks=_ASKS[family],
        shows=frozenset(named[word] for word in shows.split()),
        never=frozenset(named[word] for word in never.split()),
    )  # fmt: skip


def _arm(name: str, *threads: str, shows: str = "", never: str = "sc tso arm64") -> Shape:
    return _shape("arm64", name, threads, shows, never)


def _x86(name: str, *threads: str, shows: str = "", never: str = "sc tso") -> Shape:
    return _shape("x86_64", name, threads, shows, never)


_W_X, _W_Y, _W_Z = "str x20, [x10]", "str x20, [x11]", "str x20, [x12]"
_R_X1, _R_Y0 = "ldr x1, [x10]", "ldr x0, [x11]"
_ADDRESS = "eor x5, x0, x0; ldr x1, [x10, x5]"
_LDAPR_Y0 = ".4byte 0xf8bfc160"  # LDAPR X0, [X11]
_LDAPR_X0 = ".4byte 0xf8bfc140"
_LDADD_X = ".4byte 0xf8340140"  # LDADD X20, X0, [X10]
_SWPAL_X, _SWPAL_Y = ".4byte 0xf8f48145", ".4byte 0xf8f48165"  # SWPAL X20, X5, [X10]; [X11]
_SWP_X, _SWP_Y = ".4byte 0xf8348145", ".4byte 0xf8348165"
_INCREMENT = ".Lagain:; ldxr x5, [x10]; add x5, x5, #0x1; stxr w6, x5, [x10]; cbnz w6, .Lagain"
_CAS_INCREMENT = ".Lagain:; ldr x5, [x10]; mov x7, x5; add x6, x5, #0x1; .4byte 0xc8a77d46; cmp x7, x5; b.ne .Lagain"  # CAS X7, X6, [X10]

ARM = [
    _arm("MP", f"{_W_X}; {_W_Y}", f"{_R_Y0}; {_R_X1}", shows="arm64", never="sc tso"),
    _arm("MP dmb.st po", f"{_W_X}; dmb ishst; {_W_Y}", f"{_R_Y0}; {_R_X1}", shows="arm64", never="sc tso"),
    _arm("MP po dmb.ld", f"{_W_X}; {_W_Y}", f"{_R_Y0}; dmb ishld; {_R_X1}", shows="arm64", never="sc tso"),
    _arm("MP dmb.ld dmb.ld", f"{_W_X}; dmb ishld; {_W_Y}", f"{_R_Y0}; dmb ishld; {_R_X1}", shows="arm64", never="sc tso"),
    _arm("MP dmb.st dmb.st", f"{_W_X}; dmb ishst; {_W_Y}", f"{_R_Y0}; dmb ishst; {_R_X1}", shows="arm64", never="sc tso"),
    _arm("MP dmb.st dmb.ld", f"{_W_X}; dmb ishst; {_W_Y}", f"{_R_Y0}; dmb ishld; {_R_X1}"),
    _arm("MP dmb dmb", f"{_W_X}; dmb ish; {_W_Y}", f"{_R_Y0}; dmb ish; {_R_X1}"),
    _arm("MP dsb.st dsb.ld", f"{_W_X}; dsb ishst; {_W_Y}", f"{_R_Y0}; dsb ishld; {_R_X1}"),
    _arm("MP dmb.st addr", f"{_W_X}; dmb ishst; {_W_Y}", f"{_R_Y0}; {_ADDRESS}"),
    _arm("MP po addr", f"{_W_X}; {_W_Y}", f"{_R_Y0}; {_ADDRESS}", shows="arm64", never="sc tso"),
    _arm("MP dmb.st ctrl", f"{_W_X}; dmb ishst; {_W_Y}", f"{_R_Y0}; cbnz x0, .Ln; .Ln:; {_R_X1}", shows="arm64", never="sc tso"),
    _arm("MP dmb.st ctrl+isb", f"{_W_X}; dmb ishst; {_W_Y}", f"{_R_Y0}; cbnz x0, .Ln; .Ln:; isb; {_R_X1}"),
    _arm("MP dmb.st data+fwd+addr", f"{_W_X}; dmb ishst; {_W_Y}", f"{_R_Y0}; eor x5, x0, x0; str x5, [x12]; ldr x5, [x12]; ldr x1, [x10, x5]"),
    _arm("MP dmb.st stack+addr", f"{_W_X}; dmb ishst; {_W_Y}", f"{_R_Y0}; eor x5, x0, x0; str x5, [sp, #-0x10]; ldr x5, [sp, #-0x10]; ldr x1, [x10, x5]"),
    _arm("MP dmb.st ctrl+fwd+addr", f"{_W_X}; dmb ishst; {_W_Y}", f"{_R_Y0}; cbnz x0, .Ln; .Ln:; str x20, [x12]; ldr x5, [x12]; eor x5, x5, x5; ldr x1, [x10, x5]", shows="arm64", never="sc tso"),
    _arm("MP dmb.st csel+addr", f"{_W_X}; dmb ishst; {_W_Y}", f"{_R_Y0}; cmp x0, #0x0; csel x5, xzr, xzr, eq; adds x5, x5, x0; sub x5, x5, x0; ldr x1, [x10, x5]"),
    _arm("MP stlr po", f"{_W_X}; stlr x20, [x11]", f"{_R_Y0}; {_R_X1}", shows="arm64", never="sc tso"),
    _arm("MP po ldar", f"{_W_X}; {_W_Y}", f"ldar x0, [x11]; {_R_X1}", shows="arm64", never="sc tso"),
    _arm("MP stlr ldar", f"{_W_X}; stlr x20, [x11]", f"ldar x0, [x11]; {_R_X1}"),
    _arm("MP stlr ldapr", f"{_W_X}; stlr x20, [x11]", f"{_LDAPR_Y0}; {_R_X1}"),
    _arm("MP swpal swpal", f"{_W_X}; {_SWPAL_Y}", f"{_LDAPR_Y0}; {_R_X1}"),
    _arm("MP stlxr ldaxr", f"{_W_X}; .La:; ldxr x5, [x11]; stlxr w6, x20, [x11]; cbnz w6, .La", f"ldaxr x0, [x11]; {_R_X1}"),
    _arm("MP stxr po", f"{_W_X}; .La:; ldxr x5, [x11]; stxr w6, x20, [x11]; cbnz w6, .La", f"ldaxr x0, [x11]; {_R_X1}", shows="arm64", never="sc tso"),
    _arm("SB", f"{_W_X}; ldr x0, [x11]", f"{_W_Y}; ldr x0, [x10]", shows="tso arm64", never="sc"),
    _arm("SB dmb.st", f"{_W_X}; dmb ishst; ldr x0, [x11]", f"{_W_Y}; dmb ishst; ldr x0, [x10]", shows="tso arm64", never="sc"),
    _arm("SB dmb", f"{_W_X}; dmb ish; ldr x0, [x11]", f"{_W_Y}; dmb ish; ldr x0, [x10]"),
    _arm("SB dsb.st", f"{_W_X}; dsb ishst; ldr x0, [x11]", f"{_W_Y}; dsb ishst; ldr x0, [x10]"),
    _arm("SB stlr ldar", "stlr x20, [x10]; ldar x0, [x11]", "stlr x20, [x11]; ldar x0, [x10]"),
    _arm("SB stlr ldapr", f"stlr x20, [x10]; {_LDAPR_Y0}", f"stlr x20, [x11]; {_LDAPR_X0}", shows="tso arm64", never="sc"),
    _arm("SB swpal", f"{_SWPAL_X}; ldr x0, [x11]", f"{_SWPAL_Y}; ldr x0, [x10]"),
    _arm("SB swp", f"{_SWP_X}; ldr x0, [x11]", f"{_SWP_Y}; ldr x0, [x10]", shows="arm64", never="sc tso"),
    # an atomic and an acquire that reads from it are in order: SB with a store-release that is read back
    _arm("own swp ldar", f"{_SWP_X}; ldar x0, [x10]; ldr x1, [x11]", f"{_SWP_Y}; ldar x0, [x11]; ldr x1, [x10]"),
    _arm("own swp po", f"{_SWP_X}; ldr x0, [x10]; ldr x1, [x11]", f"{_SWP_Y}; ldr x0, [x11]; ldr x1, [x10]", shows="arm64", never="sc tso"),
    _arm("own stlr ldar", "stlr x20, [x10]; ldar x0, [x10]; ldr x1, [x11]", "stlr x20, [x11]; ldar x0, [x11]; ldr x1, [x10]"),
    _arm("own str ldar", f"{_W_X}; ldar x0, [x10]; ldr x1, [x11]", f"{_W_Y}; ldar x0, [x11]; ldr x1, [x10]", shows="tso arm64", never="sc"),
    _arm("ABA", ".La:; ldxr x0, [x10]; dmb ishld; ldr x1, [x11]; stxr w2, x21, [x10]", f"{_W_Y}; dmb ish; {_W_X}; dmb ish; str xzr, [x10]", never="tso arm64"),
    _arm("own", f"{_W_X}; ldr x0, [x10]; ldr x1, [x11]", f"{_W_Y}; ldr x0, [x11]; ldr x1, [x10]", shows="tso arm64", never="sc"),
    _arm("LB", f"ldr x0, [x10]; {_W_Y}", f"ldr x0, [x11]; {_W_X}", never="sc tso"),
    _arm("LB data", "ldr x0, [x10]; str x0, [x11]", "ldr x0, [x11]; str x0, [x10]"),
    _arm("S", f"str x21, [x10]; {_W_Y}", f"{_R_Y0}; eor x5, x0, x0; add x5, x5, #0x1; str x5, [x10]", shows="arm64", never="sc tso"),
    _arm("S dmb.st data", f"str x21, [x10]; dmb ishst; {_W_Y}", f"{_R_Y0}; eor x5, x0, x0; add x5, x5, #0x1; str x5, [x10]"),
    _arm("R", f"{_W_X}; {_W_Y}", "str x21, [x11]; ldr x0, [x10]", shows="tso arm64", never="sc"),
    _arm("R dmb po", f"{_W_X}; dmb ish; {_W_Y}", "str x21, [x11]; ldr x0, [x10]", shows="tso arm64", never="sc"),
    _arm("R dmb dmb", f"{_W_X}; dmb ish; {_W_Y}", "str x21, [x11]; dmb ish; ldr x0, [x10]"),
    _arm("2+2W", f"{_W_X}; str x21, [x11]", f"{_W_Y}; str x21, [x10]", shows="arm64", never="sc tso"),
    _arm("2+2W dmb.st", f"{_W_X}; dmb ishst; str x21, [x11]", f"{_W_Y}; dmb ishst; str x21, [x10]"),
    _arm("2+2W stlr", f"{_W_X}; stlr x21, [x11]", f"{_W_Y}; stlr x21, [x10]"),
    _arm("CoRR", _W_X, "ldr x0, [x10]; ldr x1, [x10]"),
    _arm("CoWW", f"{_W_X}; str x21, [x10]", "nop"),
    _arm("CoRW", f"ldr x0, [x10]; {_W_X}", "nop"),
    _arm("CoWR", f"{_W_X}; ldr x0, [x10]", "nop"),
    _arm("IRIW", _W_X, _W_Y, "ldr x0, [x10]; ldr x1, [x11]", "ldr x0, [x11]; ldr x1, [x10]", shows="arm64", never="sc tso"),
    _arm("IRIW addr", _W_X, _W_Y, "ldr x0, [x10]; eor x5, x0, x0; ldr x1, [x11, x5]", f"ldr x0, [x11]; {_ADDRESS}"),
    _arm("IRIW ldar", _W_X, _W_Y, "ldar x0, [x10]; ldar x1, [x11]", "ldar x0, [x11]; ldar x1, [x10]"),
    _arm("WRC data addr", _W_X, "ldr x0, [x10]; str x0, [x11]", f"{_R_Y0}; {_ADDRESS}"),
    _arm("WRC data po", _W_X, "ldr x0, [x10]; str x0, [x11]", f"{_R_Y0}; {_R_X1}", shows="arm64", never="sc tso"),
    _arm("ISA2 dmb.st data addr", f"{_W_X}; dmb ishst; {_W_Y}", "ldr x0, [x11]; str x0, [x12]", "ldr x0, [x12]; eor x5, x0, x0; ldr x1, [x10, x5]"),
    _arm("lost ldxr", _INCREMENT, _INCREMENT),
    _arm("lost ldadd", _LDADD_X, _LDADD_X),
    _arm("lost cas", _CAS_INCREMENT, _CAS_INCREMENT),
    _arm("lost plain", "ldr x5, [x10]; add x5, x5, #0x1; str x5, [x10]", "ldr x5, [x10]; add x5, x5, #0x1; str x5, [x10]", shows="sc tso arm64", never=""),
    _arm("mixed", "strb w20, [x10]; ldrh w0, [x10]", "strb w20, [x10, #0x1]; ldrh w0, [x10]", never="sc arm64"),
]  # fmt: skip

_XW_X, _XW_Y = "mov [r10], r8", "mov [r11], r8"


def _sb(between: str) -> tuple[str, str]:
    return f"{_XW_X}; {between}; mov rax, [r11]", f"{_XW_Y}; {between}; mov rax, [r10]"


X86 = [
    _x86("MP", f"{_XW_X}; {_XW_Y}", "mov rax, [r11]; mov rbx, [r10]"),
    _x86("SB", *_sb("nop"), shows="tso", never="sc"),
    _x86("SB sfence", *_sb("sfence"), shows="tso", never="sc"),
    _x86("SB lfence", *_sb("lfence"), shows="tso", never="sc"),
    _x86("SB mfence", *_sb("mfence")),
    _x86("SB lock add", *_sb("lock add dword ptr [rsp - 0x10], 0x0")),
    _x86("SB cpuid", *_sb("cpuid")),
    _x86("SB xchg", "xchg [r10], r8; mov rax, [r11]", "xchg [r11], r8; mov rax, [r10]"),
    _x86("SB xchg registers", *_sb("xchg rdi, rsi"), shows="tso", never="sc"),
    _x86("SB one mfence", f"{_XW_X}; mfence; mov rax, [r11]", f"{_XW_Y}; mov rax, [r10]", shows="tso", never="sc"),
    _x86("own", f"{_XW_X}; mov rax, [r10]; mov rbx, [r11]", f"{_XW_Y}; mov rax, [r11]; mov rbx, [r10]", shows="tso", never="sc"),
    _x86("mixed", "mov byte ptr [r10], 0x1; movzx eax, word ptr [r10]", "mov byte ptr [r10 + 0x1], 0x1; movzx eax, word ptr [r10]", shows="tso", never="sc"),
    _x86("LB", f"mov rax, [r10]; {_XW_Y}", f"mov rax, [r11]; {_XW_X}"),
    _x86("S", f"mov [r10], r9; {_XW_Y}", f"mov rax, [r11]; {_XW_X}"),
    _x86("R", f"{_XW_X}; {_XW_Y}", "mov [r11], r9; mov rax, [r10]", shows="tso", never="sc"),
    _x86("R mfence", f"{_XW_X}; {_XW_Y}", "mov [r11], r9; mfence; mov rax, [r10]"),
    _x86("2+2W", f"{_XW_X}; mov [r11], r9", f"{_XW_Y}; mov [r10], r9"),
    _x86("CoRR", _XW_X, "mov rax, [r10]; mov rbx, [r10]"),
    _x86("CoWR", f"{_XW_X}; mov rax, [r10]", "nop"),
    _x86("IRIW", _XW_X, _XW_Y, "mov rax, [r10]; mov rbx, [r11]", "mov rax, [r11]; mov rbx, [r10]"),
    _x86("WRC", _XW_X, "mov rax, [r10]; mov [r11], rax", "mov rax, [r11]; mov rbx, [r10]"),
    _x86("lost lock inc", "lock inc qword ptr [r10]", "lock inc qword ptr [r10]"),
    _x86("lost cmpxchg", *["mov rdx, 0x1; .La:; mov rax, [r10]; lea rdx, [rax + 0x1]; lock cmpxchg [r10], rdx; jne .La"] * 2),
    _x86("lost inc", "inc qword ptr [r10]; nop", "inc qword ptr [r10]; nop", shows="tso", never="sc"),
]  # fmt: skip

SHAPES = [*ARM, *X86]
