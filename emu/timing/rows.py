"""The decode-once table: one row of int32 per distinct instruction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emu.arch.registry import port_named
from emu.build.decode import decode_detailed
from emu.errors import EmuError
from emu.timing import arm64, x86_64
from emu.timing.layout import (
    ALWAYS_READY,
    F_DETAIL,
    F_DRAIN,
    F_HOLDS,
    F_LOAD_BARRIER,
    F_MICROCODED,
    F_SERIAL,
    F_TWO_STEPS,
    NEVER_READ,
    R_BLOCK,
    R_BLOCK_DATA,
    R_BRANCH,
    R_BUSY,
    R_DEST0,
    R_DETAIL,
    R_DRAIN,
    R_EXTRA0,
    R_FLAGS,
    R_LATENCY,
    R_LENGTH,
    R_LOAD_ADDRESS0,
    R_LOAD_EXTRA,
    R_LOAD_SIZE,
    R_LOADS,
    R_LOCK,
    R_PORTS,
    R_SLOTS,
    R_SOURCE0,
    R_STORE_ADDRESS0,
    R_STORE_SIZE,
    R_STORES,
    R_UOPS,
    R_WRITEBACK,
    ROW_WORDS,
    Detail,
)
from emu.timing.model import Cost, CpuModel
from emu.timing.roles import Role
from emu.timing.state import zeros

_ROLES = {"x86_64": x86_64.role, "arm64": arm64.role}
_FIRST_CAPACITY = 256
_HOLDING = F_DRAIN | F_SERIAL | F_LOAD_BARRIER


class UncoveredInstructionError(EmuError):
    """The cycle model has no entry for an instruction."""

    def __init__(self, text: str, code: bytes, model: str, what: str) -> None:
        super().__init__(
            f"{text} ({code.hex(' ')}): {what}, so {model} can't tell its cycles; "
            f"add it as docs/cycle-model.md says, or leave it out"
        )
        self.text, self.code, self.model = text, code, model


class RowTable:
    """Rows of instructions for one CPU model, each decoded when it is first asked for.

    Args:
        model: whose figures the rows hold.
    """

    def __init__(self, model: CpuModel) -> None:
        self.model = model
        self._port = port_named(model.arch)
        self._rows = _rows(_FIRST_CAPACITY)
        self._index: dict[bytes, int] = {}

    @property
    def array(self) -> NDArray[np.int32]:
        """The table, flat, shape ``(capacity * ROW_WORDS,)``, int32; another array once it has grown."""
        return self._rows.reshape(-1)

    def __len__(self) -> int:
        return len(self._index)

    def index(self, code: bytes) -> int:
        """Return the number of the row of the one instruction ``code``.

        Raises:
            UncoveredInstructionError: it can't be decoded, has no role, or no cost in the model.
        """
        known = self._index.get(code)
        if known is not None:
            return known
        row = self._row(code)
        number = len(self._index)
        if number == len(self._rows):
            grown = _rows(2 * number)
            grown[:number] = self._rows
            self._rows = grown
        self._rows[number] = row
        self._index[code] = number
        return number

    def _row(self, code: bytes) -> NDArray[np.int32]:
        found = decode_detailed(self._port, code, 0)
        if found is None or found.instruction.size != len(code):
            raise UncoveredInstructionError("no instruction", code, self.model.name, "it can't be decoded")
        text = found.instruction.text
        role = _ROLES[self.model.arch](found)
        if role is None:
            raise UncoveredInstructionError(text, code, self.model.name, "it stands in no role table")
        cost = self.model.costs.get(role.cost)
        if cost is None:
            what = f"the model has no class {role.cost!r}"
            raise UncoveredInstructionError(text, code, self.model.name, what)
        return encode(role, cost, self.model, len(code))


def _two_steps(role: Role, cost: Cost) -> tuple[Role, Cost]:
    """Return role and cost of the second step alone; a CPU that takes one step waits for all its sources."""
    if cost.uops > 1:
        return role, replace(cost, uops=cost.uops - 1, latency=cost.latency - 1)
    sources = tuple(dict.fromkeys((*role.sources, *role.load_address)))
    return role.but(flags=role.flags & ~F_TWO_STEPS, sources=sources, load_address=()), cost


def _rows(count: int) -> NDArray[np.int32]:
    return zeros(count * ROW_WORDS, np.int32).reshape(count, ROW_WORDS)


def encode(role: Role, cost: Cost, model: CpuModel, length: int) -> NDArray[np.int32]:
    """Return the row of a role at its cost, shape ``(ROW_WORDS,)``, int32."""
    row = np.zeros(ROW_WORDS, np.int32)
    row[R_SOURCE0:R_DEST0] = ALWAYS_READY
    row[R_DEST0:R_EXTRA0] = NEVER_READ
    row[R_FLAGS] = role.flags | (F_MICROCODED if cost.microcoded else 0)
    if role.flags & _HOLDING or cost.block or role.detail is Detail.COUNT:
        row[R_FLAGS] |= F_HOLDS
    if role.detail is not Detail.NONE:
        row[R_FLAGS] |= F_DETAIL
    if role.flags & F_TWO_STEPS:
        role, cost = _two_steps(role, cost)
        row[R_FLAGS] = role.flags
    row[R_LENGTH] = length
    row[R_SLOTS] = cost.slots + role.slots
    row[R_UOPS], row[R_PORTS], row[R_LATENCY], row[R_BUSY] = cost.uops, cost.ports, cost.latency, cost.busy
    row[R_BRANCH], row[R_DETAIL] = role.branch, role.detail
    for at, registers in (
        (R_SOURCE0, role.sources), (R_LOAD_ADDRESS0, role.load_address),
        (R_STORE_ADDRESS0, role.store_address),
    ):  # fmt: skip
        row[at : at + len(registers)] = registers
    for slot, (register, extra) in enumerate(role.dests):
        row[R_DEST0 + slot], row[R_EXTRA0 + slot] = register, extra
    row[R_LOAD_SIZE], row[R_STORE_SIZE] = role.load_size, role.store_size
    row[R_LOADS], row[R_STORES] = role.loads, role.stores
    extra_of = model.parameters
    row[R_LOAD_EXTRA] = (
        extra_of["indexed_load_extra"] * role.indexed + extra_of["extended_load_extra"] * role.extended
    )
    row[R_BLOCK], row[R_BLOCK_DATA], row[R_DRAIN] = cost.block, cost.block_data, cost.drain
    row[R_LOCK] = cost.lock
    row[R_WRITEBACK] = NEVER_READ if role.writeback < 0 else role.writeback
    return row
