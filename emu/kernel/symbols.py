"""An image's symbols as the kernel's symbol table wants them."""

from __future__ import annotations

from emu.build.image import MARKS, Image
from emu.kernel.kallsyms import Symbol


def kernel_symbols(image: Image, owner: str | None) -> list[Symbol]:
    """Return functions, labels and variables of ``image`` as symbols of object ``owner`` (None: vmlinux)."""
    return [
        Symbol(name=symbol.name, address=symbol.address, size=symbol.size, object=owner)
        for symbol in image.symbols.values()
        if not symbol.name.startswith(MARKS)
    ]
