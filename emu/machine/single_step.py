"""One instruction at a time on a CPU of its own, with every value that it loads chosen by the caller.

The CPU keeps no memory: what an instruction loads is asked for, what it stores is told. So a state
is its registers, and any number of states can be gone on from, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unicorn import arm64_const, unicorn_const, x86_const
from unicorn.unicorn_py3.unicorn import UcError

from emu.arch.port import Port
from emu.build.memory_map import DATA_BASE, TEXT_WINDOWS
from emu.machine.memory import Memory
from emu.machine.registers import new_cpu, register_number

_ANYWHERE = (1 << 64) - 1
_FSGSBASE = 1 << 16
"""CR4.FSGSBASE: RDGSBASE is no undefined instruction. Source: Intel SDM vol. 3A, 2.5."""
_OSFXSR = 1 << 9
_PAE = 1 << 5
_ALL = unicorn_const.UC_PROT_READ | unicorn_const.UC_PROT_WRITE


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """What became of one instruction.

    Args:
        registers: the state behind it; None: it was not executed.
        stores: (address, size, value), in order.
        wanted: (address, size) of a load that ``load`` had no value for.
        fault: it touched memory that is not there, or is no instruction.
    """

    registers: Any
    stores: tuple[tuple[int, int, int], ...] = ()
    wanted: tuple[int, int] | None = None
    fault: str = ""


class SingleStep:
    """A CPU that executes single instructions of a kernel's text.

    Args:
        port: its architecture.
        memory: whose text it executes, as it is now, and how much data there is.
    """

    def __init__(self, port: Port, memory: Memory) -> None:
        self._uc = uc = new_cpu(port)
        self._port, self._end = port, memory.stacks.end
        for window in TEXT_WINDOWS:
            uc.mem_map(window.base, window.size)
            uc.mem_write(window.base, memory.read(window.base, window.size))
        uc.mem_map(DATA_BASE, self._end - DATA_BASE, _ALL)
        uc.hook_add(unicorn_const.UC_HOOK_MEM_READ, self._on_read)
        uc.hook_add(unicorn_const.UC_HOOK_MEM_WRITE, self._on_write)
        uc.hook_add(unicorn_const.UC_HOOK_INTR, self._on_interrupt)
        if port.name == "x86_64":
            cr4 = uc.reg_read(x86_const.UC_X86_REG_CR4)
            uc.reg_write(x86_const.UC_X86_REG_CR4, cr4 | _FSGSBASE | _OSFXSR | _PAE)
        self._pc = register_number(port, port.registers.pc)
        self._first = uc.context_save()
        self._load: Callable[[int, int], bytes | None] = lambda _address, _size: None
        self._wanted: tuple[int, int] | None = None
        self._stores: list[tuple[int, int, int]] = []
        self._trap = False
        self.steps = 0

    def state(self, values: Mapping[str, int], *, percpu: int) -> Any:
        """Return a state with these registers, by the port's names, and all others 0.

        Args:
            values: of registers.
            percpu: address of the per-CPU area.
        """
        uc = self._uc
        uc.context_restore(self._first)
        for name in self._port.registers.all:
            if name in (self._port.registers.pc, "eflags", "pstate", "nzcv"):
                continue
            uc.reg_write(register_number(self._port, name), 0)
        if self._port.name == "x86_64":
            uc.reg_write(x86_const.UC_X86_REG_GS_BASE, percpu)
        else:
            uc.reg_write(arm64_const.UC_ARM64_REG_TPIDR_EL1, percpu)
        for name, value in values.items():
            uc.reg_write(register_number(self._port, name), value)
        return uc.context_save()

    def register(self, state: Any, name: str) -> int:
        """Return a register of a state."""
        self._uc.context_restore(state)
        return int(self._uc.reg_read(register_number(self._port, name)))

    def moved(self, state: Any, pc: int) -> Any:
        """Return a state with another program counter."""
        self._uc.context_restore(state)
        self._uc.reg_write(self._pc, pc)
        return self._uc.context_save()

    def step(self, state: Any, load: Callable[[int, int], bytes | None]) -> Stepped:
        """Execute the instruction at a state's program counter.

        Args:
            state: before it.
            load: (address, size) -> what stands there, or None: then nothing is executed.
        """
        self._load, self._wanted, self._stores, self._trap = load, None, [], False
        self.steps += 1
        self._uc.context_restore(state)
        return self._stepped(self._execute())

    def _execute(self) -> str:
        """Execute one instruction; return what the engine says went wrong."""
        try:
            self._uc.emu_start(self._uc.reg_read(self._pc), _ANYWHERE, 0, 1)
        except UcError as error:
            return str(error)
        return ""

    def _stepped(self, fault: str) -> Stepped:
        if self._wanted is not None:
            return Stepped(registers=None, wanted=self._wanted)
        if fault or self._trap:
            return Stepped(registers=None, fault=fault or "exception")
        return Stepped(registers=self._uc.context_save(), stores=tuple(self._stores))

    def _on_read(self, uc: Any, _access: int, address: int, size: int, _value: int, _data: Any) -> None:
        if self._wanted is not None:
            return
        content = self._load(address, size)
        if content is None:
            self._wanted = address, size
            uc.emu_stop()
        else:
            uc.mem_write(address, content)

    def _on_write(self, _uc: Any, _access: int, address: int, size: int, value: int, _data: Any) -> None:
        self._stores.append((address, size, value & (1 << 8 * size) - 1))

    def _on_interrupt(self, uc: Any, _number: int, _data: Any) -> None:
        self._trap = True
        uc.emu_stop()
