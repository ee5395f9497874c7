"""Code that came into memory while a run went on: what ``code.jsonl`` holds, checked when it is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emu.trace.errors import RunFileError

LARGEST = 1 << 24
"""Bytes of one block at most; all text there is takes a tenth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBlock:
    """Code as it was put in memory. Text pokes of later numbers have changed it since.

    Args:
        kind: ``module``, ``patch``, ``trampoline`` or ``plt``.
        name: of the module or patch; of a trampoline its symbol.
        seq: the run's one counter when it was there, see `emu.trace.schema`.
        address: of its first byte.
        code: its bytes.
        symbols: address and size by name, as in ``symbols.json``; size 0 = an inner label.
        sites: address of the entry site by the function's name.
        traps: what traps, by address: ``WARN place``.
        lines: ``file:line`` of instructions, by address.
    """

    kind: str
    name: str
    seq: int
    address: int
    code: bytes
    symbols: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    sites: Mapping[str, int] = field(default_factory=dict)
    traps: Mapping[int, str] = field(default_factory=dict)
    lines: Mapping[int, str] = field(default_factory=dict)

    def to_line(self) -> str:
        """Return the block as a line of ``code.jsonl``."""
        fields = {
            "kind": self.kind,
            "name": self.name,
            "seq": self.seq,
            "address": self.address,
            "code": self.code.hex(),
            "symbols": self.symbols,
            "sites": self.sites,
            "traps": [*self.traps.items()],
            "lines": [*self.lines.items()],
        }
        return json.dumps(fields, separators=(",", ":")) + "\n"


def parse_code(text: str, path: Path) -> tuple[CodeBlock, ...]:
    """Return the blocks of a ``code.jsonl``; a last line that was cut short is left out.

    Raises:
        RunFileError: a line is not what `CodeBlock.to_line` writes.
    """
    return tuple(_block(line, number, path) for number, line in enumerate(text.split("\n")[:-1], 1))


def _block(line: str, number: int, path: Path) -> CodeBlock:
    try:
        value = json.loads(line)
        block = CodeBlock(
            kind=_text(value["kind"]),
            name=_text(value["name"]),
            seq=_number(value["seq"]),
            address=_number(value["address"]),
            code=bytes.fromhex(value["code"]),
            symbols={name: (_number(at), _number(size)) for name, (at, size) in value["symbols"].items()},
            sites={name: _number(at) for name, at in value["sites"].items()},
            traps={_number(at): _text(what) for at, what in value["traps"]},
            lines={_number(at): _text(place) for at, place in value["lines"]},
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RunFileError(path, f"line {number} is malformed", "a block of code") from error
    if not 0 < len(block.code) <= LARGEST:
        raise RunFileError(path, f"line {number} has {len(block.code)} bytes of code", f"1 to {LARGEST}")
    return block


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ValueError(value)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
