"""klpemu: live-patched function dispatch on simulated CPUs. See `Machine`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emu.lab.machine import Machine as Machine
    from emu.livepatch import Func as Func
    from emu.livepatch import Object as Object
    from emu.livepatch import Patch as Patch
    from emu.trace.reader import load_run as load_run

__version__ = "0.1.0"

_HOMES = {
    "Func": "emu.livepatch",
    "Machine": "emu.lab.machine",
    "Object": "emu.livepatch",
    "Patch": "emu.livepatch",
    "load_run": "emu.trace.reader",
}
__all__ = ["Func", "Machine", "Object", "Patch", "__version__", "load_run"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: the command line starts without the emulator."""
    if name not in _HOMES:
        raise AttributeError(f"module 'emu' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
