"""What the conformance suite runs on: every registered port, its variants, both modes.

Nothing here names a port: which variants there are, its data say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from emu.arch import PORTS, Port
from emu.timing import cpu_model_names, load_cpu_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One way to run one port."""

    port: Port
    mode: str
    call_ops: bool = False
    far_modules: bool = False
    timing: str = "off"

    def __str__(self) -> str:
        extras = [name for name, on in (("call_ops", self.call_ops), ("far", self.far_modules)) if on]
        extras += [] if self.timing == "off" else [self.timing]
        return "-".join([self.port.name, *extras, self.mode])


def setups_of(port: Port, *, modes: tuple[str, ...] = ("fast", "exact"), far: bool = False) -> list[Setup]:
    """Return the variants of a port, with modules in reach and, if asked for, out of it."""
    literals = (False, True) if port.tracing.ops_literal is not None else (False,)
    distances = (False, True) if far and port.tracing.plt_entry is not None else (False,)
    return [
        Setup(port=port, mode=mode, call_ops=literal, far_modules=distance)
        for literal in literals
        for distance in distances
        for mode in modes
    ]


SETUPS = [setup for port in PORTS.values() for setup in setups_of(port)]
EXACT_SETUPS = [setup for port in PORTS.values() for setup in setups_of(port, modes=("exact",))]
_MODELS = {load_cpu_model(name).arch: name for name in cpu_model_names()}
TIMED_SETUPS = [
    replace(setup, timing=_MODELS[setup.port.name]) for setup in EXACT_SETUPS if setup.port.name in _MODELS
]
"""Each port and way of tracing with a cycle model: whatever the clocks, a kernel does the same."""
MODULE_SETUPS = [setup for port in PORTS.values() for setup in setups_of(port, far=True)]
