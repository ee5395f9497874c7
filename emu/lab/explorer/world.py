"""The booted machine that explorations begin with: its memory, its tasks, where its code is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emu.arch.port import Port
from emu.build.image import Image
from emu.kernel.kallsyms import Kallsyms, Symbol
from emu.kernel.tasks import Task
from emu.lab.machine import Machine
from emu.livepatch import Func, Object, Patch
from emu.machine.memory import Memory

FUNCTION, OTHER = "mini_leaf", "mini_nested"
"""The function that is patched, and one that another patch is for."""
PATCHES = {
    "livepatch-1": (FUNCTION,),
    "livepatch-2": (FUNCTION,),
    "livepatch-other": (OTHER,),
}
"""Patches by name: the functions that they replace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A machine that stands still.

    Args:
        port, image: of it.
        memory: after boot; never changed.
        tasks: all of them.
        users: the task that each dispatching CPU runs, by CPU from 1.
        percpu: address of each CPU's per-CPU area.
        locations: the ``__mcount_loc`` table.
        kernel_symbols: of the kernel.
        patch_symbols: of the patches' code, by patch.
    """

    port: Port
    image: Image
    memory: Memory
    tasks: Sequence[Task]
    users: Sequence[Task]
    percpu: Sequence[int]
    locations: Sequence[int]
    kernel_symbols: Sequence[Symbol]
    patch_symbols: dict[str, Sequence[Symbol]]

    def kallsyms(self) -> Kallsyms:
        """Return the symbols of the kernel and of all patches' code."""
        table = Kallsyms()
        table.add(None, self.kernel_symbols)
        for name, symbols in self.patch_symbols.items():
            table.add(name, symbols)
        return table

    def address(self, name: str) -> int:
        """Return the address of a symbol of the kernel."""
        return self.image.address(name)


def patch_named(name: str, *, replace: bool = False) -> Patch:
    """Return the declaration of one of `PATCHES`."""
    funcs = tuple(Func(function, f"lp_{function}") for function in PATCHES[name])
    return Patch(name=name, objects=(Object(None, funcs),), replace=replace)


def boot(arch: str, dispatchers: int) -> World:
    """Boot a machine, note how it is, and learn where it puts the patches' code.

    Args:
        arch: port.
        dispatchers: CPUs besides the patching one, each of which runs one user task.
    """
    with Machine("mini", arch=arch, cpus=dispatchers + 1, workers=0, users=1) as machine:
        kernel = machine.kernel
        memory = Memory(tasks=len(kernel.tasks))
        memory.data[:], memory.text[:] = kernel.engine.memory.data, kernel.engine.memory.text
        for address, code in kernel.image.text:  # ftrace_init begins with what the compiler left at sites
            memory.write(address, code)
        symbols = tuple(machine.kallsyms.symbols(None))
        for name in PATCHES:
            handle = machine.livepatch.enable(patch_named(name))
            machine.run(until=handle.settled)
            assert handle.result == 0, f"{name} is a patch of the image's own functions"
        return World(
            port=machine.port,
            image=kernel.image,
            memory=memory,
            tasks=tuple(kernel.tasks),
            users=tuple(task for task in kernel.tasks if task.kind == "user" and task.cpu > 0),
            percpu=tuple(kernel.percpu),
            locations=tuple(kernel.mcount_locations(kernel.image)),
            kernel_symbols=symbols,
            patch_symbols={name: tuple(machine.kallsyms.symbols(name)) for name in PATCHES},
        )
