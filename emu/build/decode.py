"""Decoding machine code: the only module that imports Capstone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import capstone

from emu.arch.port import Port
from emu.errors import UnknownNameError

_MODES = {
    "x86_64": (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
    "arm64": (capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
}

_GROUPS = {
    capstone.CS_GRP_JUMP: "jump",
    capstone.CS_GRP_CALL: "call",
    capstone.CS_GRP_RET: "return",
    capstone.CS_GRP_INT: "interrupt",
    capstone.CS_GRP_IRET: "interrupt_return",
    capstone.CS_GRP_PRIVILEGE: "privileged",
    capstone.CS_GRP_BRANCH_RELATIVE: "relative",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One decoded instruction.

    Args:
        address: of its first byte.
        size: bytes.
        mnemonic: with its prefix, as Capstone prints it: ``lock cmpxchg``.
        operands: Intel syntax on x86-64; empty if there is none.
        groups: which of jump, call, return, interrupt, interrupt_return, privileged, relative
            it belongs to.
    """

    address: int
    size: int
    mnemonic: str
    operands: str
    groups: frozenset[str]

    @property
    def text(self) -> str:
        """Mnemonic and operands, one blank between them."""
        return f"{self.mnemonic} {self.operands}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """One operand.

    Args:
        kind: register, immediate or memory.
        size: bytes; of memory, of the access. 0 where Capstone does not say.
        register: its name; empty if it is none.
        immediate: its value.
        base: base register of an address, empty for none; ``index`` alike.
        index: index register.
        scale: what the index is multiplied by; arm64: its shift.
        displacement: of the address.
        segment: register of a segment override.
    """

    kind: Literal["register", "immediate", "memory"]
    size: int
    register: str = ""
    immediate: int = 0
    base: str = ""
    index: str = ""
    scale: int = 1
    displacement: int = 0
    segment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detailed:
    """One instruction with its operands, in the order of the assembler.

    Args:
        instruction: what `decode` gives.
        operands: explicit ones.
        writes_back: arm64: the base register of an address is updated.
        condition: arm64: it depends on flags by its condition code.
    """

    instruction: Instruction
    operands: tuple[Operand, ...]
    writes_back: bool
    condition: bool


@cache
def _decoder(name: str, detail: bool) -> capstone.Cs:
    """Return a decoder; it keeps no state between calls, so one per port and kind will do."""
    if name not in _MODES:
        raise UnknownNameError("port", name, sorted(_MODES))
    decoder = capstone.Cs(*_MODES[name])
    decoder.detail = detail
    return decoder


def decode(port: Port, code: bytes, address: int) -> list[Instruction]:
    """Return the instructions of ``code`` up to the first byte that is none.

    >>> from emu.arch.registry import port_named
    >>> [i.text for i in decode(port_named("x86_64"), bytes.fromhex("e8fb0f0000c3"), 0x1000)]
    ['call 0x2000', 'ret']
    """
    return [_instruction(insn) for insn in _decoder(port.name, True).disasm(bytes(code), address)]


def decode_writes(port: Port, code: bytes, address: int) -> list[tuple[Instruction, frozenset[str]]]:
    """Return what `decode` does, each instruction with the registers that it is known to write.

    Names are Capstone's, of the width that is written. Some only implied are missing: RAX of CMPXCHG.

    >>> from emu.arch.registry import port_named
    >>> [(i.text, sorted(w)) for i, w in decode_writes(port_named("x86_64"), bytes.fromhex("5d31c0"), 0x1000)]
    [('pop rbp', ['rbp', 'rsp']), ('xor eax, eax', ['eax', 'rflags'])]
    """
    decoder = _decoder(port.name, True)
    return [
        (_instruction(insn), frozenset(map(insn.reg_name, insn.regs_access()[1])))
        for insn in decoder.disasm(bytes(code), address)
    ]


def _instruction(insn: capstone.CsInsn) -> Instruction:
    return Instruction(
        address=insn.address,
        size=insn.size,
        mnemonic=insn.mnemonic,
        operands=insn.op_str,
        groups=frozenset(_GROUPS[group] for group in insn.groups if group in _GROUPS),
    )


def decode_detailed(port: Port, code: bytes, address: int) -> Detailed | None:
    """Return the first instruction of ``code`` with its operands, or None if there is none.

    >>> from emu.arch.registry import port_named
    >>> found = decode_detailed(port_named("x86_64"), bytes.fromhex("488b448b08"), 0x1000)
    >>> found.operands[1].base, found.operands[1].index, found.operands[1].scale, found.operands[1].size
    ('rbx', 'rcx', 4, 8)
    """
    for insn in _decoder(port.name, True).disasm(bytes(code), address, 1):
        x86 = port.name == "x86_64"
        operands = tuple(_operand(insn, operand, x86) for operand in insn.operands)
        return Detailed(
            instruction=_instruction(insn),
            operands=operands,
            writes_back=not x86 and bool(insn.writeback),
            condition=not x86
            and insn.cc not in (capstone.arm64.ARM64_CC_INVALID, capstone.arm64.ARM64_CC_AL),
        )
    return None


def _operand(insn: capstone.CsInsn, operand: Any, x86: bool) -> Operand:
    size = operand.size if x86 else 0
    match operand.type:
        case capstone.CS_OP_REG:
            return Operand(kind="register", size=size, register=insn.reg_name(operand.reg) or "")
        case capstone.CS_OP_MEM:
            memory = operand.mem
            return Operand(
                kind="memory",
                size=size,
                base=insn.reg_name(memory.base) or "",
                index=insn.reg_name(memory.index) or "",
                scale=memory.scale if x86 else operand.shift.value,
                displacement=memory.disp,
                segment=(insn.reg_name(memory.segment) or "") if x86 else "",
            )
        case capstone.CS_OP_IMM:
            return Operand(kind="immediate", size=size, immediate=operand.imm)
    return Operand(kind="immediate", size=0)  # system registers, barriers, prefetch kinds


def decode_lite(port: Port, code: bytes, address: int, *, count: int = 0) -> list[tuple[int, int, str, str]]:
    """Return (address, size, mnemonic, operands) of at most ``count`` instructions, 0 for all.

    About 1 us per instruction; `decode` takes several times that.

    >>> from emu.arch.registry import port_named
    >>> decode_lite(port_named("arm64"), bytes.fromhex("1f2003d5"), 0x1000)
    [(4096, 4, 'nop', '')]
    """
    return list(_decoder(port.name, False).disasm_lite(bytes(code), address, count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One instruction, and which registers its values go through.

    Args:
        instruction: decoded.
        reads: registers whose values it uses, but those of addresses.
        addresses: registers that its address is made of.
        writes: registers that it changes, condition flags among them.

    Names are those of whole registers: ``x1`` for ``w1``.
    """

    instruction: Instruction
    reads: frozenset[str]
    addresses: frozenset[str]
    writes: frozenset[str]


_COMPARE = frozenset({"cmp", "cmn", "tst", "ccmp", "ccmn"})
_TEST_AND_BRANCH = frozenset({"cbz", "cbnz", "tbz", "tbnz"})
_KEEPS_TARGET = frozenset({"movk", "bfi", "bfxil"})


def decode_flow(port: Port, code: bytes, address: int) -> list[Flow]:
    """Return the instructions of arm64 code with the registers that values go through.

    What Capstone 5 has wrong about them is put right: compares write flags alone, CBZ and TBZ
    read no flags, MOVK keeps part of its target.

    >>> from emu.arch.registry import port_named
    >>> one, = decode_flow(port_named("arm64"), bytes.fromhex("7f010deb"), 0)
    >>> one.instruction.text, sorted(one.reads), sorted(one.writes)
    ('cmp x11, x13', ['x11', 'x13'], ['nzcv'])
    """
    found = []
    for insn in _decoder(port.name, True).disasm(bytes(code), address):
        reads, writes = (
            {_whole(insn.reg_name(number)) for number in numbers} for numbers in insn.regs_access()
        )
        memory = {
            _whole(insn.reg_name(number))
            for operand in insn.operands
            if operand.type == capstone.CS_OP_MEM
            for number in (operand.mem.base, operand.mem.index)
            if number
        }
        named = {
            _whole(insn.reg_name(operand.reg))
            for operand in insn.operands
            if operand.type == capstone.CS_OP_REG
        }
        if insn.mnemonic in _COMPARE:
            reads, writes = reads | named, {"nzcv"}
        elif insn.mnemonic in _TEST_AND_BRANCH:
            reads = named
        elif insn.mnemonic in _KEEPS_TARGET:
            reads |= named
        found.append(
            Flow(
                instruction=_instruction(insn),
                reads=frozenset(reads - memory if memory else reads) - {"xzr"},
                addresses=frozenset(memory),
                writes=frozenset(writes) - {"xzr"},
            )
        )
    return found


def _whole(register: str) -> str:
    """Return the name of the 64-bit register that a 32-bit one is half of."""
    return f"x{register[1:]}" if register[:1] == "w" else register
