"""One CPU that runs a piece of code as a function, every instruction and access recorded."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import types
from numpy.typing import NDArray
from unicorn import unicorn_const
from unicorn.unicorn_py3.unicorn import Uc, UcError, uclib

from emu.arch.port import Port
from emu.compiled import callback
from emu.machine.memory import page_aligned
from emu.machine.native import call1, call3, function_address, halves, octets, to_address, words
from emu.machine.registers import new_cpu, register_number
from emu.units import PAGE_SIZE, page_up

SCRATCH_BASE, SCRATCH_SIZE = 0x2000_0000, 64 << 10
STACK_BASE, STACK_SIZE = 0x3000_0000, 256 << 10
END = 0x4000_0000
"""What the code returns to."""

STREAM_COLUMNS = 4  # pc, first read, first write, detail
_NONE = -1

(
    _ROWS, _COUNT, _CAPACITY, _BASE, _SIZE, _KINDS, _WATCHED, _WATCH, _WATCH_SIZE, _UC, _STOP, _READ, _WRITE,
    _REG_PC, _REG_A, _REG_B, _SCRATCH, _OUTSIDE,
) = range(18)  # fmt: skip
_WORDS = 32

KIND_PLAIN, KIND_TIME_STAMP = 0, 16
"""What the recorder does at an instruction; 1 to 8: that many bytes of a quotient are measured."""
_TIME_STAMP_SIZE = 2

_CODE = types.void(types.voidptr, types.int64, types.uint32, types.voidptr)
_ACCESS = types.void(types.voidptr, types.int32, types.int64, types.int32, types.int64, types.voidptr)


@callback(_CODE)
def _on_instruction(uc, address, size, user):  # type: ignore[no-untyped-def]
    """Record an instruction; stop where the buffer or the code ends."""
    own = words(to_address(user), _WORDS)
    count = own[_COUNT]
    if own[_WATCH] >= 0:  # the instruction before was a division: how large is its quotient
        call3(own[_READ], own[_UC], own[_WATCH], own[_SCRATCH])
        value = words(own[_SCRATCH], 1)[0]
        shift = 64 - 8 * own[_WATCH_SIZE]
        value = value << shift >> shift
        value = -value if value < 0 else value
        bits = 0
        while value:
            value >>= 1
            bits += 1
        words(own[_ROWS] + (count - 1) * 8 * STREAM_COLUMNS, STREAM_COLUMNS)[3] = bits
        own[_WATCH] = _NONE
    offset = address - own[_BASE]
    if count >= own[_CAPACITY] or offset < 0 or offset >= own[_SIZE]:
        if count < own[_CAPACITY]:
            own[_OUTSIDE] = address
        call1(own[_STOP], own[_UC])
        return
    row = words(own[_ROWS] + count * 8 * STREAM_COLUMNS, STREAM_COLUMNS)
    row[0], row[1], row[2], row[3] = address, _NONE, _NONE, _NONE
    own[_COUNT] = count + 1
    kind = octets(own[_KINDS], own[_SIZE])[offset]
    if kind == KIND_TIME_STAMP:  # the host's clock must not reach the code: it counts instructions here
        value = words(own[_SCRATCH], 1)
        value[0] = count & 0xFFFFFFFF
        call3(own[_WRITE], own[_UC], own[_REG_A], own[_SCRATCH])
        value[0] = count >> 32
        call3(own[_WRITE], own[_UC], own[_REG_B], own[_SCRATCH])
        value[0] = address + size
        call3(own[_WRITE], own[_UC], own[_REG_PC], own[_SCRATCH])
    elif kind:
        own[_WATCH] = halves(own[_WATCHED], own[_SIZE])[offset]
        own[_WATCH_SIZE] = kind


@callback(_ACCESS)
def _on_access(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """Record the first read and the first write of an instruction."""
    own = words(to_address(user), _WORDS)
    count = own[_COUNT]
    if count > 0:
        row = words(own[_ROWS] + (count - 1) * 8 * STREAM_COLUMNS, STREAM_COLUMNS)
        column = 2 if kind == 17 else 1  # UC_MEM_WRITE
        if row[column] == _NONE:
            row[column] = address


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What came of running a piece of code.

    Args:
        stream: shape ``(n, 4)``, int64: pc, address of the first read and write, detail; -1 = none.
        returned: it came back to its caller.
        error: what went wrong instead, empty if it was only stopped at ``capacity`` instructions.
    """

    stream: NDArray[np.int64]
    returned: bool
    error: str


class Recorder:
    """Runs code as ``f(iterations, scratch)``.

    Args:
        port: what runs it.
        segments: address and bytes of each piece of memory that it needs, pages of its own each.
        code: address and size of what may be executed.
        kinds: offset in the code -> what to do there: ``KIND_TIME_STAMP``, or bytes and
            register of a quotient.
    """

    def __init__(
        self,
        port: Port,
        *,
        segments: Mapping[int, bytes],
        code: tuple[int, int],
        kinds: Mapping[int, int | tuple[int, str]],
    ) -> None:
        self._port, self._segments, self._code = port, dict(segments), code
        self._kinds = np.zeros(code[1], np.uint8)
        self._watched = np.zeros(code[1], np.int32)
        for offset, kind in kinds.items():
            if isinstance(kind, tuple):
                self._kinds[offset] = kind[0]
                self._watched[offset] = register_number(port, kind[1])
            else:
                self._kinds[offset] = kind

    def run(self, entry: int, iterations: int, capacity: int) -> Recorded:
        """Call ``entry`` and record at most ``capacity`` instructions."""
        port = self._port
        uc = new_cpu(port)
        uc.ctl_set_tcg_buffer_size(16 << 20)
        host = [self._map(uc, base, content) for base, content in self._areas().items()]
        own, rows, scratch = (
            np.zeros(_WORDS, np.int64),
            np.zeros((capacity, STREAM_COLUMNS), np.int64),
            np.zeros(4, np.int64),
        )
        handle = ctypes.cast(uc._uch, ctypes.c_void_p).value or 0
        registers = [register_number(port, name) for name in (port.registers.pc, *port.registers.args[:2])]
        own[[_ROWS, _CAPACITY, _BASE, _SIZE]] = rows.ctypes.data, capacity, *self._code
        own[[_KINDS, _WATCHED, _SCRATCH]] = (
            self._kinds.ctypes.data,
            self._watched.ctypes.data,
            scratch.ctypes.data,
        )
        own[[_UC, _WATCH, _OUTSIDE, _REG_PC]] = handle, _NONE, _NONE, registers[0]
        own[[_STOP, _READ, _WRITE]] = [
            function_address(f"uc_{name}") for name in ("emu_stop", "reg_read", "reg_write")
        ]
        if port.registers.link == "":
            own[[_REG_A, _REG_B]] = register_number(port, "rax"), register_number(port, "rdx")
        kinds = unicorn_const.UC_HOOK_MEM_READ | unicorn_const.UC_HOOK_MEM_WRITE
        hooks = [ctypes.c_size_t(), ctypes.c_size_t()]
        for hook, kind, function in zip(
            hooks, (unicorn_const.UC_HOOK_CODE, kinds), (_on_instruction, _on_access), strict=True
        ):
            status = uclib.uc_hook_add(
                uc._uch, ctypes.byref(hook), kind, ctypes.c_void_p(function.address),
                ctypes.c_void_p(own.ctypes.data), ctypes.c_uint64(1), ctypes.c_uint64(0),
            )  # fmt: skip
            assert status == 0, f"uc_hook_add: {status}"
        top = STACK_BASE + STACK_SIZE - 4096
        if port.registers.link:
            uc.reg_write(register_number(port, port.registers.link), END)
        else:
            top -= 24  # as on the host: see emu.lab.cycles.host_child
            uc.mem_write(top, END.to_bytes(8, "little"))
        uc.reg_write(register_number(port, port.registers.sp), top)
        for number, value in zip(registers[1:], (iterations, SCRATCH_BASE), strict=True):
            uc.reg_write(number, value)
        error = ""
        try:
            uc.emu_start(entry, 0)
        except UcError as failure:
            error = str(failure)
        count, outside = int(own[_COUNT]), int(own[_OUTSIDE])
        del host
        returned = not error and outside == END
        if not error and not returned and count < capacity:
            error = (
                f"it went to {outside:#x}, outside of its code" if outside != _NONE else "it stopped the CPU"
            )
        return Recorded(stream=rows[:count], returned=returned, error=error)

    def _areas(self) -> dict[int, bytes]:
        return {
            **self._segments, SCRATCH_BASE: bytes(SCRATCH_SIZE),
            STACK_BASE: bytes(STACK_SIZE), END: bytes(PAGE_SIZE),
        }  # fmt: skip

    def _map(self, uc: Uc, base: int, content: bytes) -> NDArray[np.uint8]:
        first = base & -PAGE_SIZE
        area = page_aligned(page_up(base + len(content) - first))
        area[base - first : base - first + len(content)] = np.frombuffer(content, np.uint8)
        uc.mem_map_ptr(first, area.size, unicorn_const.UC_PROT_ALL, area.ctypes.data)
        return area
