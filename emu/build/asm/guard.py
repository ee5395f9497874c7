"""Proves that bytes mean what the statements say: Keystone miscompiles without a word.

Each instruction is decoded by Capstone and compared, operand by operand, with its statement, whose
symbols are resolved by us and not by Keystone. Data and padding are compared as bytes. Whatever cannot
be proven equal is an error.
"""

from __future__ import annotations

from collections.abc import Mapping

from emu.arch.port import Port
from emu.build.asm.dialect import Dialect
from emu.build.asm.errors import MiscompiledError, SourceError
from emu.build.asm.expression import no_symbols
from emu.build.asm.layout import Decoded, Layout
from emu.build.asm.operands import Operand, OperandError, UnknownSymbol, resolve, value_of
from emu.build.asm.program import Align, Code, Data, Item, Program
from emu.build.decode import decode_lite


def data_bytes(item: Data, addresses: Mapping[str, int]) -> bytes:
    """Return the bytes of ``item``; `OperandError` if a value does not fit."""
    out = bytearray()
    bits = 8 * item.width
    for number in item.values:
        value = number.value + value_of(number.refs, addresses)
        if not -(1 << bits - 1) <= value < 1 << bits:
            raise OperandError(f"{value:#x} does not fit {item.width} bytes", "use a wider directive")
        out += (value & (1 << bits) - 1).to_bytes(item.width, "little")
    return bytes(out)


def prove(
    port: Port,
    dialect: Dialect,
    program: Program,
    code: bytes,
    address: int,
    layout: Layout,
    addresses: Mapping[str, int],
) -> None:
    """Return if ``code`` is proven to be ``program`` at ``address``.

    Args:
        port: whose code it is.
        dialect: what language it is in.
        program: what it should mean.
        code: all bytes of the unit.
        address: of its first byte.
        layout: of ``code``.
        addresses: of every symbol that the unit may name.

    Raises:
        MiscompiledError: it is not.
    """
    instructions = iter(layout.decoded)
    seen: dict[tuple[str, str], tuple[Operand, ...] | None] = {}
    for place, item in enumerate(program.items):
        start, end = layout.offsets[place], layout.offsets[place + 1]
        if isinstance(item, Code):
            why, found = _instruction(dialect, item, next(instructions), code[start:end], addresses, seen)
        elif isinstance(item, Data):
            found = code[start:end].hex()
            why = None if _data_agrees(program, item, code[start:end], addresses) else "other bytes"
        elif isinstance(item, Align):
            found = code[start:end].hex()
            why = _padding(port, item, code[start:end], address + start)
        else:
            continue
        if why:
            raise _error(program, item, found, why)


def _error(program: Program, item: Item, found: str, why: str) -> MiscompiledError:
    statement = item.statement
    return MiscompiledError(program.unit.origin, statement.line, statement.text, found, why)


def _instruction(
    dialect: Dialect,
    item: Code,
    insn: Decoded,
    code: bytes,
    addresses: Mapping[str, int],
    seen: dict[tuple[str, str], tuple[Operand, ...] | None],
) -> tuple[str | None, str]:
    address, size, mnemonic, text = insn
    found = f"{mnemonic} {text}".rstrip()
    if address % dialect.alignment:
        return f"{address:#x} is no multiple of {dialect.alignment:#x}; put .balign before", found
    operands = tuple(resolve(operand, addresses) for operand in item.operands)
    if (mnemonic, text) not in seen:
        seen[mnemonic, text] = _read_decoded(dialect, mnemonic, text)
    decoded = seen[mnemonic, text]
    if decoded is None:
        return "what the decoder prints cannot be compared", found
    return dialect.mismatch(item.mnemonic, operands, mnemonic, decoded, code, address + size), found


def _read_decoded(dialect: Dialect, mnemonic: str, text: str) -> tuple[Operand, ...] | None:
    try:
        return dialect.read_operands(mnemonic, text, lookup=no_symbols, decoded=True)
    except (OperandError, UnknownSymbol):
        return None


def _data_agrees(program: Program, item: Data, code: bytes, addresses: Mapping[str, int]) -> bool:
    try:
        return data_bytes(item, addresses) == code
    except OperandError as error:
        raise SourceError(
            program.unit.origin, item.statement.line, item.statement.text, error.problem, error.remedy
        ) from error


def _padding(port: Port, item: Align, code: bytes, address: int) -> str | None:
    if item.fill is not None:
        return None if code == bytes([item.fill]) * len(code) else "the padding is something else"
    insns = decode_lite(port, code, address)
    whole = sum(insn[1] for insn in insns) == len(code)
    if not whole or any(insn[2] != "nop" for insn in insns):
        return "the padding is not instructions without effect"
    return None
