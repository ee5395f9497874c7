"""Text pokes: what stands at a site before and after, and how the patching CPU rewrites it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from emu.ftrace.text_poke import TextPoke
from emu.lab.explorer.replay import Replay
from emu.lab.explorer.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Part of a site that one fetch gets: on arm64 a word, on x86-64 bytes.

    An x86-64 CPU may fetch any byte of an instruction before or after the others. The bytes behind the
    first two are stored by the same stores, so nothing new can happen to each of them alone: they are one.

    Args:
        address: of it.
        size: bytes.
        old, new: what stands there before and after.
        part: which instruction of the site it belongs to.
    """

    address: int
    size: int
    old: int
    new: int
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Poking:
    """One poke.

    Args:
        name, description: for people.
        ports: where there is such a thing.
        pieces: (world, site) -> what is rewritten.
        body: (replay, pieces) -> what the patching CPU does.
        dropped: what it leaves out.
        wrong: (old or new, per part of the site) -> what is wrong with running them so; "" if nothing is.
    """

    name: str
    description: str
    ports: tuple[str, ...] = ("x86_64", "arm64")
    pieces: Callable[[World, int], tuple[Piece, ...]]
    body: Callable[[Replay, Sequence[Piece]], None]
    dropped: tuple[str, ...] = ()
    wrong: Callable[[tuple[str, ...]], str] = field(default=lambda parts: "")


def bytes_of(pieces: Sequence[Piece], *, new: bool) -> bytes:
    """Return the bytes that pieces stand for."""
    return b"".join((piece.new if new else piece.old).to_bytes(piece.size, "little") for piece in pieces)


def _site(world: World, site: int, *, on: bool) -> tuple[Piece, ...]:
    port = world.port
    call = port.encode_call(site, world.address("ftrace_caller"))
    old, new = (port.site.nop, call) if on else (call, port.site.nop)
    return pieces_of(site, old, new, (1, 1, 3) if port.text_is_coherent else (4,))


def pieces_of(
    at: int, old: bytes, new: bytes, sizes: Sequence[int], parts: Sequence[int] = ()
) -> tuple[Piece, ...]:
    """Return the pieces of a site.

    Args:
        at: its address.
        old, new: its bytes before and after.
        sizes: of the pieces.
        parts: the instruction that each is part of; all of one if not given.
    """
    found, offset = [], 0
    for number, size in enumerate(sizes):
        before, after = (int.from_bytes(data[offset : offset + size], "little") for data in (old, new))
        part = parts[number] if parts else 0
        found.append(Piece(address=at + offset, size=size, old=before, new=after, part=part))
        offset += size
    return tuple(found)


def poke_site(replay: Replay, pieces: Sequence[Piece]) -> None:
    """Rewrite a site by the port's own protocol."""
    TextPoke(replay.guest, replay.ftrace.kallsyms).poke(pieces[0].address, bytes_of(pieces, new=True))


POKING: Mapping[str, Poking] = MappingProxyType(
    {
        poking.name: poking
        for poking in (
            Poking(
                name="poke-on",
                description="a site is switched on while it is run",
                pieces=lambda world, site: _site(world, site, on=True),
                body=poke_site,
            ),
            Poking(
                name="poke-off",
                description="a site is switched off while it is run",
                pieces=lambda world, site: _site(world, site, on=False),
                body=poke_site,
            ),
        )
    }
)
"""By name."""
