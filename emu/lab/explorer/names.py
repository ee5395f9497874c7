"""Names of shared words and of what they hold, as the kernel's source would have them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from emu.lab.explorer.installer import POISON
from emu.lab.explorer.world import World
from emu.struct_layout import Struct
from emu.structs import KLP_FUNC, KLP_OBJECT, KLP_OPS, KLP_PATCH, TASK

_PENDING = "TIF_PATCH_PENDING"


class Names:
    """Names of one scenario's words.

    Args:
        world: the machine.
        objects: on the heap: (address, size, what it was allocated as).
    """

    def __init__(self, world: World, objects: Sequence[tuple[int, int, str]]) -> None:
        self._world, self._objects = world, tuple(objects)
        self._kallsyms = world.kallsyms()

    def location(self, location: Hashable) -> str:
        """Return the name of a shared location."""
        return self._address(location) if isinstance(location, int) else str(location)

    def value(self, location: Hashable, value: Hashable) -> str:
        """Return what a value of a location stands for."""
        if not isinstance(value, int) or isinstance(value, bool):
            return str(value)
        if value == POISON:
            return "freed memory"
        if location == "site":
            return "on" if value else "off"
        name = self.location(location)
        if name.endswith("->flags"):
            return f"{_PENDING} set" if value >> 13 & 1 else f"{_PENDING} clear"
        if value >> 63:
            return str(value - (1 << 64))
        if value < 0x1000:
            return str(value)
        found = self._address(value)
        return found if not found.startswith("0x") else f"{value:#x}"

    def _address(self, address: int) -> str:
        for base, size, what in self._objects:
            if base <= address < base + size:
                return self._inside(what, address - base)
        for task in self._world.tasks:
            if task.struct <= address < task.struct + TASK.size:
                return f"{task.comm}->{_member(TASK, address - task.struct)}"
        place = self._kallsyms.containing(address)
        if place is None:
            return f"{address:#x}"
        return place.symbol.name + (f"+{place.offset:#x}" if place.offset else "")

    @staticmethod
    def _inside(what: str, offset: int) -> str:
        if what == "klp_ops":
            return f"klp_ops.{_member(KLP_OPS, offset)}"
        funcs = KLP_PATCH.size + KLP_OBJECT.size
        if what.startswith("module ") and offset >= funcs:
            return f"func of {what.removeprefix('module ')}->{_member(KLP_FUNC, offset - funcs)}"
        if what == "klp_func nop":
            return f"nop func->{_member(KLP_FUNC, offset)}"
        return f"{what}+{offset:#x}"


def _member(struct: Struct, offset: int) -> str:
    """Return the member of a struct at an offset."""
    for name, member in struct.members.items():
        if member.offset <= offset < member.offset + member.size:
            return name
    return f"{offset:#x}"
