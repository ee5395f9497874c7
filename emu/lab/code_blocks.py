"""Code that appears on a running machine, as its recording keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emu.arch.tracing import Poke
from emu.build.contents import VMLINUX
from emu.build.image import Image
from emu.kernel.modules import Module
from emu.kernel.symbols import kernel_symbols
from emu.trace.code import CodeBlock


def block_of_module(module: Module, image: Image, names: Mapping[str, str], seq: int) -> CodeBlock:
    """Return a module's code.

    Args:
        module, image: it.
        names: its symbols' names in the recording, by their names in the image.
        seq: the run's counter now.
    """
    (base, code), *_ = image.text
    return CodeBlock(
        kind="patch" if module.livepatch else "module",
        name=module.name,
        seq=seq,
        address=base,
        code=code,
        symbols={
            names[key]: (symbol.address, symbol.size)
            for key, symbol in image.symbols.items()
            if key in names and base <= symbol.address < base + len(code)
        },
        sites={names[key]: site for key, site in image.sites.items() if key in names},
        traps=traps_of(image),
        lines=lines_of(image),
    )


def block_of_trampoline(
    name: str, address: int, code: bytes, *, template: int, kernel: Image, seq: int
) -> CodeBlock:
    """Return a private copy of a shared caller.

    Args:
        name: of it in the recording.
        address, code: of it.
        template: address of what it is a copy of.
        kernel: the image that is in.
        seq: the run's counter now.
    """
    moved = address - template
    lines = {at + moved: place for at, place in lines_of(kernel).items() if 0 <= at - template < len(code)}
    symbols = {name: (address, len(code))}
    return CodeBlock(
        kind="trampoline", name=name, seq=seq, address=address, code=code, symbols=symbols, lines=lines
    )


def block_of_plt(module: str, entries: Sequence[Poke], names: Sequence[str], seq: int) -> CodeBlock:
    """Return a module's PLT.

    Args:
        module: its name.
        entries: code of each entry, one behind the other.
        names: of the entries in the recording.
        seq: the run's counter now.
    """
    return CodeBlock(
        kind="plt",
        name=module,
        seq=seq,
        address=entries[0].address,
        code=b"".join(entry.data for entry in entries),
        symbols={name: (entry.address, len(entry.data)) for name, entry in zip(names, entries, strict=True)},
    )


def blocks_of_kernel(image: Image) -> list[CodeBlock]:
    """Return the kernel's own code, by address, with its symbols' own names."""
    symbols = kernel_symbols(image, None)
    return [
        CodeBlock(
            kind="kernel",
            name=VMLINUX,
            seq=0,
            address=base,
            code=code,
            symbols={
                symbol.name: (symbol.address, symbol.size)
                for symbol in symbols
                if base <= symbol.address < base + len(code)
            },
            sites=image.sites,
            traps=traps_of(image),
            lines=lines_of(image),
        )
        for base, code in sorted(image.text)
    ]


def traps_of(image: Image) -> dict[int, str]:
    """Return what traps in an image, by address: ``WARN place``."""
    return {address: f"{'BUG' if is_bug else 'WARN'} {place}" for address, place, is_bug in image.traps}


def lines_of(image: Image) -> dict[int, str]:
    """Return ``file:line`` of each instruction of an image, by address."""
    return {address: f"{file}:{line}" for address, file, line in image.lines}
