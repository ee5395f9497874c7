"""Disassembling an image as it was linked, or all text of a run as it stood in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from emu.arch import port_named
from emu.arch.port import Port
from emu.build.image import Image, build_kernel
from emu.build.manifest import load_manifest
from emu.errors import EmuError, UnknownNameError
from emu.lab.code_blocks import blocks_of_kernel
from emu.lab.disassembly.lines import lines_of
from emu.lab.disassembly.listing import Disassembly, Function, Version
from emu.lab.disassembly.names import Names
from emu.lab.disassembly.sites import site_of
from emu.lab.disassembly.text import WHOLE_POKE, Text, play
from emu.lab.disassembly.versions import versions_of
from emu.trace.run import Run
from emu.units import counted


class ImageChangedError(EmuError):
    """The image that a run was made with is not the one that this klpemu builds."""

    def __init__(self, image: str, found: str, expected: str, made_with: str) -> None:
        super().__init__(
            f"the run's image {image!r} is not the one of this klpemu: {found}, expected {expected}; "
            f"disassemble it with the klpemu that recorded it ({made_with})"
        )
        self.image, self.found, self.expected = image, found, expected


def disassemble_image(name: str, arch: str, functions: Sequence[str] = ()) -> Disassembly:
    """Return the code of a shipped image as it was linked.

    Args:
        name: of the image.
        arch: port.
        functions: the ones wanted, in order; none = all.

    Raises:
        UnknownNameError: there is no such image, port or function.
    """
    port = port_named(arch)
    image = build_kernel(port, load_manifest(name))
    texts = [Text(block) for block in blocks_of_kernel(image)]
    names = Names(_symbols_of(image), [text.block for text in texts])
    wanted = _wanted(texts, functions)
    return Disassembly(
        arch=arch, image=name,
        functions=tuple(_function(port, *one, names, versions={}, is_run=False) for one in wanted),
    )  # fmt: skip


def disassemble_run(run: Run, functions: Sequence[str] = ()) -> Disassembly:
    """Return all code of a run as it stood when the run ended: its text pokes are played again.

    Args:
        run: recorded, complete or not.
        functions: the ones wanted, in order; none = all.

    Raises:
        UnknownNameError: this klpemu has no such image or port, or the run no such function.
        ImageChangedError: its image is not the one that ran.
    """
    port = port_named(run.meta["arch"])
    image = build_kernel(port, load_manifest(run.meta["image"]))
    _check_same_image(image, run)
    texts = [Text(block) for block in (*blocks_of_kernel(image), *run.code)]
    symbols = {name: (symbol.address, symbol.size) for name, symbol in run.symbols.items()}
    for text in texts:
        symbols.update(text.block.symbols)
    names = Names(symbols | _symbols_of(image), [text.block for text in texts])
    wanted, versions = _wanted(texts, functions), versions_of(run)
    ignored = play(run, texts)
    notes = list(run.notes)
    if ignored:
        pokes = counted(ignored, "text poke")
        notes.append(
            f"{pokes} of more than {WHOLE_POKE} bytes can't be shown: events hold the first {WHOLE_POKE}"
        )
    return Disassembly(
        arch=run.meta["arch"], image=run.meta["image"], is_run=True, notes=tuple(notes),
        functions=tuple(_function(port, *one, names, versions=versions, is_run=True) for one in wanted),
    )  # fmt: skip


def _symbols_of(image: Image) -> dict[str, tuple[int, int]]:
    return {name: (symbol.address, symbol.size) for name, symbol in image.symbols.items()}


def _wanted(texts: Sequence[Text], names: Sequence[str]) -> list[tuple[Text, str]]:
    """Return where the functions called ``names`` are, each once; all when there are no names.

    A patch's function can be asked for without the patch in front.
    """
    known: dict[str, list[tuple[Text, str]]] = {}
    for text, name in _functions_of(texts):
        bare = name.rpartition(":")[2] if text.block.kind == "patch" else name
        for spelling in {name, bare}:
            known.setdefault(spelling, []).append((text, name))
    for name in names:
        if name not in known:
            raise UnknownNameError("function", name, sorted(known))
    chosen = [one for name in names for one in known[name]] if names else [*_functions_of(texts)]
    return [*dict.fromkeys(chosen)]


def _functions_of(texts: Sequence[Text]) -> Iterator[tuple[Text, str]]:
    for text in texts:
        symbols = sorted(text.block.symbols.items(), key=lambda item: item[1][0])
        yield from ((text, name) for name, (at, size) in symbols if size and text.holds(at, size))


def _check_same_image(image: Image, run: Run) -> None:
    made_with = f"version {run.meta['versions'].get('klpemu', 'unknown')}"
    for name, symbol in image.symbols.items():
        recorded = run.symbols.get(name)
        if symbol.size and recorded is not None and recorded.address != symbol.address:
            raise ImageChangedError(
                image.name, f"{name} was at {recorded.address:#x}", f"{symbol.address:#x}", made_with
            )


def _function(
    port: Port,
    text: Text,
    name: str,
    names: Names,
    *,
    versions: Mapping[str, tuple[Version, ...]],
    is_run: bool,
) -> Function:
    address, size = text.block.symbols[name]
    own, site = versions.get(name, ()), site_of(port, text, name, names, is_run=is_run)
    lines = tuple(lines_of(port, text, address, size, names=names, site=site, site_note=site.note(own)))
    return Function(
        name=name, address=address, size=size,
        kind=text.block.kind, object=text.block.name, is_gone=text.is_gone,
        source=next((line.source.rpartition(":")[0] for line in lines if line.source), ""),
        site=site.kind, state=site.state, calls=site.calls, versions=own, lines=lines,
    )  # fmt: skip
