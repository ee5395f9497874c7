from __future__ import annotations

import pytest

from emu.lab.explorer.replay import End, Replay
from emu.lab.explorer.world import boot, patch_named
from emu.lab.machine import Machine
from emu.machine.operations import Operation, OpKind
from emu.structs import TASK

CHANGES = frozenset({
    OpKind.STORE, OpKind.BARRIER, OpKind.TEXT_STORE, OpKind.SYNC, OpKind.WAIT, OpKind.ATOMIC_ADD,
    OpKind.CACHE_CLEAN, OpKind.CACHE_INVALIDATE, OpKind.FREE,
})  # fmt: skip


def _told(operations: list[Operation]) -> list[tuple[str, str]]:
    """Return what changes something, up to where tasks begin to be told to switch."""
    told = []
    for operation in operations:
        if operation.kind is OpKind.SET_BIT:
            break
        if operation.kind in CHANGES:
            told.append((operation.kind.name, operation.what))
    return told


class TestReplay:
    @pytest.mark.parametrize("arch", ["x86_64", "arm64"])
    def test_plays_what_a_machine_plays(self, arch: str) -> None:
        replay = Replay(boot(arch, 1))
        replay.occupy(running=True)
        with Machine("mini", arch=arch, cpus=2, workers=0, users=1) as machine:
            played: list[Operation] = []
            machine.kernel.installer.on_operation = played.append
            handle = machine.livepatch.enable(patch_named("livepatch-1"))
            machine.run(until=handle.settled)
            patch = next(
                n for n, o in enumerate(played) if o.what == "module livepatch-1" and o.kind is OpKind.ALLOC
            )

        trace = replay.trace(lambda r: r.klp.enable(patch_named("livepatch-1")))

        mine = _told([entry.operation for entry in trace.entries])
        assert mine == _told(played[patch:])
        assert ("BARRIER", "smp_wmb klp_init_transition") in mine

    def test_goes_where_answers_lead(self) -> None:
        world = boot("arm64", 1)
        state = world.users[0].struct + TASK.offset("patch_state")

        def body(replay: Replay) -> None:
            replay.klp.enable(patch_named("livepatch-1"))
            replay.settled()

        ends = []
        for answers in ((), (2**64 - 1, 0, 1), (0,)):
            replay = Replay(world, watched=frozenset({state}), answers=answers)
            replay.occupy(running=True)
            ends.append(replay.trace(body).end)

        assert ends == [End.STUCK, End.WARN, End.WARN]
