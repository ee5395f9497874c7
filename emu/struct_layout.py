"""How guest structs are described: one table gives the NumPy dtype and the assembler's equates."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a guest struct.

    Args:
        offset: bytes from the start of the struct.
        format: a NumPy scalar dtype string, little endian.
        doc: what it holds.
        count: number of consecutive elements.
    """

    offset: int
    format: str
    doc: str
    count: int = 1

    @property
    def size(self) -> int:
        """Bytes of the whole member."""
        return np.dtype(self.format).itemsize * self.count


@dataclass(frozen=True, slots=True)
class Struct:
    """A guest struct layout.

    Args:
        name: the kernel's struct name.
        size: bytes, including tail padding.
        prefix: what its equates start with.
        members: by the kernel's member name; a dot in a name nests.
    """

    name: str
    size: int
    prefix: str
    members: dict[str, Member] = field(default_factory=dict)

    def __post_init__(self) -> None:
        end, last = 0, "start"
        for name, member in sorted(self.members.items(), key=lambda item: item[1].offset):
            assert member.offset >= end, f"{self.name}.{name} overlaps {last}"
            end, last = member.offset + member.size, name
        assert end <= self.size, f"{self.name}.{last} ends at {end:#x}, past size {self.size:#x}"

    @property
    def dtype(self) -> np.dtype[np.void]:
        """The NumPy structured dtype, ``itemsize == size``."""
        return np.dtype(
            {
                "names": list(self.members),
                "formats": [
                    (m.format, (m.count,)) if m.count > 1 else m.format for m in self.members.values()
                ],
                "offsets": [m.offset for m in self.members.values()],
                "itemsize": self.size,
            }
        )

    def offset(self, member: str) -> int:
        """Bytes from the start of the struct to ``member``."""
        return self.members[member].offset

    def equates(self) -> dict[str, int]:
        """Assembler constants: ``<PREFIX>_<MEMBER>`` offsets and ``<PREFIX>_SIZE``."""
        names = {
            f"{self.prefix}_{name.upper().replace('.', '_')}": m.offset for name, m in self.members.items()
        }
        return names | {f"{self.prefix}_SIZE": self.size}


def words(names: str, docs: dict[str, str], start: int = 0) -> dict[str, Member]:
    """Return members of 8 bytes each, one behind the other from ``start``; ``docs`` says what they hold."""
    return {name: Member(start + 8 * i, "<u8", docs.get(name, name)) for i, name in enumerate(names.split())}
