"""Names for the addresses that instructions mention."""

from __future__ import annotations

import re
from collections.abc import Iterable

from emu.build.decode import Instruction
from emu.build.memory_map import TRAMPOLINES
from emu.kernel.kallsyms import Kallsyms, Symbol
from emu.trace.code import CodeBlock

_LAST_NUMBER = re.compile(r"#?(0x[0-9a-f]+)$")
_ADDRESS = re.compile(r"(?<![\w+-] )0x[0-9a-f]{6,8}\b")
_PC_RELATIVE = re.compile(r"\[rip ([+-]) (0x[0-9a-f]+|\d+)\]")


class Names:
    """Names of one image or run.

    Args:
        symbols: address and size by name.
        blocks: whose inner labels have names, too.
    """

    def __init__(self, symbols: dict[str, tuple[int, int]], blocks: Iterable[CodeBlock]) -> None:
        self._kallsyms = Kallsyms()
        self._kallsyms.add(
            None, [Symbol(name=name, address=at, size=size) for name, (at, size) in symbols.items() if size]
        )
        self._labels: dict[int, list[str]] = {}
        for block in blocks:
            for name, (at, size) in block.symbols.items():
                if not size:
                    self._labels.setdefault(at, []).append(name)

    def labels(self, address: int) -> tuple[str, ...]:
        """Return the inner labels at an address."""
        return tuple(self._labels.get(address, ()))

    def name(self, address: int) -> str:
        """Return ``symbol+offset`` of an address; the bare address, and its area, if no symbol is known."""
        if address in self._labels:
            return f"{self._labels[address][0]}+0x0"
        place = self._kallsyms.containing(address)
        if place is not None:
            return f"{place.symbol.name}+{place.offset:#x}"
        return f"{'trampoline@' if address in TRAMPOLINES else ''}{address:#x}"

    def symbolised(self, instruction: Instruction) -> tuple[str, int | None]:
        """Return the instruction's text, its direct target by name if it has one, and that target."""
        found = _LAST_NUMBER.search(instruction.operands)
        if found is None or not instruction.groups & {"jump", "call"}:
            return instruction.text, None
        target = int(found[1], 16)
        operands = instruction.operands[: found.start()] + self.name(target)
        return f"{instruction.mnemonic} {operands}", target

    def mentioned(self, instruction: Instruction) -> list[str]:
        """Return the symbols whose addresses the operands spell out."""
        addresses = [int(number, 16) for number in _ADDRESS.findall(instruction.operands)]
        for sign, distance in _PC_RELATIVE.findall(instruction.operands):
            addresses.append(instruction.address + instruction.size + int(f"{sign}{distance}", 0))
        return [self.name(address) for address in addresses if self._kallsyms.containing(address)]
