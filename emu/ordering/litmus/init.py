"""Reads the initial state of a litmus test."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from emu.ordering.litmus.errors import LitmusError, UnsupportedTestError
from emu.ordering.litmus.source import Source
from emu.ordering.litmus.values import INT, Type, type_named

_ITEM = re.compile(
    r"""(?:(?P<type>(?:[A-Za-z_]\w*\s+)*?[A-Za-z_]\w*)\s*(?P<star>\*+\s*|\s))?
        (?:(?P<cpu>\d+)\s*:\s*(?P<register>[%\w.]+)|\[\s*(?P<boxed>[^\]]+?)\s*\]|(?P<symbol>[A-Za-z_][\w.]*))
        \s*(?:\[\s*(?P<count>\d+)\s*\])?\s*(?:=\s*(?P<value>.+))?$""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN = re.compile(r"(?:(\d+)\s*:\s*([A-Za-z]\w*)|\[?([a-z]\w*)\]?)\s*=\s*(-?\w+|P\d+:\w+)$")


@dataclass(slots=True)
class Item:
    """One entry of the initial state.

    Args:
        line: it begins on.
        cpu: of a register; -1: memory.
        name: of the register or symbol.
        type: declared; None: not.
        value: as written; None: not given.
    """

    line: int
    cpu: int
    name: str
    type: Type | None
    value: str | None


@dataclass(slots=True)
class Init:
    """The initial state, unresolved.

    Args:
        items: in order.
        types: of registers ``(cpu, name)`` and symbols ``(-1, name)``.
    """

    items: list[Item] = field(default_factory=list)
    types: dict[tuple[int, str], Type] = field(default_factory=dict)


def _split(text: str) -> list[tuple[int, str]]:
    """Split at semicolons outside quotes and brackets; return offsets and pieces."""
    pieces, start, depth, quoted = [], 0, 0, False
    for at, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in "{(":
            depth += 1
        elif char in "})":
            depth -= 1
        elif char == ";" and not depth:
            pieces.append((start, text[start:at]))
            start = at + 1
    pieces.append((start, text[start:]))
    return pieces


def read_init(source: Source, register: Callable[[str, int], str]) -> Init:
    """Return the initial state of a test.

    Args:
        source: of the test.
        register: gives the full register that a name on a line stands for.

    Raises:
        LitmusError: something in it can't be read.
        UnsupportedTestError: it uses something that is not modelled.
    """
    first, text = source.init
    init = Init()
    for offset, piece in _split(text):
        lead = len(piece) - len(piece.lstrip())
        line = first + text.count("\n", 0, offset + lead)
        stripped = " ".join(piece.split())
        if not stripped:
            continue
        _read_item(source, init, line, stripped, register)
    return init


def _read_item(source: Source, init: Init, line: int, text: str, register: Callable[[str, int], str]) -> None:
    plain = _PLAIN.match(text)
    declared: Type | None = None
    if plain is not None:
        cpu = int(plain[1]) if plain[1] else -1
        name = plain[2] or plain[3]
        value: str | None = plain[4]
    else:
        if re.search(r"\b(PTE|TTD|PA|TAG|oa|db|valid)\b\s*[(:]", text):
            raise UnsupportedTestError(source.path, line, "virtual memory (vmsa) is not modelled")
        match = _ITEM.match(text)
        if match is None:
            raise LitmusError(
                source.path, line, f"{text!r} is not an entry of the initial state, such as 0:X1=x or x=1"
            )
        value = match["value"]
        cpu = int(match["cpu"]) if match["cpu"] else -1
        name = match["register"] or match["boxed"] or match["symbol"]
        if match["type"]:
            declared = type_named(match["type"], pointer="*" in (match["star"] or ""))
            if declared is None:
                raise LitmusError(
                    source.path, line, f"{match['type']!r} is not a type, such as int or uint64_t"
                )
            if match["type"].split()[-1].startswith("pteval"):
                raise UnsupportedTestError(source.path, line, "virtual memory (vmsa) is not modelled")
        if match["count"] and (value is None or value.startswith("{")):
            declared = declared or INT
            declared = replace(declared, count=int(match["count"]))
        elif match["count"]:
            name = f"{name}[{match['count']}]"
    if cpu >= 0:
        name = register(name.lstrip("%"), line)
    if declared is not None:
        init.types[cpu, name] = declared
    init.items.append(Item(line, cpu, name, declared, None if value is None else value.strip()))
