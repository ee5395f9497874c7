"""Explores livepatch scenarios: the patching CPU against CPUs that call the patched function."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any

from emu.build.memory_map import KERNEL_TEXT
from emu.lab.explorer.calls import SITE, Call, Exit
from emu.lab.explorer.dispatcher import Dispatcher, Item
from emu.lab.explorer.guest_code import Core, GuestCode
from emu.lab.explorer.installer import PRINTK, Installer, TextStore
from emu.lab.explorer.judge import Found
from emu.lab.explorer.names import Names
from emu.lab.explorer.orders import RULES
from emu.lab.explorer.places import Places
from emu.lab.explorer.replay import Replay, Trace
from emu.lab.explorer.scenarios import ORIGINAL, Livepatching
from emu.lab.explorer.splitting import explore_split
from emu.lab.explorer.world import FUNCTION, PATCHES, World
from emu.machine.operations import OpKind
from emu.ordering.models import Model
from emu.ordering.tree import Forest, Program
from emu.structs import CONSTANTS, KLP_FUNC, KLP_OPS, PERCPU, TASK

_ENDS = KERNEL_TEXT.end - 16
"""Where routines of a dispatching CPU return to: nothing is there."""
_FRAME = 0x800
"""Bytes of a task's kernel stack that are in use when it enters the handler. # assumed: any number does"""
_ORDERING = ("smp_wmb klp", "smp_wmb __klp", "rcu_assign_pointer")
_ORDERED_STORES = ("klp_target_state", "klp_func->transition", "task_struct->patch_state")
_WARNS = {
    "__warn_klp_empty_stack": "the func_stack is empty",
    "__warn_klp_idle_state": "the function is in transition and the task has no state",
    "__warn_klp_no_recursion_bit": "there is no recursion bit left",
}
BARRIERS = ("smp_rmb 1", "smp_rmb 2", "klp_update_patch_state dmb")
"""Barriers of the guest's own code that can be left out, by name."""


class LivepatchLaboratory:
    """One scenario on one machine, to be explored under several models and with things left out.

    Args:
        world: the machine.
        scenario: what happens.
    """

    def __init__(self, world: World, scenario: Livepatching) -> None:
        self.world, self.scenario = world, scenario
        self._traces: dict[tuple[frozenset[str], tuple[int, ...]], Trace] = {}
        self.replays = 0
        self._finished: Replay = self._pristine
        self._site = self._pristine.ftrace.sites.entry_site(world.address(FUNCTION)).ip

    @property
    def name(self) -> str:
        """Of the scenario."""
        return self.scenario.name

    @property
    def arch(self) -> str:
        """Port."""
        return self.world.port.name

    def programs(self, cpus: int) -> list[list[tuple[str, ...]]]:
        """Return what the dispatching CPUs do; several do the same."""
        wanted = self.scenario.items if cpus == 1 else self.scenario.several
        return [[names] * cpus for names in wanted]

    # --- the patching CPU ----------------------------------------------------------------------

    @cached_property
    def watched(self) -> frozenset[int]:
        """Addresses that dispatching CPUs store to and the patching CPU loads."""
        return frozenset(
            task.struct + TASK.offset(member)
            for task in self.world.users
            for member in ("patch_state", "flags")
        )

    @cached_property
    def _gates(self) -> dict[int, int]:
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
    def _pristine(self) -> Replay:
        return self._begin((), frozenset())

    def replayed(self, answers: tuple[int, ...], dropped: frozenset[str] = frozenset()) -> Trace:
        """Return what the patching CPU does under certain answers."""
        key = dropped, answers
        if key not in self._traces:
            self.replays += 1
            self._traces[key] = self._begin(answers, dropped).trace(self.scenario.body)
        return self._traces[key]

    @cached_property
    def _whole(self) -> Trace:
        """The installation when nobody is in its way."""
        self._finished = self._begin((), frozenset())
        self._finished.occupy(running=False)
        return self._finished.trace(self.scenario.body)

    @cached_property
    def _stored(self) -> dict[int, int]:
        """Sizes of all words that the patching CPU may store to, by address."""
        sizes: dict[int, int] = {}
        kinds = (OpKind.STORE, OpKind.SET_BIT, OpKind.CLEAR_BIT, OpKind.ATOMIC_ADD)
        for trace in (self._whole, self.replayed(())):
            for entry in trace.entries:
                operation = entry.operation
                if operation.kind in kinds:
                    sizes[operation.address] = operation.size or 8
        for address in self.watched:
            sizes[address] = 8
        freed = [
            (entry.operation.address, entry.size)
            for entry in self._whole.entries
            if entry.operation.kind is OpKind.FREE
        ]
        for address, size in freed:
            sizes.update(self._members(address, size))
        return sizes

    def _members(self, address: int, size: int) -> dict[int, int]:
        """Return the words of a freed object that handlers load."""
        replay = self._pristine
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

    def _shared(self, address: int, size: int) -> tuple[int, int] | None:
        found = self._stored.get(address)
        if found == size:
            return address, size
        if any(at < address + size and address < at + length for at, length in self._near(address)):
            raise AssertionError(f"{address:#x} is accessed in more than one size")
        return None

    def _near(self, address: int) -> list[tuple[int, int]]:
        return [(at, self._stored[at]) for at in range(address - 7, address + 8) if at in self._stored]

    def _text(self, trace: Trace, index: int) -> TextStore | None:
        """Return what a text store does to the site.

        Its first one makes it a new instruction, or an int3 that emulates that.
        """
        operation = trace.entries[index].operation
        if operation.address != self._site or operation.what == "first byte":
            return None
        data = operation.data
        if len(data) < self.world.port.site.poke_size:
            later = [e.operation for e in trace.entries[index + 1 :] if e.operation.kind is OpKind.TEXT_STORE]
            tail = next(o for o in later if o.address == self._site + 1)
            first = next(o for o in later if o.address == self._site)
            data = first.data + tail.data
        on = self.world.port.call_target(self._site, data) is not None
        return TextStore(writes=((SITE, int(on)),))

    def _lines(self, address: int, size: int) -> tuple[Hashable, ...]:
        return (SITE,) if address <= self._site < address + size else ()

    def _syncs(self, trace: Trace, index: int) -> bool:
        """Whether a sync is the first one behind a store to the site."""
        for number in range(index - 1, -1, -1):
            kind = trace.entries[number].operation.kind
            if kind is OpKind.SYNC:
                return False
            if kind is OpKind.TEXT_STORE and self._text(trace, number) is not None:
                return True
        return False

    # --- the dispatching CPUs ------------------------------------------------------------------

    @cached_property
    def _handler_ops(self) -> int:
        ops = self._pristine.klp.patcher.klp_find_ops(self.world.address(FUNCTION))
        if ops is not None:
            return ops.address
        for entry in self._whole.entries:
            if entry.operation.kind is OpKind.ALLOC and entry.operation.what == "klp_ops":
                return entry.answer
        raise AssertionError("the scenario patches the function")

    def _dropped_code(self, dropped: frozenset[str]) -> frozenset[int]:
        return frozenset(address for name, address in self.barriers.items() if name in dropped)

    @cached_property
    def barriers(self) -> dict[str, int]:
        """Addresses of the barriers in the guest's code that have names; x86-64 has none."""
        code = self._code(frozenset())
        found: dict[str, int] = {}
        for routine, names in (
            ("klp_ftrace_handler", BARRIERS[:2]),
            ("klp_update_patch_state", BARRIERS[2:]),
        ):
            start = self.world.address(routine)
            size = self.world.image.symbols[routine].size
            at, here = start, []
            while at < start + size:
                flow = code.flow(at)
                if flow.instruction.mnemonic == "dmb":
                    here.append(at)
                at += flow.instruction.size
            found.update(zip(names, here, strict=False))
        return found

    def steps(self) -> list[str]:
        """Return what can be left out: barriers, syncs, grace periods, cache maintenance, ordered stores."""
        found: dict[str, None] = dict.fromkeys(BARRIERS[:2])
        for trace in (self.replayed(()), self._whole):
            for number, entry in enumerate(trace.entries):
                operation = entry.operation
                kind = operation.kind
                if (
                    (kind is OpKind.BARRIER and operation.what.startswith(_ORDERING))
                    or kind is OpKind.WAIT
                    or (kind is OpKind.SYNC and self._syncs(trace, number))
                    or (kind is OpKind.STORE and operation.what in _ORDERED_STORES)
                ):
                    found[operation.what] = None
        return [*found, *BARRIERS[2:], PRINTK]

    def _code(self, dropped: frozenset[int]) -> GuestCode:
        world = self.world
        warns = {
            symbol.address: name for name, symbol in world.image.symbols.items() if name.startswith("__warn_")
        }
        return GuestCode(
            world.port,
            world.memory,
            self._pristine.memory.read,
            shared=self._shared,
            ends=_ENDS,
            warns=frozenset(warns),
            dropped=dropped,
        )

    def _core(self, code: GuestCode, cpu: int, routine: str, args: Sequence[int], frame: int = 0) -> Core:
        world = self.world
        task = world.users[cpu - 1]
        memory: dict[int, int] = {}

        def put(address: int, value: int) -> None:
            memory.update({address + i: value >> 8 * i & 0xFF for i in range(8)})

        registers = world.port.registers
        stack = task.kernel_stack[1] - _FRAME
        values = dict(zip(registers.args, args, strict=False))
        values |= {registers.sp: stack, registers.pc: world.address(routine)}
        if registers.link:
            values[registers.link] = _ENDS
        else:
            put(stack, _ENDS)
        put(world.percpu[cpu] + PERCPU.offset("current_task"), task.struct)
        put(world.percpu[cpu] + PERCPU.offset("preempt_count"), 0)
        put(task.struct + TASK.offset("trace_recursion"), 0)
        if frame:
            put(frame, self._site + world.port.site.poke_size)
        return code.core(values, percpu=world.percpu[cpu], memory=memory)

    def _items(self, code: GuestCode, cpu: int, names: Sequence[str]) -> list[Item]:
        world = self.world
        task = world.users[cpu - 1]
        regs = task.kernel_stack[1] - _FRAME + 0x100
        pc = regs + world.port.pt_regs.offset("ip" if "ip" in world.port.pt_regs.members else "pc")
        fops = self._handler_ops + KLP_OPS.offset("fops")
        handler = self._core(code, cpu, "klp_ftrace_handler", (self._site, 0, fops, regs), frame=pc)
        routine = self._core(code, cpu, "klp_update_patch_state", (task.struct,))
        untouched = self._site + world.port.site.poke_size
        replacements = {
            symbol.address: patch
            for patch in PATCHES
            for symbol in world.patch_symbols[patch]
            if symbol.name == f"lp_{FUNCTION}"
        }
        known = frozenset(self.scenario.versions.values())

        def target(core: Core) -> str:
            at = code.private(core, pc)
            if at == untouched or at == world.address(FUNCTION):
                return ORIGINAL
            return replacements.get(at, f"{at:#x}")

        call = Call(code=code, handler=handler, target=target, versions=self.scenario.versions, known=known)
        leave = Exit(
            routine=routine, flags=task.struct + TASK.offset("flags"),
            patch_state=task.struct + TASK.offset("patch_state"),
        )  # fmt: skip
        known_items: dict[str, Item] = {"call": call, "exit": leave}
        return [known_items[name] for name in names]

    # --- together ------------------------------------------------------------------------------

    def explore(
        self, model: Model, items: Sequence[Sequence[str]], *, dropped: frozenset[str] = frozenset(),
        max_seconds: float | None = None, max_executions: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Found:  # fmt: skip
        """Return every outcome.

        Args:
            model: of memory.
            items: what each dispatching CPU does.
            dropped: steps and barriers that are left out.
            max_seconds, max_executions: budgets.
            progress: see `emu.ordering.explore.explore`.
        """
        places = Places()
        code = self._code(self._dropped_code(dropped))
        relevant: frozenset[Hashable] | None = None
        for last in (False, True):
            programs: list[Any] = [
                Installer(
                    model, lambda answers: self.replayed(answers, dropped), cpus=range(1, len(items) + 1),
                    relevant=relevant, text=self._text, lines=self._lines, syncs=self._syncs, gates=self._gates,
                    source=self.world.address("klp_target_state"),
                    initial=self._initial(), dropped=dropped, places=places,
                ),
                *(
                    Dispatcher(
                        model, cpu, code, self._items(code, cpu, names), expected=self.scenario.side, places=places,
                        name=self.code_name, location=self.names.location, warned=self._warned,
                    )
                    for cpu, names in enumerate(items, 1)
                ),
            ]  # fmt: skip
            if last:
                break
            Forest(programs, self._initial())
            touched = {place for program in programs[1:] for place in program.touched}
            relevant = frozenset(touched | set(self._observed))
        whole: Sequence[Program] = programs
        found = explore_split(
            whole, self._initial(), rules=RULES[model], observed=self._observed, max_seconds=max_seconds,
            max_executions=max_executions, progress=progress,
        )  # fmt: skip
        return Found(
            exploration=found, places=places, name=self.names.location, value=self.names.value,
            ending=self._ending,
        )  # fmt: skip

    @cached_property
    def _observed(self) -> tuple[int, ...]:
        return (self.world.address("klp_target_state"), *sorted(self.watched))

    def _ending(self, memory: Mapping[Hashable, Any]) -> str:
        """Return what is wrong with how words are left: a task that took the flag but not the target."""
        target = memory[self._observed[0]]
        for task in self.world.users:
            flags = memory[task.struct + TASK.offset("flags")]
            state = memory[task.struct + TASK.offset("patch_state")]
            if state != target and not flags >> CONSTANTS["TIF_PATCH_PENDING"] & 1:
                return f"{task.comm} has taken the flag but copied an older target: it is not asked again"
        return ""

    def _initial(self) -> dict[Hashable, Any]:
        memory = self._pristine.memory
        initial: dict[Hashable, Any] = {at: memory.load(at, size) for at, size in self._stored.items()}
        size = self.world.port.site.poke_size
        initial[SITE] = int(
            self.world.port.call_target(self._site, memory.read(self._site, size)) is not None
        )
        return initial

    def _warned(self, pc: int) -> str:
        """Return what a WARN in the handler says."""
        names = [name for name, symbol in self.world.image.symbols.items() if symbol.address == pc]
        return f"WARN in the handler: {next((_WARNS[name] for name in names if name in _WARNS), self.code_name(pc))}"

    def code_name(self, pc: int) -> str:
        """Return where in the guest's code an address is."""
        place = self._pristine.ftrace.kallsyms.containing(pc)
        return f"{place.symbol.name}+{place.offset:#x}" if place is not None else f"{pc:#x}"

    @cached_property
    def names(self) -> Names:
        """Names of shared words."""
        return Names(self.world, self._finished.objects)
