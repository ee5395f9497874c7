"""Incidents that the explorer shows: what Linux had wrong, or takes care not to have, in memory order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from emu.arch.tracing import Poke
from emu.errors import EmuError
from emu.ftrace.text_poke import TextPoke
from emu.lab.explorer.pokes import POKING, Piece, Poking, bytes_of, pieces_of, poke_site
from emu.lab.explorer.replay import Replay
from emu.lab.explorer.requests import STOP_MACHINE
from emu.lab.explorer.scenarios import LIVEPATCHING, Livepatching
from emu.lab.explorer.world import World
from emu.lab.incidents import PREFIX
from emu.machine.operations import Barrier

_TWO_NOPS = bytes.fromhex("66900f1f00")
"""A NOP of two bytes and one of three. Source: Intel SDM vol. 2B, NOP."""
_MOV_X9_LR = bytes.fromhex("e9031eaa")
_PLT = 0x40
"""Bytes from the site to the PLT entry: on another cache line. # assumed"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One of them.

    Args:
        name, description: for people.
        commit: of Linux, that mended or that names it.
        ports: where there is such a thing.
        broken, fixed: what is explored.
        dropped: what the broken one leaves out.
        cpus: dispatching CPUs.
    """

    name: str
    description: str
    commit: str
    ports: tuple[str, ...]
    broken: Poking | Livepatching
    fixed: Poking | Livepatching
    dropped: tuple[str, ...] = ()


# --- pokes ----------------------------------------------------------------------------------------


def _stop_machine(replay: Replay, pieces: Sequence[Piece]) -> None:
    """Rewrite a site as it was done before breakpoints: every other CPU is held meanwhile."""
    guest = replay.guest
    guest.sync_cores(STOP_MACHINE)
    guest.text_store(pieces[0].address, bytes_of(pieces, new=True), "code")
    guest.sync_cores("resume")


def _call(world: World, at: int, name: str = "ftrace_caller") -> bytes:
    return world.port.encode_call(at, world.address(name))


def _direct_store(replay: Replay, pieces: Sequence[Piece]) -> None:
    replay.guest.text_store(pieces[0].address, bytes_of(pieces, new=True), "code")
    replay.guest.sync_cores("sync after code")


def _retarget(world: World, site: int) -> tuple[Piece, ...]:
    return pieces_of(
        site, _call(world, site, "ftrace_stub"), _call(world, site, "ftrace_ops_list_func"), (1, 1, 3)
    )


def _through_plt(world: World, site: int) -> tuple[Piece, ...]:
    plt_entry = world.port.tracing.plt_entry
    assert plt_entry is not None, "arm64 has PLT entries"
    entry = plt_entry(world.address("ftrace_caller"))[:4]
    call = pieces_of(site, world.port.site.nop, world.port.encode_call(site, site + _PLT), (4,), (0,))
    return call + pieces_of(site + _PLT, world.port.trap, entry, (4,), (1,))


def _plt_without_maintenance(replay: Replay, pieces: Sequence[Piece]) -> None:
    replay.guest.text_store(pieces[1].address, bytes_of(pieces[1:], new=True), "plt entry")
    replay.guest.barrier(Barrier.WMB, "smp_wmb plt")
    poke_site(replay, pieces[:1])


def _plt_with_maintenance(replay: Replay, pieces: Sequence[Piece]) -> None:
    entry = Poke(address=pieces[1].address, data=bytes_of(pieces[1:], new=True))
    TextPoke(replay.guest, replay.ftrace.kallsyms).early([entry])
    poke_site(replay, pieces[:1])


def _pair(world: World, site: int, *, first: bytes) -> tuple[Piece, ...]:
    nop = world.port.site.nop
    return pieces_of(site - 4, first + nop, _MOV_X9_LR + _call(world, site), (4, 4), (0, 1))


def _poke_both(replay: Replay, pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        if piece.old != piece.new:
            poke_site(replay, [piece])


def _when(wrong: tuple[str, ...], what: str) -> Callable[[tuple[str, ...]], str]:
    return lambda parts: what if parts == wrong else ""


_X86, _ARM = ("x86_64",), ("arm64",)


def _incidents() -> list[Incident]:
    inside = "it resumes behind the first NOP, inside the new instruction"
    unprepared = "BL runs where MOV X9, LR has not: the trampoline has no return address"
    missing = "it jumps through a PLT entry that it has not seen written"
    found = [
        Incident(
            name="two-nop-site",
            commit="an x86 site of two NOPs, 2008",
            description="a CPU is stopped between the two NOPs of a site and resumes inside the new call",
            ports=_X86,
            broken=Poking(
                name="two-nop-site",
                description="two NOPs become a call under stop_machine",
                ports=_X86,
                pieces=lambda world, site: pieces_of(
                    site, _TWO_NOPS, _call(world, site), (1, 1, 3), (0, 0, 1)
                ),
                body=_stop_machine,
                wrong=_when(("old", "new"), inside),
            ),
            fixed=Poking(
                name="two-nop-site/fixed",
                description="one NOP becomes a call under stop_machine",
                ports=_X86,
                pieces=lambda world, site: pieces_of(
                    site, world.port.site.nop, _call(world, site), (1, 1, 3)
                ),
                body=_stop_machine,
            ),
        ),
        Incident(
            name="direct-store",
            commit="8a4d0a687a59",
            description="a trampoline's call is stored over while a CPU runs it",
            ports=_X86,
            broken=Poking(
                name="direct-store",
                description="a call gets another target by one plain store",
                ports=_X86,
                pieces=_retarget,
                body=_direct_store,
            ),
            fixed=Poking(
                name="direct-store/fixed",
                description="a call gets another target under a breakpoint",
                ports=_X86,
                pieces=_retarget,
                body=poke_site,
            ),
        ),
        Incident(
            name="int3-no-sync",
            commit="08d636b6d4fb",
            description="the tail is stored before every CPU is known to see the breakpoint",
            ports=_X86,
            broken=POKING["poke-on"],
            fixed=POKING["poke-on"],
            dropped=("sync after int3",),
        ),
        Incident(
            name="plt-data-barrier",
            commit="b6143d10d23e",
            description="a PLT entry is written with a data barrier where instruction caches must be told",
            ports=_ARM,
            broken=Poking(
                name="plt-data-barrier",
                description="a PLT entry is written, smp_wmb, then a BL leads there",
                ports=_ARM,
                pieces=_through_plt,
                body=_plt_without_maintenance,
                wrong=_when(("new", "old"), missing),
            ),
            fixed=Poking(
                name="plt-data-barrier/fixed",
                description="the same with DC CVAU, DSB, IC IVAU, DSB, ISB",
                ports=_ARM,
                pieces=_through_plt,
                body=_plt_with_maintenance,
                wrong=_when(("new", "old"), missing),
            ),
        ),
        Incident(
            name="site-pair",
            commit="b2137c3b6d7a (riscv)",
            description="both words of a site are switched on: a CPU stopped between them runs one old word",
            ports=_ARM,
            broken=Poking(
                name="site-pair",
                description="NOP, NOP becomes MOV X9, LR and BL",
                ports=_ARM,
                pieces=lambda world, site: _pair(world, site, first=world.port.site.nop),
                body=_poke_both,
                wrong=_when(("old", "new"), unprepared),
            ),
            fixed=Poking(
                name="site-pair/fixed",
                description="MOV X9, LR is there since boot; NOP becomes BL",
                ports=_ARM,
                pieces=lambda world, site: _pair(world, site, first=_MOV_X9_LR),
                body=_poke_both,
            ),
        ),
    ]
    for name, scenario, dropped, what in (
        (
            "missing-rmb-2",
            "disable",
            ("smp_rmb 2",),
            "func->transition and task->patch_state are read in any order",
        ),
        (
            "missing-rmb-1-2",
            "stacked-enable",
            ("smp_rmb 1", "smp_rmb 2"),
            "neither smp_rmb is in klp_ftrace_handler: a new func is met with an old task->patch_state",
        ),
        (
            "missing-wmb-init",
            "disable",
            ("smp_wmb klp_init_transition",),
            "func->transition may be seen before the tasks' states",
        ),
        (
            "missing-wmb-publish",
            "stacked-enable",
            ("smp_wmb __klp_enable_patch", "rcu_assign_pointer"),
            "a func may be seen on the stack before its func->transition: either write barrier would do",
        ),
        (
            "missing-wmb-reverse",
            "reverse",
            ("smp_wmb klp_reverse_transition", "printk"),
            "TIF_PATCH_PENDING may be seen before the new klp_target_state; a log line would do, too",
        ),
    ):
        found.append(
            Incident(
                name=name,
                description=what,
                commit="Documentation/livepatch, barriers of patch.c",
                ports=_ARM,
                broken=LIVEPATCHING[scenario],
                fixed=LIVEPATCHING[scenario],
                dropped=dropped,
            )
        )
    return found


INCIDENTS: Mapping[str, Incident] = MappingProxyType({incident.name: incident for incident in _incidents()})
"""By name."""


def refuse_to_run(name: str) -> None:
    """Raise if ``incident:NAME`` is one that is explored, not run.

    Raises:
        EmuError: it says how to explore it.
    """
    incident = name.removeprefix(PREFIX).partition("/")[0]
    if name.startswith(PREFIX) and incident in INCIDENTS:
        raise EmuError(f"incident {incident!r} is explored, not run: klpemu explore {name}")
