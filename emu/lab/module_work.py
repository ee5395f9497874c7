"""What a module does when it is loaded and unloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Parameters = Mapping[str, str]
"""Module parameters, as insmod takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleWork:
    """What a module does when it is loaded and unloaded: Python code, work of the patching CPU.

    Args:
        init: (its parameters) -> 0, or a negative errno with which it refuses to be loaded.
        exit: called before it goes.
    """

    init: Callable[[Parameters], int]
    exit: Callable[[], None]


NO_WORK = ModuleWork(init=lambda _parameters: 0, exit=lambda: None)
