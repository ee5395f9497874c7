"""The instructions of a function, each with its source, its labels and what has happened to it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from emu.arch.port import Port
from emu.build.decode import Instruction, decode
from emu.lab.disassembly.listing import Line
from emu.lab.disassembly.names import Names
from emu.lab.disassembly.sites import Site
from emu.lab.disassembly.text import Text


def lines_of(
    port: Port, text: Text, start: int, size: int, *, names: Names, site: Site, site_note: str
) -> Iterator[Line]:
    """Yield the instructions of a function.

    Args:
        port: architecture.
        text: that the function is in.
        start, size: of the function.
        names: for addresses.
        site, site_note: the function's, and what to say of it.
    """
    block, end, poked_at = text.block, start + size, site.address
    edges = {start, end, *(at for at in block.lines if start < at < end)}
    edges |= {poked_at, poked_at + port.site.poke_size} if poked_at else set()
    for low, high in pairwise(sorted(edges)):
        code = text.bytes(low, high - low)
        before = text.bytes(low, high - low, linked=True)
        # the site's own note tells what became of it
        changes = _changes(port, low, code, before, names) if low != poked_at else {}
        for at, piece, instruction in _pieces(port, low, code, half_done=low == poked_at):
            notes = [site_note] if at == poked_at else []
            if at in changes:
                notes.append(changes[at])
            if at in block.traps:
                notes.append(block.traps[at])
            words, target = _bytes_text(piece), None
            if instruction is not None:
                words, target = names.symbolised(instruction)
                notes += names.mentioned(instruction) if target is None else []
            yield Line(
                address=at, code=piece, text=words, target=target, source=block.lines.get(at, ""),
                labels=names.labels(at), is_site=at == poked_at, notes=tuple(notes),
            )  # fmt: skip


def _pieces(
    port: Port, start: int, code: bytes, *, half_done: bool
) -> Iterator[tuple[int, bytes, Instruction | None]]:
    """Yield (address, bytes, instruction) of each instruction, None for bytes that are none."""
    whole = code[: len(port.trap)] if half_done and code.startswith(port.trap) else code
    done = 0
    for instruction in decode(port, whole, start):
        yield start + done, code[done : done + instruction.size], instruction
        done += instruction.size
    if done < len(code):
        yield start + done, code[done:], None


def _changes(port: Port, start: int, code: bytes, before: bytes, names: Names) -> dict[int, str]:
    """Return what stood there before text pokes, by address: of each instruction, or of all together."""
    if code == before:
        return {}
    now, then = (
        {at: piece for at, piece, _ in _pieces(port, start, text, half_done=False)} for text in (code, before)
    )
    if now.keys() != then.keys():
        return {start: _was(port, start, before, names)}
    return {at: _was(port, at, then[at], names) for at in now if now[at] != then[at]}


def _was(port: Port, start: int, before: bytes, names: Names) -> str:
    """Return what stood at ``start`` before a text poke changed it."""
    texts = [
        _bytes_text(piece) if instruction is None else names.symbolised(instruction)[0]
        for _, piece, instruction in _pieces(port, start, before, half_done=False)
    ]
    return f"poked; was {'; '.join(texts)}"


def _bytes_text(code: bytes) -> str:
    return ".byte " + ", ".join(f"{byte:#04x}" for byte in code)
