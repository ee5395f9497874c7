"""The one list of ports."""

from emu.arch.arm64.port import ARM64
from emu.arch.port import Port
from emu.arch.x86_64.port import X86_64
from emu.errors import UnknownNameError

PORTS: dict[str, Port] = {port.name: port for port in (X86_64, ARM64)}


def port_named(name: str) -> Port:
    """Return the port called ``name``, or raise `UnknownNameError`."""
    if name not in PORTS:
        raise UnknownNameError("port", name, sorted(PORTS))
    return PORTS[name]
