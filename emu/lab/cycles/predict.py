"""Cycles of a piece of code by a CPU model: it is run once on the engine, and its stream is replayed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emu.build.decode import decode, decode_detailed
from emu.errors import EmuError
from emu.lab.cycles.piece import Piece, PieceError
from emu.machine.stream import END, KIND_TIME_STAMP, Recorded, Recorder
from emu.timing import RowTable, load_cpu_model, new_cpu, new_shared, push_return
from emu.timing.replay import VIEW_WORDS, replay

CAPACITY = 3_000_000
"""Instructions of one run at most."""
_PROBES = (8, 16)
"""Iterations of the runs that tell how long an iteration is."""
_INSTRUCTIONS = 200_000
"""About how many instructions are replayed."""
_FEWEST, _MOST = 64, 4000
_DIVISIONS = frozenset({"div", "idiv", "udiv", "sdiv"})
_VIEW = 4096


class GuestStrayedError(EmuError):
    """The code did not come back to its caller."""

    def __init__(self, piece: Piece, recorded: Recorded, iterations: int) -> None:
        count = len(recorded.stream)
        last = int(recorded.stream[-1, 0]) if count else piece.entry
        what = recorded.error or f"it has not returned after {count:_} instructions"
        super().__init__(
            f"{piece.path}: called with {iterations} iterations: {what}; its last instruction was at "
            f"{last:#x} ({text_at(piece, last)}); it has to return normally"
        )
        self.last, self.count = last, count


class LoopNotReachedError(EmuError):
    """The loop's symbol was not arrived at often enough."""

    def __init__(self, piece: Piece, loop: str, arrivals: int, iterations: int) -> None:
        super().__init__(
            f"{piece.path}: {loop} was reached {arrivals} times in {iterations} iterations; "
            f"name the label at which each iteration of the loop begins"
        )
        self.loop, self.arrivals = loop, arrivals


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One instruction of an iteration in the pipeline: clocks count from the first line's dispatch."""

    address: int
    text: str
    symbol: str
    fetch: int
    dispatch: int
    ready: int
    issue: int
    complete: int
    retire: int
    dispatch_wait: int
    issue_wait: int
    mispredicted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a CPU model says about a piece of code.

    Args:
        cpu_model: its name.
        unit: ``loop``, ``iteration`` (of the whole function) or ``call`` (code that ignores rdi).
        cycles: per unit; ``instructions`` and ``mispredicts`` likewise.
        before: clock at which the last instruction before ``lines`` retired, counted as they are.
        lines: of one unit, in order.
    """

    cpu_model: str
    unit: str
    before: int
    cycles: float
    instructions: float
    mispredicts: float
    lines: tuple[Line, ...]


def _before(clocks: NDArray[np.int64], first: int, views: NDArray[np.int64]) -> int:
    return int(clocks[first - 1] if first else 0) - int(views[0][1])


def text_at(piece: Piece, address: int) -> str:
    """Return the instruction at ``address`` as text."""
    base, content = piece.text
    found = (
        decode_detailed(piece.port, content[address - base : address - base + 16], address)
        if address >= base
        else None
    )
    return found.instruction.text if found is not None else "no instruction"


class Predictor:
    """Predicts one piece of code.

    Args:
        piece: the code.
        model: name of the CPU model.
    """

    def __init__(self, piece: Piece, model: str) -> None:
        self.piece = piece
        self.model = load_cpu_model(model)
        if self.model.arch != piece.port.name:
            raise PieceError(
                piece.path, f"it is {piece.port.name} code, {model} a CPU of {self.model.arch}",
                "choose another --cpu-model ('klpemu list cpu-models')",
            )  # fmt: skip
        self.rows = RowTable(self.model)
        base, content = piece.text
        self._lengths = np.zeros(len(content), np.int64)
        kinds: dict[int, int | tuple[int, str]] = {}
        at = 0
        while at < len(content):  # a byte that is none is skipped: data may lie between functions
            found = decode(piece.port, content[at:], base + at)
            for insn in found:
                offset = insn.address - base
                self._lengths[offset] = insn.size
                if insn.mnemonic in ("rdtsc", "rdtscp"):
                    kinds[offset] = KIND_TIME_STAMP
                elif insn.mnemonic in _DIVISIONS:
                    kinds[offset] = self._division(content[offset : offset + 16], insn.address)
            at = (found[-1].address - base + found[-1].size if found else at) + 1
        self._recorder = Recorder(piece.port, segments=piece.segments, code=(base, len(content)), kinds=kinds)

    def _division(self, code: bytes, address: int) -> tuple[int, str]:
        found = decode_detailed(self.piece.port, code, address)
        assert found is not None, "it has just been decoded"
        first = found.operands[0]
        if self.piece.port.registers.link:
            return (4 if first.register.startswith("w") else 8), "x" + first.register[1:]
        return first.size, "rax"

    def record(self, iterations: int) -> NDArray[np.int64]:
        """Return the code's stream, shape ``(n, 4)``, int64; raise `GuestStrayedError` if it strays."""
        recorded = self._recorder.run(self.piece.entry, iterations, CAPACITY)
        if not recorded.returned:
            raise GuestStrayedError(self.piece, recorded, iterations)
        return recorded.stream

    def row_numbers(self, stream: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the row number of each instruction in ``stream``, by its offset in the code."""
        base, content = self.piece.text
        numbers = np.zeros(len(content), np.int32)
        for address in np.unique(stream[:, 0]):
            offset = int(address) - base
            size = int(self._lengths[offset]) or self._length(offset)
            numbers[offset] = self.rows.index(content[offset : offset + size])
        return numbers

    def _replay(
        self, stream: NDArray[np.int64], view_from: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return clocks and mispredictions after each instruction, and how some went."""
        base, _ = self.piece.text
        numbers = self.row_numbers(stream)
        clocks, mispredicts = np.zeros((2, len(stream)), np.int64)
        views = np.zeros((_VIEW, VIEW_WORDS), np.int64)
        cpu, shared = new_cpu(self.model), new_shared(self.model)
        replay(
            cpu, shared, self.rows.array, stream, numbers, base, END, clocks, mispredicts, views, view_from
        )
        return clocks, mispredicts, views

    def _replay_calls(
        self, once: NDArray[np.int64], calls: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """As `_replay`, of so many calls one behind another, whose returns have a call each.

        The calls themselves are not in the stream, and cost nothing.
        """
        base, _ = self.piece.text
        numbers = self.row_numbers(once)
        clocks, mispredicts = np.zeros((2, calls, len(once)), np.int64)
        views = np.zeros((_VIEW, VIEW_WORDS), np.int64)
        cpu, shared = new_cpu(self.model), new_shared(self.model)
        for call in range(calls):
            push_return(cpu, self.piece.entry)
            replay(
                cpu, shared, self.rows.array, once, numbers, base, self.piece.entry,
                clocks[call], mispredicts[call], views, 0,
            )  # fmt: skip
        return clocks.reshape(-1), mispredicts.reshape(-1), views

    def _length(self, offset: int) -> int:
        base, content = self.piece.text
        found = decode_detailed(self.piece.port, content[offset : offset + 16], base + offset)
        return found.instruction.size if found is not None else 1

    def predict(self, loop: str | None) -> Prediction:
        """Return cycles per iteration of the loop at the symbol ``loop``, or of the whole function."""
        small, more = (len(self.record(count)) for count in _PROBES)
        per_iteration = (more - small) / (_PROBES[1] - _PROBES[0])
        if loop is not None:
            return self._loop(loop, self._iterations(max(per_iteration, 1)))
        if more == small:
            return self._straight()
        return self._whole(self._iterations(per_iteration))

    @staticmethod
    def _iterations(per_iteration: float) -> int:
        return int(min(max(_INSTRUCTIONS / abs(per_iteration), _FEWEST), _MOST))

    def _loop(self, loop: str, iterations: int) -> Prediction:
        """Measure between arrivals at ``loop`` in the second half of a run."""
        address = self.piece.address(loop)
        stream = self.record(iterations)
        arrivals = np.flatnonzero(stream[:, 0] == address)
        if len(arrivals) < 4:
            raise LoopNotReachedError(self.piece, loop, len(arrivals), iterations)
        first, last = arrivals[len(arrivals) // 2], arrivals[-1]
        previous = arrivals[-2]
        clocks, mispredicts, views = self._replay(stream, int(previous))
        count = len(arrivals) - 1 - len(arrivals) // 2
        return Prediction(
            cpu_model=self.model.name,
            unit="loop",
            cycles=float(clocks[last] - clocks[first]) / count,
            instructions=float(last - first) / count,
            mispredicts=float(mispredicts[last] - mispredicts[first]) / count,
            before=_before(clocks, int(previous), views),
            lines=self._lines(stream, int(previous), int(last), views),
        )

    def _whole(self, iterations: int) -> Prediction:
        """Subtract a run of half as many iterations."""
        few, many = iterations // 2, iterations
        short, long = self.record(few), self.record(many)
        short_clocks, short_mispredicts, _ = self._replay(short, 0)
        size = (len(long) - len(short)) // (many - few)
        view_from = max(len(long) - 2 * size, 0)
        clocks, mispredicts, views = self._replay(long, view_from)
        count = many - few
        return Prediction(
            cpu_model=self.model.name,
            unit="iteration",
            cycles=float(clocks[-1] - short_clocks[-1]) / count,
            instructions=float(len(long) - len(short)) / count,
            mispredicts=float(mispredicts[-1] - short_mispredicts[-1]) / count,
            before=_before(clocks, view_from, views),
            lines=self._lines(long, view_from, min(view_from + size, len(long)), views),
        )

    def _straight(self) -> Prediction:
        """Call the code again and again: what one call more takes."""
        once = self.record(1)
        calls = max(8, min(64, _INSTRUCTIONS // len(once)))
        stream = np.concatenate([once] * calls)
        clocks, mispredicts, views = self._replay_calls(once, calls)
        half = len(once) * (calls // 2) - 1
        count = calls - calls // 2
        return Prediction(
            cpu_model=self.model.name,
            unit="call",
            cycles=float(clocks[-1] - clocks[half]) / count,
            instructions=float(len(once)),
            mispredicts=float(mispredicts[-1] - mispredicts[half]) / count,
            before=_before(clocks, len(stream) - len(once), views),
            lines=self._lines(stream, len(stream) - len(once), len(stream), views),
        )

    def _lines(
        self, stream: NDArray[np.int64], first: int, last: int, views: NDArray[np.int64]
    ) -> tuple[Line, ...]:
        zero = int(views[0][1]) if len(views) else 0
        lines = []
        for at, view in zip(range(first, min(last, first + len(views))), views.tolist(), strict=False):
            address = int(stream[at, 0])
            fetch, dispatch, ready, issue, complete, retire, dispatch_wait, issue_wait, mispredicted = view
            lines.append(
                Line(
                    address=address, text=text_at(self.piece, address), symbol=self.piece.name_at(address),
                    fetch=fetch - zero, dispatch=dispatch - zero, ready=ready - zero, issue=issue - zero,
                    complete=complete - zero, retire=retire - zero, dispatch_wait=dispatch_wait,
                    issue_wait=issue_wait, mispredicted=bool(mispredicted),
                )
            )  # fmt: skip
        return tuple(lines)
