"""The patching CPU's side of a livepatch scenario: what it does, and which words it shares with others."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cached_property
from typing import Any

from emu.lab.explorer.calls import SITE
from emu.lab.explorer.installer import TextStore
from emu.lab.explorer.names import Names
from emu.lab.explorer.replay import Replay, Trace
from emu.lab.explorer.scenarios import Livepatching
from emu.lab.explorer.world import FUNCTION, World
from emu.machine.operations import OpKind
from emu.structs import CONSTANTS, KLP_FUNC, KLP_OPS, TASK


class PatchingSide:
    """What the patching CPU of a scenario does.

    Args:
        world: the machine.
        scenario: what happens.
    """

    def __init__(self, world: World, scenario: Livepatching) -> None:
        self.world, self.scenario = world, scenario
        self._traces: dict[tuple[frozenset[str], tuple[int, ...]], Trace] = {}
        self.replays = 0
        self._finished: Replay = self.pristine
        self.site = self.pristine.ftrace.sites.entry_site(world.address(FUNCTION)).ip

    @cached_property
    def watched(self) -> frozenset[int]:
        """Addresses that dispatching CPUs store to and the patching CPU loads."""
        return frozenset(
            task.struct + TASK.offset(member)
            for task in self.world.users
            for member in ("patch_state", "flags")
        )

    @cached_property
    def gates(self) -> dict[int, int]:
        """A task's state and flags are stored to by its CPU only when its flags ask for that."""
        return {
            task.struct + TASK.offset(member): task.struct + TASK.offset("flags")
            for task in self.world.users
            for member in ("patch_state", "flags")
        }

    def _begin(self, answers: tuple[int, ...], dropped: frozenset[str]) -> Replay:
        replay = Replay(self.world, watched=self.watched, answers=answers, dropped=dropped)
        replay.occupy(running=False)
        self.scenario.setup(replay)
        replay.occupy(running=True)
        return replay

    @cached_property
    def pristine(self) -> Replay:
        return self._begin((), frozenset())

    def replayed(self, answers: tuple[int, ...], dropped: frozenset[str] = frozenset()) -> Trace:
        """Return what the patching CPU does under certain answers."""
        key = dropped, answers
        if key not in self._traces:
            for old in [one for one in self._traces if one[0] and one[0] != dropped]:
                del self._traces[old]  # nobody comes back to what was left out before
            self.replays += 1
            self._traces[key] = self._begin(answers, dropped).trace(self.scenario.body)
        return self._traces[key]

    @cached_property
    def whole(self) -> Trace:
        """The installation when nobody is in its way."""
        self._finished = self._begin((), frozenset())
        self._finished.occupy(running=False)
        return self._finished.trace(self.scenario.body)

    @cached_property
    def stored(self) -> dict[int, int]:
        """Sizes of all words that the patching CPU may store to, by address."""
        sizes: dict[int, int] = {}
        kinds = (OpKind.STORE, OpKind.SET_BIT, OpKind.CLEAR_BIT, OpKind.ATOMIC_ADD)
        for trace in (self.whole, self.replayed(())):
            for entry in trace.entries:
                operation = entry.operation
                if operation.kind in kinds:
                    sizes[operation.address] = operation.size or 8
        for address in self.watched:
            sizes[address] = 8
        freed = [
            (entry.operation.address, entry.size)
            for entry in self.whole.entries
            if entry.operation.kind is OpKind.FREE
        ]
        for address, size in freed:
            sizes.update(self._members(address, size))
        return sizes

    def _members(self, address: int, size: int) -> dict[int, int]:
        """Return the words of a freed object that handlers load."""
        replay = self.pristine
        found = {}
        if size == KLP_OPS.size:
            found[address + KLP_OPS.offset("func_stack.next")] = 8
        for func in self._funcs(replay):
            if address <= func < address + size:
                for member in ("new_func", "stack_node.next", "nop", "transition"):
                    found[func + KLP_FUNC.offset(member)] = KLP_FUNC.members[member].size
        return found

    def _funcs(self, replay: Replay) -> list[int]:
        ops = replay.klp.patcher.klp_find_ops(self.world.address(FUNCTION))
        if ops is None:
            return []
        return [
            node - KLP_FUNC.offset("stack_node.next")
            for node in replay.guest.list_nodes(ops.at("func_stack.next"))
        ]

    def shared(self, address: int, size: int) -> tuple[int, int] | None:
        found = self.stored.get(address)
        if found == size:
            return address, size
        if any(at < address + size and address < at + length for at, length in self._near(address)):
            raise AssertionError(f"{address:#x} is accessed in more than one size")
        return None

    def _near(self, address: int) -> list[tuple[int, int]]:
        return [(at, self.stored[at]) for at in range(address - 7, address + 8) if at in self.stored]

    def text(self, trace: Trace, index: int) -> TextStore | None:
        """Return what a text store does to the site.

        Its first one makes it a new instruction, or an int3 that emulates that.
        """
        operation = trace.entries[index].operation
        if operation.address != self.site or operation.what == "first byte":
            return None
        data = operation.data
        if len(data) < self.world.port.site.poke_size:
            later = [e.operation for e in trace.entries[index + 1 :] if e.operation.kind is OpKind.TEXT_STORE]
            tail = next(o for o in later if o.address == self.site + 1)
            first = next(o for o in later if o.address == self.site)
            data = first.data + tail.data
        on = self.world.port.call_target(self.site, data) is not None
        return TextStore(writes=((SITE, int(on)),))

    def lines(self, address: int, size: int) -> tuple[Hashable, ...]:
        return (SITE,) if address <= self.site < address + size else ()

    def syncs(self, trace: Trace, index: int) -> bool:
        """Whether a sync is the first one behind a store to the site."""
        for number in range(index - 1, -1, -1):
            kind = trace.entries[number].operation.kind
            if kind is OpKind.SYNC:
                return False
            if kind is OpKind.TEXT_STORE and self.text(trace, number) is not None:
                return True
        return False

    @cached_property
    def observed(self) -> tuple[int, ...]:
        return (self.world.address("klp_target_state"), *sorted(self.watched))

    def ending(self, memory: Mapping[Hashable, Any]) -> str:
        """Return what is wrong with how words are left: a task that took the flag but not the target."""
        target = memory[self.observed[0]]
        for task in self.world.users:
            flags = memory[task.struct + TASK.offset("flags")]
            state = memory[task.struct + TASK.offset("patch_state")]
            if state != target and not flags >> CONSTANTS["TIF_PATCH_PENDING"] & 1:
                return f"{task.comm} has taken the flag but copied an older target: it is not asked again"
        return ""

    def initial(self) -> dict[Hashable, Any]:
        memory = self.pristine.memory
        initial: dict[Hashable, Any] = {at: memory.load(at, size) for at, size in self.stored.items()}
        size = self.world.port.site.poke_size
        initial[SITE] = int(self.world.port.call_target(self.site, memory.read(self.site, size)) is not None)
        return initial

    @cached_property
    def names(self) -> Names:
        """Names of shared words."""
        assert self.whole.entries, "what it has allocated is known once it has been played"
        return Names(self.world, self._finished.objects)

    @cached_property
    def handler_ops(self) -> int:
        ops = self.pristine.klp.patcher.klp_find_ops(self.world.address(FUNCTION))
        if ops is not None:
            return ops.address
        for entry in self.whole.entries:
            if entry.operation.kind is OpKind.ALLOC and entry.operation.what == "klp_ops":
                return entry.answer
        raise AssertionError("the scenario patches the function")
