"""Errors of ELF input and of the C toolchain: what was wrong with which file, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from emu.errors import EmuError

NAMES_SHOWN = 50
"""Names that one message lists before it counts the rest."""


def one_line(text: str) -> str:
    r"""Return ``text`` with everything that could break a line of output escaped.

    >>> one_line("a\nb")
    'a\\nb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class MalformedElfError(EmuError):
    """The bytes are not a well-formed ELF file."""

    def __init__(self, origin: str, what: str, remedy: str = "build the file again") -> None:
        super().__init__(one_line(f"{origin}: {what}; {remedy}"))
        self.origin, self.what = origin, what


class ForeignElfError(EmuError):
    """A well-formed file of another kind, class, byte order or machine."""

    def __init__(self, origin: str, *, fact: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(one_line(f"{origin}: {fact} is {found}, expected {expected}; {remedy}"))
        self.origin, self.fact, self.found, self.expected = origin, fact, found, expected


class UndefinedSymbolsError(EmuError):
    """Symbols that the file uses and nobody defines."""

    def __init__(self, origin: str, names: Sequence[str]) -> None:
        shown = ", ".join(names[:NAMES_SHOWN])
        rest = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        super().__init__(
            one_line(
                f"{origin}: undefined symbols: {shown}{rest}; "
                f"define them in the image or in a file loaded with this one"
            )
        )
        self.origin, self.names = origin, tuple(names)


class UnsupportedRelocationError(EmuError):
    """A relocation type that the loader has no rule for."""

    def __init__(self, origin: str, *, section: str, offset: int, kind: str, symbol: str) -> None:
        super().__init__(
            one_line(
                f"{origin}: {section}+{offset:#x}: relocation {kind} against {symbol} is not supported; "
                f"compile with -ffreestanding -fno-pic and without TLS, or link the file first"
            )
        )
        self.origin, self.section, self.offset, self.kind, self.symbol = origin, section, offset, kind, symbol


class RelocationOverflowError(EmuError):
    """A value does not fit the field that a relocation writes."""

    def __init__(
        self, origin: str, *, section: str, offset: int, kind: str, symbol: str,
        value: int, low: int, high: int, remedy: str,
    ) -> None:  # fmt: skip
        super().__init__(
            one_line(
                f"{origin}: {section}+{offset:#x}: {kind} to {symbol} needs {value:#x}, "
                f"the field holds {low:#x} to {high - 1:#x}; {remedy}"
            )
        )
        self.origin, self.section, self.offset, self.kind, self.symbol = origin, section, offset, kind, symbol
        self.value, self.low, self.high = value, low, high


class RelocationAlignmentError(EmuError):
    """An address is not a multiple of what an instruction scales its field by."""

    def __init__(
        self, origin: str, *, section: str, offset: int, kind: str, symbol: str, value: int, align: int
    ) -> None:
        super().__init__(
            one_line(
                f"{origin}: {section}+{offset:#x}: {kind} to {symbol} needs {value:#x}, "
                f"not a multiple of {align}; align {symbol} to {align} bytes"
            )
        )
        self.origin, self.section, self.offset, self.kind, self.symbol = origin, section, offset, kind, symbol
        self.value, self.align = value, align


class AreaFullError(EmuError):
    """The sections of a relocatable file need more room than their area has."""

    def __init__(self, origin: str, *, section: str, area: str, needed: int, size: int) -> None:
        super().__init__(
            one_line(
                f"{origin}: section {section} ends {needed:#x} bytes into the {area} area, "
                f"which has {size:#x}; load less or give the area more room"
            )
        )
        self.origin, self.section, self.area, self.needed, self.size = origin, section, area, needed, size


class SegmentPlacementError(EmuError):
    """A linked file's segment lies where its area is not."""

    def __init__(self, origin: str, *, segment: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(one_line(f"{origin}: {segment} {found}, expected {expected}; {remedy}"))
        self.origin, self.segment = origin, segment


class BadSiteError(EmuError):
    """A recorded entry site is not one that can be patched."""

    def __init__(self, origin: str, *, site: int, where: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(
            one_line(f"{origin}: entry site {site:#x} ({where}): {found}, expected {expected}; {remedy}")
        )
        self.origin, self.site, self.where = origin, site, where


class CompileError(EmuError):
    """The compiler refused a source file."""

    def __init__(self, file: str, line: int | None, message: str) -> None:
        place = file if line is None else f"{file}:{line}"
        super().__init__(one_line(f"{place}: {message}"))
        self.file, self.line, self.message = file, line, message


class CompileTimeoutError(EmuError):
    """The compiler did not finish in time."""

    def __init__(self, file: str, seconds: float) -> None:
        super().__init__(
            one_line(
                f"{file}: the compiler did not finish in {seconds:g} s; split the file or allow more time"
            )
        )
        self.file, self.seconds = file, seconds
