"""Cuts the text of a litmus test into its parts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from emu.ordering.litmus.errors import LitmusError, UnsupportedTestError

ARCHITECTURES = {"AARCH64": "AArch64", "X86_64": "X86_64"}

_UNSUPPORTED = {
    "vmsa": "virtual memory (vmsa)", "kvm": "virtual memory (vmsa)", "memtag": "memory tagging (memtag)",
    "mte": "memory tagging (memtag)", "morello": "Morello", "sve": "SVE", "sme": "SME", "neon": "Neon",
    "pac": "pointer authentication (pac)", "gcs": "guarded control stacks (gcs)",
    "shadowstack": "guarded control stacks (gcs)", "asl": "ASL", "ets2": "ETS", "ets3": "ETS",
}  # fmt: skip
_FOREIGN = frozenset(["ARM", "PPC", "X86", "RISCV", "MIPS", "C", "LISA", "BPF", "ASL", "LK", "JAVA"])
"""Architectures and languages that other tools read litmus tests of."""
_HEADER = re.compile(r"\s*(\w+)[ \t]+(\S+)")
_KEY = re.compile(r"\s*([A-Za-z_]\w*)\s*=(.*)")
_CONDITION = re.compile(r"^[ \t]*(locations|exists|~\s*exists|forall|filter|with|final)\b", re.MULTILINE)


@dataclass(slots=True)
class Source:
    """A litmus test in parts; lines are numbers in the file, from 1.

    Args:
        path: of the file.
        arch: ``AArch64`` or ``X86_64``.
        name: of the test.
        keys: of the header, in capitals.
        init: between the braces, and its first line.
        names: heads of the columns.
        names_line: their line.
        rows: of the program: line and cells.
        tail: all from ``locations`` or the quantifier on, and its first line.
    """

    path: str
    arch: str
    name: str
    keys: dict[str, str] = field(default_factory=dict)
    init: tuple[int, str] = (0, "")
    names: list[str] = field(default_factory=list)
    names_line: int = 0
    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    tail: tuple[int, str] = (0, "")

    @property
    def variants(self) -> frozenset[str]:
        """Return the variants that the test asks for, in capitals."""
        found = self.keys.get("VARIANT", "")
        return frozenset(part.strip().upper() for part in re.split(r"[,\s]+", found) if part.strip())

    @property
    def cache_type(self) -> frozenset[str]:
        """Return ``IDC`` and ``DIC``, as far as the test says so."""
        return frozenset(part.upper() for part in re.split(r"[,\s]+", self.keys.get("CACHETYPE", "")) if part)


def _without_comments(text: str, path: str) -> str:
    """Return the text with comments made blank; lines stay where they are."""
    if "(*" not in text:
        return text
    result = []
    depth, at = 0, 0
    for match in re.finditer(r'\(\*|\*\)|"[^"\n]*"', text):
        token = match.group()
        if token == "(*":
            if not depth:
                result.append(text[at : match.start()])
                at = match.start()
            depth += 1
        elif token == "*)" and depth:
            depth -= 1
            if not depth:
                result.append("\n" * text.count("\n", at, match.end()) + " ")
                at = match.end()
    if depth:
        raise LitmusError(path, text.count("\n", 0, at) + 1, "a comment is not closed")
    result.append(text[at:])
    return "".join(result)


def read_source(text: str, path: str) -> Source:
    """Return the parts of a litmus test.

    Args:
        text: of the file.
        path: for messages.

    Raises:
        LitmusError: it has not the form of a litmus test.
        UnsupportedTestError: it is for another architecture, or needs something that is not modelled.
    """
    text = _without_comments(text.replace("\r", ""), path)
    start = len(text) - len(text.lstrip())
    match = _HEADER.match(text)
    if match is None:
        raise LitmusError(path, 1, "the first line must be an architecture and a name, such as 'AArch64 MP'")
    arch = ARCHITECTURES.get(match[1].upper())
    if arch is None:
        line = text.count("\n", 0, start) + 1
        if match[1] in _FOREIGN:
            raise UnsupportedTestError(
                path, line, f"architecture {match[1]} is not modelled; AArch64 and X86_64 are"
            )
        raise LitmusError(path, line, f"{match[1]!r} is not an architecture; known: AArch64, X86_64")
    source = Source(path, arch, match[2])
    opening = text.find("{", match.end())
    if opening < 0:
        raise LitmusError(path, text.count("\n") + 1, "there is no initial state: '{' is missing")
    first = text.count("\n", 0, match.end()) + 1
    for line, entry in enumerate(text[match.end() : opening].split("\n"), first):
        found = _KEY.match(entry)
        if found is not None:
            source.keys[found[1].upper()] = found[2].strip()
            _refuse(source, line)
    closing = _matching(text, opening, path)
    source.init = (text.count("\n", 0, opening) + 1, text[opening + 1 : closing])
    end = _CONDITION.search(text, closing)
    last = len(text) if end is None else end.start()
    _read_rows(source, text, closing + 1, last)
    source.tail = (text.count("\n", 0, last) + 1, text[last:])
    return source


def _refuse(source: Source, line: int) -> None:
    """Refuse what the keys read so far ask for and is not modelled."""
    for variant in sorted(source.variants):
        what = _UNSUPPORTED.get(variant.lower())
        if what is not None:
            raise UnsupportedTestError(source.path, line, f"{what} is not modelled")
    if source.keys.get("TTHM"):
        raise UnsupportedTestError(source.path, line, "virtual memory (vmsa) is not modelled")


def _matching(text: str, opening: int, path: str) -> int:
    depth = 0
    for at in range(opening, len(text)):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if not depth:
                return at
    raise LitmusError(path, text.count("\n", 0, opening) + 1, "'{' is not closed")


def _read_rows(source: Source, text: str, start: int, end: int) -> None:
    *rows, rest = text[start:end].split(";")
    line = text.count("\n", 0, start) + 1
    for row in rows:
        number = line + row[: len(row) - len(row.lstrip())].count("\n")
        line += row.count("\n")
        if not row.strip():
            continue
        cells = [cell.strip() for cell in row.split("|")]
        if not source.names:
            source.names, source.names_line = cells, number
            for cell in cells:
                if not re.fullmatch(r"P\d+(\.F)?(:.*)?", cell):
                    raise LitmusError(
                        source.path, number, f"{cell!r} is not the head of a column, such as P0"
                    )
            continue
        if len(cells) > len(source.names):
            if any(cells[len(source.names) :]):
                raise LitmusError(
                    source.path, number, f"{len(cells)} columns, the program has {len(source.names)}"
                )
            cells = cells[: len(source.names)]
        source.rows.append((number, cells + [""] * (len(source.names) - len(cells))))
    if rest.strip():
        line += rest[: len(rest) - len(rest.lstrip())].count("\n")
        found = rest.split()[0]
        raise LitmusError(
            source.path,
            line,
            f"{found!r} begins neither a row that ends with ';' nor a condition, such as exists",
        )
    if not source.names:
        raise LitmusError(source.path, line, "there is no program: a row of columns, such as 'P0 | P1 ;'")
