"""One folder per port: data and small functions of the same names."""

from emu.arch.errors import OutOfReachError
from emu.arch.port import EntrySite, Port, Registers
from emu.arch.registry import PORTS, port_named

__all__ = ["PORTS", "EntrySite", "OutOfReachError", "Port", "Registers", "port_named"]
