"""Making a CPU: a Unicorn instance over the machine's memory, with the hooks that its kind of run needs."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from unicorn import arm64_const, unicorn_const, x86_const
from unicorn.unicorn_py3.unicorn import Uc, UcError, uclib

from emu.arch.port import Port
from emu.build.memory_map import (
    DATA_BASE,
    KERNEL_STACK,
    SLOT_SIZE,
    STACKS_BASE,
    TEXT_WINDOWS,
    USER_STACK,
)  # fmt: skip
from emu.machine import state as s
from emu.machine.hooks import on_block, on_fault, on_instruction, on_interrupt, on_page, on_syscall
from emu.machine.ordering import SHARED
from emu.machine.ordering_hooks import ordering_hooks
from emu.machine.program_counter import synced_flag
from emu.machine.registers import engine_cpu, new_cpu, register_number
from emu.machine.state import Ordering
from emu.machine.timed import on_access, on_timed_instruction
from emu.units import PAGE_SIZE

TCG_BUFFER = 16 << 20
"""Bytes of virtual space for translated code, per CPU (Unicorn's default is 1 GiB)."""
_READ, _WRITE, _EXECUTE = (
    unicorn_const.UC_PROT_READ,
    unicorn_const.UC_PROT_WRITE,
    unicorn_const.UC_PROT_EXEC,
)
_ACCESSES = unicorn_const.UC_HOOK_MEM_READ | unicorn_const.UC_HOOK_MEM_WRITE
_ACCESS_FAULTS = (
    unicorn_const.UC_HOOK_MEM_READ_UNMAPPED
    | unicorn_const.UC_HOOK_MEM_WRITE_UNMAPPED
    | unicorn_const.UC_HOOK_MEM_FETCH_UNMAPPED
    | unicorn_const.UC_HOOK_MEM_READ_PROT
    | unicorn_const.UC_HOOK_MEM_WRITE_PROT
    | unicorn_const.UC_HOOK_MEM_FETCH_PROT
)
_EVERYWHERE = 1, 0
"""Begin and end of a hook without bounds, as Unicorn has it."""

_GDT = (0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF)
"""Null, 64-bit code, data. Source: Intel SDM vol. 3A, 3.4.5."""

_SCR_EL3_RW = (1, 1, 3, 6, 0, 0x400)
"""Lower exception levels are AArch64: without it each ERET counts as an illegal return and sets PSTATE.IL.

(CRn, CRm, op0, op1, op2, value). Source: Arm ARM DDI 0487, D19.2, SCR_EL3.RW.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A C callback that Unicorn is to call.

    Args:
        kind: ``UC_HOOK_*`` bits.
        function: has the ``address``.
        where: first and last guest address that it is called for.
        extra: what ``uc_hook_add`` takes beyond that.
    """

    kind: int
    function: Any
    where: tuple[int, int] = _EVERYWHERE
    extra: tuple[ctypes.c_int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuMaker:
    """What the CPUs of one machine have in common.

    Args:
        port: their architecture.
        ctl: the machine's control block, filled.
        data: its data memory, uint8, page-aligned.
        ordering: which outcomes of loads and stores a run can show.
        timed: every instruction and access goes to a cycle model.
        has_views: every instruction and access goes to memory ordering.
    """

    port: Port
    ctl: NDArray[np.int64]
    data: NDArray[np.uint8]
    ordering: Ordering
    timed: bool
    has_views: bool

    def make(
        self, index: int, block: NDArray[np.int64], *, text: NDArray[np.uint8], pages: NDArray[np.uint8]
    ) -> Uc:
        """Return CPU ``index`` and fill its block.

        Args:
            block: shape ``(CPU_WORDS,)``.
            text: its private copy of all text.
            pages: a byte per data page: 1 = it may access it.

        Raises:
            UcError: Unicorn refuses a hook.
        """
        uc = new_cpu(self.port)
        uc.ctl_set_tcg_buffer_size(TCG_BUFFER)
        uc.ctl_set_tlb_mode(unicorn_const.UC_TLB_VIRTUAL)
        uc.ctl_exits_enabled(True)  # and there are none: nothing ends a run at an address
        address = text.ctypes.data
        for window in TEXT_WINDOWS:
            uc.mem_map_ptr(window.base, window.size, _READ | _EXECUTE, address)
            address += window.size
        uc.mem_map_ptr(DATA_BASE, self.data.size, _READ | _WRITE, self.data.ctypes.data)
        block[s.CPU_CTL], block[s.CPU_INDEX] = self.ctl.ctypes.data, index
        block[s.CPU_UC] = ctypes.cast(uc._uch, ctypes.c_void_p).value or 0
        synced = synced_flag(uc, register_number(self.port, self.port.registers.pc))
        block[s.CPU_SYNCED] = synced or block[s.CPU_SCRATCH :].ctypes.data
        block[s.CPU_TOP] = block[s.CPU_EXPECTED] = -1
        block[s.CPU_PAGES], block[s.CPU_TEXT_HOST] = pages.ctypes.data, text.ctypes.data
        block[s.CPU_NEXT_TICK] = self.ctl[s.CTL_TICK]
        for hook in self._hooks():
            _add(uc, hook, block)
        if self._is_x86:
            self._load_gdt(uc)
        else:
            uc.reg_write(arm64_const.UC_ARM64_REG_CP_REG, _SCR_EL3_RW)
        return uc

    @property
    def _is_x86(self) -> bool:
        return engine_cpu(self.port).hardware == s.PORT_X86_64

    def _hooks(self) -> list[Hook]:
        data_end = DATA_BASE + self.data.size
        hooks = [
            Hook(kind=unicorn_const.UC_HOOK_INTR, function=on_interrupt),
            Hook(kind=unicorn_const.UC_HOOK_TLB_FILL, function=on_page),
            # not over data: where memory hooks apply, every store goes through a slow path
            Hook(kind=_ACCESS_FAULTS, function=on_fault, where=(0, DATA_BASE - 1)),
            Hook(kind=_ACCESS_FAULTS, function=on_fault, where=(data_end, (1 << 64) - 1)),
        ]
        if self.timed:
            hooks += [
                Hook(kind=unicorn_const.UC_HOOK_CODE, function=on_timed_instruction),
                Hook(kind=_ACCESSES, function=on_access),
            ]
        elif self.ctl[s.CTL_EXACT]:
            hooks.append(Hook(kind=unicorn_const.UC_HOOK_CODE, function=on_instruction))
        else:
            hooks.append(Hook(kind=unicorn_const.UC_HOOK_BLOCK, function=on_block))
        if self.ordering is not Ordering.SC:
            access = ordering_hooks(has_views=self.has_views)
            hooks.append(Hook(kind=unicorn_const.UC_HOOK_MEM_WRITE, function=access.store, where=SHARED))
            if self.has_views:
                load = unicorn_const.UC_HOOK_MEM_READ
                hooks.append(Hook(kind=load, function=access.load, where=SHARED))
                for text in TEXT_WINDOWS:
                    hooks.append(Hook(kind=load, function=access.literal, where=(text.base, text.end - 1)))
        if self._is_x86:
            syscall = (ctypes.c_int(x86_const.UC_X86_INS_SYSCALL),)
            hooks.append(Hook(kind=unicorn_const.UC_HOOK_INSN, function=on_syscall, extra=syscall))
        return hooks

    def _load_gdt(self, uc: Uc) -> None:
        table = DATA_BASE  # the first bytes of kernel data are the engine's
        self.data[: 8 * len(_GDT)].view(np.uint64)[:] = _GDT
        uc.reg_write(x86_const.UC_X86_REG_GDTR, (0, table, 8 * len(_GDT) - 1, 0))
        uc.reg_write(x86_const.UC_X86_REG_CS, 0x8)
        for register in (x86_const.UC_X86_REG_SS, x86_const.UC_X86_REG_DS, x86_const.UC_X86_REG_ES):
            uc.reg_write(register, 0x10)


def _add(uc: Uc, hook: Hook, block: NDArray[np.int64]) -> None:
    handle = ctypes.c_size_t()
    error = uclib.uc_hook_add(
        uc._uch, ctypes.byref(handle), hook.kind, ctypes.c_void_p(hook.function.address),
        ctypes.c_void_p(block.ctypes.data), ctypes.c_uint64(hook.where[0]), ctypes.c_uint64(hook.where[1]),
        *hook.extra,
    )  # fmt: skip
    if error:
        raise UcError(error)


def fence_stacks(pages: NDArray[np.uint8], slots: list[int]) -> None:
    """Leave guard pages around the stacks in these slots, in a CPU's bytes per data page."""
    for slot in slots:
        first = (STACKS_BASE + slot * SLOT_SIZE - DATA_BASE) // PAGE_SIZE
        own = pages[first : first + SLOT_SIZE // PAGE_SIZE]
        own[:] = 0
        for low, high in (KERNEL_STACK, USER_STACK):
            own[low // PAGE_SIZE : high // PAGE_SIZE] = 1
