"""Annotated disassembly of an image, or of the text that a recorded run left behind."""

from emu.lab.disassembly.disassemble import ImageChangedError, disassemble_image, disassemble_run
from emu.lab.disassembly.listing import Disassembly, Function, Line, SiteKind, SiteState, Version

__all__ = [
    "Disassembly",
    "Function",
    "ImageChangedError",
    "Line",
    "SiteKind",
    "SiteState",
    "Version",
    "disassemble_image",
    "disassemble_run",
]
