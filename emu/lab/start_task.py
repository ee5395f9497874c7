"""Starting the tasks that a scenario declares."""

from __future__ import annotations

from emu.errors import UnknownNameError
from emu.kernel.tasks import Task
from emu.lab.machine import Machine
from emu.lab.task_source import TaskSource, symbol


def start_tasks(machine: Machine, source: TaskSource) -> list[Task]:
    """Start the tasks of one kind, at once.

    Raises:
        UnknownNameError: a function or argument names no symbol that is there now.
        NoSpareTaskError: every task there is room for on that CPU is in use.
    """

    def address(name: str) -> int:
        owners = (None, *(module.name for module in machine.modules.loaded()))
        found = [symbol for owner in owners for symbol in machine.kallsyms.find(owner, name)]
        if not found:
            raise UnknownNameError("symbol", name, sorted(machine.kernel.image.symbols))
        return found[0].address

    calls = [
        (
            address(call.fn),
            tuple(address(symbol(value)) if isinstance(value, str) else value for value in call.args),
        )
        for call in source.calls
    ]
    return [
        machine.kernel.spawn(comm, calls, cpu=cpu, entry=source.entry, forever=source.forever)
        for comm, cpu in source.comms()
    ]
