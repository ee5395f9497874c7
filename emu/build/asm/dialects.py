"""The one list of dialects."""

from emu.arch.port import Port
from emu.build.asm import arm64, x86_64
from emu.build.asm.dialect import Dialect
from emu.errors import UnknownNameError

_DIALECTS: dict[str, Dialect] = {"x86_64": x86_64.DIALECT, "arm64": arm64.DIALECT}


def dialect_of(port: Port) -> Dialect:
    """Return the dialect of ``port``, or raise `UnknownNameError`."""
    if port.name not in _DIALECTS:
        raise UnknownNameError("assembly dialect", port.name, sorted(_DIALECTS))
    return _DIALECTS[port.name]
