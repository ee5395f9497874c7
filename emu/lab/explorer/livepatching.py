"""Explores livepatch scenarios: the patching CPU against CPUs that call the patched function."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property

from emu.build.memory_map import KERNEL_TEXT
from emu.lab.explorer.calls import Call, Exit
from emu.lab.explorer.dispatcher import Dispatcher, Item
from emu.lab.explorer.guest_code import Core, GuestCode
from emu.lab.explorer.installer import PRINTK, Installer
from emu.lab.explorer.judge import Found
from emu.lab.explorer.orders import RULES
from emu.lab.explorer.patching_side import PatchingSide
from emu.lab.explorer.places import Places
from emu.lab.explorer.reach import reach
from emu.lab.explorer.scenarios import ORIGINAL
from emu.lab.explorer.splitting import explore_split
from emu.lab.explorer.world import FUNCTION, PATCHES
from emu.machine.operations import OpKind
from emu.ordering.budget import Budget
from emu.ordering.explore import nothing_found
from emu.ordering.memory_use import MemoryBudgetError
from emu.ordering.models import Model
from emu.structs import KLP_OPS, PERCPU, TASK

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


class LivepatchLaboratory(PatchingSide):
    """One scenario on one machine, to be explored under several models and with things left out."""

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
        return [[names] * cpus for names in self.scenario.items]

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
        for trace in (self.replayed(()), self.whole):
            for number, entry in enumerate(trace.entries):
                operation = entry.operation
                kind = operation.kind
                if (
                    (kind is OpKind.BARRIER and operation.what.startswith(_ORDERING))
                    or kind is OpKind.WAIT
                    or (kind is OpKind.SYNC and self.syncs(trace, number))
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
            self.pristine.memory.read,
            shared=self.shared,
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
            put(frame, self.site + world.port.site.poke_size)
        return code.core(values, percpu=world.percpu[cpu], memory=memory)

    def _items(self, code: GuestCode, cpu: int, names: Sequence[str]) -> list[Item]:
        world = self.world
        task = world.users[cpu - 1]
        regs = task.kernel_stack[1] - _FRAME + 0x100
        pc = regs + world.port.pt_regs.offset("ip" if "ip" in world.port.pt_regs.members else "pc")
        fops = self.handler_ops + KLP_OPS.offset("fops")
        handler = self._core(code, cpu, "klp_ftrace_handler", (self.site, 0, fops, regs), frame=pc)
        routine = self._core(code, cpu, "klp_update_patch_state", (task.struct,))
        untouched = self.site + world.port.site.poke_size
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
            routine=routine,
            flags=task.struct + TASK.offset("flags"),
            patch_state=task.struct + TASK.offset("patch_state"),
        )
        known_items: dict[str, Item] = {"call": call, "exit": leave}
        return [known_items[name] for name in names]

    # --- together ------------------------------------------------------------------------------

    def explore(
        self,
        model: Model,
        items: Sequence[Sequence[str]],
        *,
        dropped: frozenset[str] = frozenset(),
        budget: Budget,
    ) -> Found:
        """Return every outcome.

        Args:
            model: of memory.
            items: what each dispatching CPU does.
            dropped: steps and barriers that are left out.
            budget: what it may take.
        """
        places = Places()
        code = self._code(self._dropped_code(dropped))
        dispatchers = [
            Dispatcher(
                model,
                cpu,
                code,
                self._items(code, cpu, names),
                expected=self.scenario.side,
                places=places,
                name=self.code_name,
                location=self.names.location,
                warned=self._warned,
            )
            for cpu, names in enumerate(items, 1)
        ]

        def installer(relevant: frozenset[Hashable] | None) -> Installer:
            return Installer(
                model,
                lambda answers: self.replayed(answers, dropped),
                cpus=range(1, len(items) + 1),
                relevant=relevant,
                text=self.text,
                lines=self.lines,
                syncs=self.syncs,
                gates=self.gates,
                source=self.world.address("klp_target_state"),
                initial=self.initial(),
                dropped=dropped,
                places=places,
            )

        try:
            reach([installer(None), *dispatchers], self.initial(), memory=budget.memory)
            touched = {place for program in dispatchers for place in program.touched}
            found = explore_split(
                installer(frozenset(touched | set(self.observed))),
                dispatchers,
                self.initial(),
                rules=RULES[model],
                observed=self.observed,
                budget=budget,
            )
        except (MemoryBudgetError, MemoryError):
            found = nothing_found("memory")
        return Found(
            exploration=found,
            places=places,
            name=self.names.location,
            value=self.names.value,
            ending=self.ending,
        )

    def _warned(self, pc: int) -> str:
        """Return what a WARN in the handler says."""
        names = [name for name, symbol in self.world.image.symbols.items() if symbol.address == pc]
        told = next((_WARNS[name] for name in names if name in _WARNS), self.code_name(pc))
        return f"WARN in the handler: {told}"

    def code_name(self, pc: int) -> str:
        """Return where in the guest's code an address is."""
        place = self.pristine.ftrace.kallsyms.containing(pc)
        return f"{place.symbol.name}+{place.offset:#x}" if place is not None else f"{pc:#x}"
