"""The unwinder: which code there is, and where each task stands in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from emu.arch.port import Port
from emu.build.elf.relocate import MACHINES
from emu.build.image import Image
from emu.build.klp import pointing_away
from emu.build.memory_map import KERNEL_TEXT, USER_TEXT
from emu.kernel.errno import EINVAL
from emu.kernel.tasks import Task
from emu.kernel.unwind.ports import rules_of
from emu.kernel.unwind.row import Row
from emu.kernel.unwind.rules import Entry
from emu.kernel.unwind.state import PC, Kind
from emu.kernel.unwind.text import BuiltText, CopiedText, Text
from emu.kernel.unwind.walk import Goes, Stack, Walk
from emu.machine.memory import Memory
from emu.structs import TASK


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One line of a report.

    Args:
        address: where it goes on.
        place: ``function+0x1/0x20``; the bare address when no symbol is known.
        sure: it was walked to; else it is a word of the stack that looks like a return address.
    """

    address: int
    place: str
    sure: bool

    def __str__(self) -> str:
        return self.place if self.sure else f"? {self.place}"


class Unwinder:
    """The stacks of one kernel's tasks. Whoever asks holds the task still: nobody runs it meanwhile.

    Args:
        port: its architecture.
        memory: of the guest.
    """

    def __init__(self, port: Port, memory: Memory) -> None:
        self._rules, self._memory = rules_of(port), memory
        self._texts: dict[int, Text] = {}

    # --- what code there is -------------------------------------------------------------------------

    def add_image(self, image: Image) -> None:
        """Know the functions of the kernel, a module or a patch module from now on."""
        machine = MACHINES[self._rules.port.machine]
        for base, code in _pieces(image):
            is_kernel = base in KERNEL_TEXT
            self._texts[base] = BuiltText(
                self._rules, base, pointing_away(machine, base, code, image.klp_sections),
                {key: (symbol.address, symbol.size) for key, symbol in image.symbols.items()},
                owner="" if is_kernel else image.name,
                entries=self._rules.entries if is_kernel else {},
                warns=frozenset(address for address, _, is_bug in image.traps if not is_bug),
            )  # fmt: skip

    def remove_image(self, image: Image) -> None:
        """Forget what `add_image` made known."""
        for base, _ in _pieces(image):
            del self._texts[base]

    def add_text(self, name: str, address: int, code: bytes, *, template: int = 0) -> None:
        """Know a private trampoline, or a veneer through which sites reach theirs, from now on.

        Args:
            name: of it, for reports.
            address, code: of it.
            template: address of the routine that it is a copy of; 0: a veneer, which touches no frame.
        """
        original = self._text_at(template)
        if original is not None:
            self._texts[address] = CopiedText(name, address, len(code), original, template)
        else:
            symbols = {name: (address, len(code))}
            self._texts[address] = BuiltText(self._rules, address, code, symbols, entries={name: Entry.SITE})

    def remove_text(self, address: int) -> None:
        """Forget what `add_text` made known at ``address``."""
        del self._texts[address]

    @property
    def registers(self) -> tuple[str, ...]:
        """Names of the registers that a task on its CPU is unwound from."""
        return (*self._rules.general, self._rules.port.registers.pc)

    # --- asking -------------------------------------------------------------------------------------

    def reliable(self, task: Task, registers: Mapping[str, int] | None = None) -> list[int] | int:
        """Return where every function on a task's stack goes on, newest first; -EINVAL when that is not sure.

        That is return addresses, and the places where kernel text was interrupted.

        Args:
            task: it; switched out, unless ``registers`` are given.
            registers: values by the port's names, of a task that is on its CPU.
        """
        walk = self.walk(task, registers)
        return -EINVAL if walk.problem else list(walk.entries)

    def walk(self, task: Task, registers: Mapping[str, int] | None = None) -> Walk:
        """Return what `reliable` does, and what is wrong if it is not."""
        sp, (low, high) = self._rules.sp, task.kernel_stack
        stack = Stack(
            sp=sp, low=low, high=high, load=self._memory.load, row=self._row, place=self.place,
        )  # fmt: skip
        if registers is not None:
            return stack.walk({**registers, PC: registers[self._rules.port.registers.pc]}, Goes.ON)
        saved = self._memory.load(task.struct + TASK.offset("sp"))
        if not low <= saved <= high - self._rules.port.switch_frame.size:
            return Walk(entries=(), sp=high, problem=f"no room for a frame at the saved {sp} {saved:#x}")
        return stack.walk(self._switched_out(saved), Goes.SWITCHED)

    def trace(self, task: Task, registers: Mapping[str, int] | None = None) -> list[Frame]:
        """Return where a task stands, as well as can be told, and what may be missing if that is not sure."""
        walk = self.walk(task, registers)
        frames = [Frame(address=at, place=self.place(at), sure=True) for at in walk.entries]
        if walk.problem:
            guesses = self._guesses(walk.sp, task.kernel_stack[1])
            frames += [Frame(address=at, place=self.place(at), sure=False) for at in guesses]
        return frames

    def place(self, address: int) -> str:
        """Return ``function+0x1/0x20 [module]``, as ``%pS`` prints, or the bare address."""
        text = self._text_at(address)
        return (text.name_at(address) if text is not None else "") or f"{address:#x}"

    # --- finding ------------------------------------------------------------------------------------

    def _text_at(self, address: int) -> Text | None:
        for text in self._texts.values():
            if text.base <= address < text.base + text.size:
                return text
        return None

    def _row(self, address: int, goes: Goes) -> Row | None:
        match goes:
            case Goes.ON:
                return self._row_in_front(address)
            case Goes.BACK:
                text = self._text_at(address - 1)  # the call may be the last of its function, and of the text
                return text.row_behind_call(address) if text is not None else None
            case Goes.SWITCHED:
                first = self._row_in_front(address)
                return (
                    first if first is not None and first.kind is Kind.FIRST else self._row(address, Goes.BACK)
                )

    def _row_in_front(self, address: int) -> Row | None:
        text = self._text_at(address)
        if text is None:
            return None
        trap = address - len(self._rules.port.trap)
        if not text.is_boundary(address) and text.is_boundary(trap):
            return text.row(trap)  # a breakpoint stands over an instruction that has not run yet
        return text.row(address)

    def _switched_out(self, saved: int) -> dict[str, int]:
        """Return the registers that a task whose saved stack pointer is ``saved`` goes on with."""
        layout, load = self._rules.port.switch_frame, self._memory.load
        registers = {
            register: load(saved + layout.offset(member)) for member, register in self._rules.switched.items()
        }
        return registers | {self._rules.sp: saved + layout.size}

    def _guesses(self, start: int, end: int) -> Iterator[int]:
        """Yield the words of a stack that are addresses behind calls."""
        for at in range(start, end, 8):
            word = self._memory.load(at)
            if self._row(word, Goes.BACK) is not None:
                yield word


def _pieces(image: Image) -> list[tuple[int, bytes]]:
    return [(base, code) for base, code in image.text if base not in USER_TEXT]
