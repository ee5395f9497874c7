"""Annotated disassembly of an image, or of the text that a recorded run left behind."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from emu.analysis import phases
from emu.arch import port_named
from emu.arch.port import Port
from emu.build.decode import Instruction, decode
from emu.build.image import Image, build_kernel
from emu.build.manifest import load_manifest
from emu.build.memory_map import TRAMPOLINES
from emu.errors import EmuError, UnknownNameError
from emu.kernel.kallsyms import Kallsyms, Symbol
from emu.kernel.symbols import kernel_symbols
from emu.trace.run import Run
from emu.trace.schema import EventKind

WHOLE_POKE = 8
"""A TEXT_POKE event carries its first 8 bytes, so longer ones (new trampolines) can't be played again."""

_LAST_NUMBER = re.compile(r"#?(0x[0-9a-f]+)$")
_ADDRESS = re.compile(r"(?<![\w+-] )0x[0-9a-f]{6,8}\b")
_PC_RELATIVE = re.compile(r"\[rip ([+-]) (0x[0-9a-f]+|\d+)\]")


class ImageChangedError(EmuError):
    """The image that a run was made with is not the one that this klpemu builds."""

    def __init__(self, image: str, found: str, expected: str, made_with: str) -> None:
        super().__init__(
            f"the run's image {image!r} is not the one of this klpemu: {found}, expected {expected}; "
            f"disassemble it with the klpemu that recorded it ({made_with})"
        )
        self.image, self.found, self.expected = image, found, expected


class SiteKind(StrEnum):
    """Where a function can be traced."""

    ENTRY = "entry"
    """At its first instruction, or behind its landing pad: it can be live-patched."""
    MCOUNT = "mcount"
    """Behind its prologue."""
    NONE = "none"


class SiteState(StrEnum):
    """What stands at a function's site."""

    LINKED = "as linked"
    OFF = "off"
    ON = "on"
    BREAKPOINT = "breakpoint"
    """A text poke is half done."""
    NONE = "no site"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One instruction.

    Args:
        address: of its first byte.
        code: its bytes.
        text: mnemonic and operands; the target of a branch by name.
        source: ``file:line``, empty where the source has no instruction there.
        labels: inner labels that stand before it.
        target: of a direct branch or call; None for all else.
        is_site: whether this is what a text poke rewrites to trace the function.
        notes: what else there is to know.
    """

    address: int
    code: bytes
    text: str
    source: str
    labels: tuple[str, ...]
    target: int | None
    is_site: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What an enabled patch makes of a function.

    Args:
        patch: its name.
        replacement: name of the function that runs instead; the function's own name for a nop func.
        is_nop: whether the replacement is the original, in an atomic replace patch.
        in_transition: whether some tasks take this and others not.
    """

    patch: str
    replacement: str
    is_nop: bool
    in_transition: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function.

    Args:
        name, address, size: of it; ``size`` in bytes.
        source: file.
        site: where it can be traced.
        state: what stands there.
        calls: name of what its site calls; empty unless it is on.
        versions: patches that cover it, oldest first; the last one wins.
        lines: its code.
    """

    name: str
    address: int
    size: int
    source: str
    site: SiteKind
    state: SiteState
    calls: str
    versions: tuple[Version, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disassembly:
    """Functions of one image.

    Args:
        arch, image: which.
        functions: in order of address, or as asked for.
        is_run: whether this is the text at the end of a run, not what the linker made.
        notes: what a reader should know about the run.
    """

    arch: str
    image: str
    functions: tuple[Function, ...]
    is_run: bool = False
    notes: tuple[str, ...] = ()


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
    wanted = _wanted(image, functions)
    text = _Text(port, image, {}, {})
    return Disassembly(arch=arch, image=name, functions=tuple(map(text.function, wanted)))


def disassemble_run(run: Run, functions: Sequence[str] = ()) -> Disassembly:
    """Return the code of a run's kernel as it stood when the run ended: all text pokes are played again.

    Args:
        run: recorded, complete or not.
        functions: the ones wanted, in order; none = all.

    Raises:
        UnknownNameError: this klpemu has no such image or port, or the image no such function.
        ImageChangedError: its image is not the one that ran.
    """
    port = port_named(run.meta["arch"])
    image = build_kernel(port, load_manifest(run.meta["image"]))
    _check_same_image(image, run)
    wanted = _wanted(image, functions)
    text = _Text(port, image, _names_of_run(run, image), _versions(run))
    ignored = text.poke(run)
    notes = list(run.notes)
    if ignored:
        long = f"text pokes of more than {WHOLE_POKE} bytes"
        notes.append(f"{ignored} {long} can't be shown: events hold the first {WHOLE_POKE}")
    return Disassembly(
        arch=run.meta["arch"], image=run.meta["image"], is_run=True, notes=tuple(notes),
        functions=tuple(map(text.function, wanted)),
    )  # fmt: skip


def _wanted(image: Image, names: Sequence[str]) -> list[Symbol]:
    """Return the functions called ``names``, each once; all, by address, when there are no names."""
    places = [(base, base + len(code)) for base, code in image.text]
    known = {
        symbol.name: symbol
        for symbol in sorted(kernel_symbols(image, None), key=lambda symbol: symbol.address)
        if symbol.size and any(base <= symbol.address < end for base, end in places)
    }
    for name in names:
        if name not in known:
            raise UnknownNameError("function", name, sorted(known))
    return [known[name] for name in dict.fromkeys(names)] if names else list(known.values())


def _check_same_image(image: Image, run: Run) -> None:
    made_with = f"version {run.meta['versions'].get('klpemu', 'unknown')}"
    for name, symbol in image.symbols.items():
        recorded = run.symbols.get(name)
        if symbol.size and recorded is not None and recorded.address != symbol.address:
            raise ImageChangedError(
                image.name, f"{name} was at {recorded.address:#x}", f"{symbol.address:#x}", made_with
            )


def _names_of_run(run: Run, image: Image) -> dict[str, Symbol]:
    """Return the symbols that only the run knows: of modules, patches, trampolines."""
    return {
        name: Symbol(name=name, address=symbol.address, size=symbol.size, object=_OF_RUN)
        for name, symbol in run.symbols.items()
        if name not in image.symbols
    }


_OF_RUN = "run"


def _versions(run: Run) -> dict[str, tuple[Version, ...]]:
    """Return, by function, the patches that are enabled when the run ends."""
    last, patches = phases(run.events, run.meta)[-1], run.meta["patches"]
    moving = set(last.unpatched) ^ set(last.patched)
    found: dict[str, tuple[Version, ...]] = {}
    # Between two versions the older ones are in ``unpatched``, the one that comes or goes in ``patched``.
    for index in dict.fromkeys((*last.unpatched, *last.patched)):
        for function, replacement in patches[index]["functions"].items():
            version = Version(
                patch=patches[index]["name"], replacement=replacement, is_nop=replacement == function,
                in_transition=index in moving,
            )  # fmt: skip
            found[function] = (*found.get(function, ()), version)
    return found


class _Text:
    """An image's text with what has been poked into it, and names for its addresses."""

    def __init__(
        self,
        port: Port,
        image: Image,
        more: Mapping[str, Symbol],
        versions: Mapping[str, tuple[Version, ...]],
    ) -> None:
        self._port, self._image, self._versions = port, image, versions
        self._linked = image.text
        self._now = [(base, bytearray(code)) for base, code in image.text]
        self._kallsyms = Kallsyms()
        own = kernel_symbols(image, None)
        self._kallsyms.add(_OF_RUN, more.values())
        self._kallsyms.add(None, own)
        self._inner: dict[int, list[str]] = {}
        for symbol in own:
            if not symbol.size:
                self._inner.setdefault(symbol.address, []).append(symbol.name)
        self._traps = {
            address: f"{'BUG' if is_bug else 'WARN'} {place}" for address, place, is_bug in image.traps
        }
        self._sources = {address: f"{file}:{line}" for address, file, line in image.lines}
        self._starts = [address for address, _, _ in image.lines]
        self._is_run = False

    def poke(self, run: Run) -> int:
        """Play the text pokes of ``run`` again; return how many of the kernel's text could not be."""
        self._is_run = True
        pokes = run.events[run.events["kind"] == EventKind.TEXT_POKE]
        ignored = 0
        for row in pokes[np.argsort(pokes["seq"], kind="stable")]:
            address, size = int(row["a"]), int(row["b"])
            for base, code in self._now:
                if base <= address and address + size <= base + len(code):
                    if size > WHOLE_POKE:
                        ignored += 1
                    else:
                        first = int(row["c"]).to_bytes(8, "little")
                        code[address - base : address - base + size] = first[:size]
        return ignored

    def function(self, symbol: Symbol) -> Function:
        """Return one function."""
        name, address = symbol.name, symbol.address
        kind, poked_at = self._site(symbol)
        state, calls = self._state(kind, poked_at)
        versions = self._versions.get(name, ())
        lines = tuple(self._lines(symbol, poked_at, _site_note(kind, state, calls, versions)))
        return Function(
            name=name, address=address, size=symbol.size, site=kind, state=state, calls=calls,
            source=next((line.source.rpartition(":")[0] for line in lines if line.source), ""),
            versions=versions, lines=lines,
        )  # fmt: skip

    def _site(self, symbol: Symbol) -> tuple[SiteKind, int]:
        """Return the kind of the function's site and the address that a text poke rewrites, 0 for none."""
        at, site = self._image.sites.get(symbol.name), self._port.site
        if at is None:
            return SiteKind.NONE, 0
        before = _bytes_at(self._linked, symbol.address, at - symbol.address)
        if not before or before in site.landing_pads:
            return SiteKind.ENTRY, at + site.poke_offset
        return SiteKind.MCOUNT, at

    def _state(self, kind: SiteKind, poked_at: int) -> tuple[SiteState, str]:
        """Return what stands at a site, and the name of what it calls."""
        if kind is SiteKind.NONE:
            return SiteState.NONE, ""
        site = self._port.site
        if not self._is_run:
            return SiteState.LINKED, ""
        code = _bytes_at(self._now, poked_at, site.poke_size)
        if code == site.nop:
            return SiteState.OFF, ""
        if code.startswith(self._port.trap):
            return SiteState.BREAKPOINT, ""
        target = self._port.call_target(poked_at, code)
        if target is None or code == _bytes_at(self._linked, poked_at, site.poke_size):
            return SiteState.LINKED, ""
        return SiteState.ON, self._name(target).removesuffix("+0x0")

    def _lines(self, symbol: Symbol, poked_at: int, site_note: str) -> Iterator[Line]:
        end = symbol.address + symbol.size
        starts = self._starts[
            bisect_right(self._starts, symbol.address) : bisect_right(self._starts, end - 1)
        ]
        site = (poked_at, poked_at + self._port.site.poke_size) if poked_at else ()
        for start, stop in pairwise(sorted({symbol.address, *starts, *site, end})):
            code = _bytes_at(self._now, start, stop - start)
            changed = "" if self._is_run and start == poked_at else self._change(start, code)
            for at, piece, instruction in self._pieces(start, code, half_done=start == poked_at):
                notes = [site_note] if at == poked_at else []
                if at == start and changed:
                    notes.append(changed)
                if at in self._traps:
                    notes.append(self._traps[at])
                text, target = _bytes_text(piece), None
                if instruction is not None:
                    text, target = self._symbolised(instruction)
                    notes += self._mentioned(instruction) if target is None else []
                yield Line(
                    address=at, code=piece, text=text, target=target, source=self._sources.get(at, ""),
                    labels=tuple(self._inner.get(at, ())), is_site=at == poked_at, notes=tuple(notes),
                )  # fmt: skip

    def _pieces(
        self, start: int, code: bytes, *, half_done: bool
    ) -> Iterator[tuple[int, bytes, Instruction | None]]:
        """Return (address, bytes, instruction) of each instruction, None for bytes that are none."""
        trap = self._port.trap
        whole = code[: len(trap)] if half_done and code.startswith(trap) else code
        done = 0
        for instruction in decode(self._port, whole, start):
            yield start + done, code[done : done + instruction.size], instruction
            done += instruction.size
        if done < len(code):
            yield start + done, code[done:], None

    def _change(self, start: int, code: bytes) -> str:
        """Return what stood at ``start`` before a text poke changed it; empty if none did."""
        before = _bytes_at(self._linked, start, len(code))
        if code == before:
            return ""
        texts = [
            _bytes_text(piece) if instruction is None else self._symbolised(instruction)[0]
            for _, piece, instruction in self._pieces(start, before, half_done=False)
        ]
        return f"poked; was {'; '.join(texts)}"

    def _symbolised(self, instruction: Instruction) -> tuple[str, int | None]:
        """Return the instruction's text, its direct target by name if it has one, and that target."""
        found = _LAST_NUMBER.search(instruction.operands)
        if found is None or not instruction.groups & {"jump", "call"}:
            return instruction.text, None
        target = int(found[1], 16)
        operands = instruction.operands[: found.start()] + self._name(target)
        return f"{instruction.mnemonic} {operands}", target

    def _mentioned(self, instruction: Instruction) -> list[str]:
        """Return the symbols whose addresses the operands spell out."""
        addresses = [int(number, 16) for number in _ADDRESS.findall(instruction.operands)]
        for sign, distance in _PC_RELATIVE.findall(instruction.operands):
            addresses.append(instruction.address + instruction.size + int(f"{sign}{distance}", 0))
        return [self._name(address) for address in addresses if self._kallsyms.containing(address)]

    def _name(self, address: int) -> str:
        """Return ``symbol+offset`` of an address; the bare address, and its area, if no symbol is known."""
        if address in self._inner:
            return f"{self._inner[address][0]}+0x0"
        place = self._kallsyms.containing(address)
        if place is not None:
            return f"{place.symbol.name}+{place.offset:#x}"
        return f"{'trampoline@' if address in TRAMPOLINES else ''}{address:#x}"


def _bytes_at(text: Sequence[tuple[int, bytes | bytearray]], address: int, size: int) -> bytes:
    for base, code in text:
        if base <= address < base + len(code):
            return bytes(code[address - base : address - base + size])
    return b""


def _bytes_text(code: bytes) -> str:
    return ".byte " + ", ".join(f"{byte:#04x}" for byte in code)


def _site_note(kind: SiteKind, state: SiteState, calls: str, versions: Sequence[Version]) -> str:
    parts = [f"calls {calls}"] if calls else []
    for version in versions:
        when = ", in transition" if version.in_transition else ""
        runs = "original" if version.is_nop else version.replacement
        parts.append(f"runs {runs} ({version.patch}{when})")
    if state is SiteState.ON:
        return f"patched: {', '.join(parts)}"
    what = f"site ({kind})" if state is SiteState.LINKED else f"site: {state}"
    return ", ".join([what, *parts])
