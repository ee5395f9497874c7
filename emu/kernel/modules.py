"""Which modules are loaded, in what state, and who holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from emu.build.klp import KlpSection
from emu.errors import EmuError


class ModuleState(Enum):
    """``module.state``; the text is what callbacks of the samples print. Source: include/linux/module.h."""

    LIVE = "live"
    COMING = "coming"
    GOING = "going"


TAINT_WARN, TAINT_OOT_MODULE, TAINT_UNSIGNED_MODULE, TAINT_LIVEPATCH = 1 << 9, 1 << 12, 1 << 13, 1 << 15
"""Source: include/linux/panic.h (6.1)."""


class ModuleLoadedError(EmuError):
    """A module is loaded twice."""

    def __init__(self, name: str) -> None:
        super().__init__(f"module {name!r} is loaded already; unload it first")
        self.name = name


@dataclass(slots=True, kw_only=True)
class KlpInfo:
    """Of a patch module: ``struct klp_modinfo``.

    Args:
        sections: its klp relocations.
        st_values: address of each livepatch symbol that has been looked up, by name of the ELF symbol.
    """

    sections: tuple[KlpSection, ...] = ()
    st_values: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Module:
    """A loaded module.

    Args:
        name: its name.
        base: first byte of its text.
        size: bytes of text.
        plt: room for its PLT entries to ftrace callers, 0 = none.
        state: see `ModuleState`.
        refs: holders; it can't go while there are any.
        livepatch: marked as a livepatch module.
        klp_alive: livepatch may patch it: from COMING until it goes.
        klp_info: what livepatch needs to relocate it.
        uses: loaded modules whose symbols it refers to; it holds them as long as it is there.
        used_by: the modules that hold it in that way, the newest first.
    """

    name: str
    base: int = 0
    size: int = 0
    plt: int = 0
    state: ModuleState = ModuleState.LIVE
    refs: int = 0
    livepatch: bool = False
    klp_alive: bool = False
    klp_info: KlpInfo = field(default_factory=KlpInfo)
    uses: tuple[str, ...] = ()
    used_by: list[str] = field(default_factory=list)


class Modules:
    """The loaded modules, in order of loading.

    Attributes:
        taint: TAINT_* of all modules that ever were; each counts as out of tree and unsigned.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, Module] = {}
        self.taint = 0

    def add(self, module: Module) -> None:
        """Enter a module, which takes a reference to each that it uses. Source: ref_module."""
        if module.name in self._loaded:
            raise ModuleLoadedError(module.name)
        self._loaded[module.name] = module
        for used in (self._loaded[name] for name in module.uses):
            used.refs += 1
            used.used_by.insert(0, module.name)
        self.taint |= TAINT_OOT_MODULE | TAINT_UNSIGNED_MODULE | (TAINT_LIVEPATCH if module.livepatch else 0)

    def remove(self, name: str) -> None:
        """Forget a module, and give back the references that it has. Source: module_unload_free."""
        for used in self._loaded.pop(name).uses:
            self._loaded[used].used_by.remove(name)
            self.put(used)

    def find(self, name: str) -> Module | None:
        """Return the module called ``name``, or None."""
        return self._loaded.get(name)

    def loaded(self) -> list[Module]:
        """Return all modules, in order of loading."""
        return list(self._loaded.values())

    def at(self, address: int) -> Module | None:
        """Return the module whose text holds ``address``, or None."""
        for module in self._loaded.values():
            if module.base <= address < module.base + module.size:
                return module
        return None

    def try_get(self, name: str) -> bool:
        """Take a reference; False when the module is not there or going. Source: try_module_get."""
        module = self._loaded.get(name)
        if module is None or module.state is ModuleState.GOING:
            return False
        module.refs += 1
        return True

    def put(self, name: str) -> None:
        """Give a reference back. Source: module_put."""
        module = self._loaded[name]
        assert module.refs > 0, f"reference count of module {name} would go below 0"
        module.refs -= 1
