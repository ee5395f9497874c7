"""Keystone's silent miscompilations end in an error: each statement here is one, or nearly one."""

from __future__ import annotations

import keystone
import pytest

from emu.arch.registry import PORTS
from emu.build.asm.assembler import Unit, assemble
from emu.build.asm.dialects import dialect_of
from emu.build.asm.errors import MiscompiledError, OutOfRangeError, RefusedStatementError
from emu.build.asm.guard import prove
from emu.build.asm.items import read_items
from emu.build.asm.layout import LayoutError, lay_out
from emu.build.asm.program import Program, outline

BASE = 0x0100_0000


def build(port: str, text: str, **equates: int) -> bytes:
    unit = Unit(name="unit", text=text, origin="unit.s")
    return assemble(PORTS[port], [unit], base=BASE, equates=equates).code


def prove_bytes(port: str, text: str, code: bytes, **equates: int) -> None:
    """Hold ``code`` against ``text``, as if the assembler had given it."""
    dialect = dialect_of(PORTS[port])
    program: Program = outline(Unit(name="unit", text=text, origin="unit.s"), dialect)
    read_items(program, dialect, {}, equates)
    layout = lay_out(PORTS[port], program, code, BASE)
    addresses = {name: BASE + offset for name, offset in layout.labels.items()}
    prove(PORTS[port], dialect, program, code, BASE, layout, addresses)


MISCOMPILED = [
    # (port, statement, what Keystone 0.9.2 makes of it, why that is wrong)
    ("x86_64", "mov al, 0x12c", "mov al, 0x2c", "operand 2 does not fit 8 bits"),
    ("x86_64", "push 0x80000000", "push 0", r"operand 1 is 0x0, not 0x80000000"),
    ("x86_64", "push 0xffffffff", "push 0xffff", r"operand 1 is 0xffff, not 0xffffffff"),
    ("x86_64", "mov byte ptr [rdi], 0x1ff", "mov byte ptr .*", "operand 2 does not fit 8 bits"),
    ("x86_64", "nop dword ptr [rax + rax*0x1 + 0x0]", "nop dword ptr .*", "Keystone gives a prefetch hint"),
    ("x86_64", "iret", "iret", "Keystone gives the 16-bit form; write iretq"),
    ("x86_64", "pushf", "pushf", "Keystone gives the 16-bit form; write pushfq"),
    ("x86_64", "popf", "popf", "Keystone gives the 16-bit form; write popfq"),
    ("x86_64", "sysret", "sysretq", "the mnemonic is 'sysretq'"),
    ("x86_64", "mov rax, [rdi + 0x123456789]", ".*", "operand 2 has the offset 0x23456789, not 0x123456789"),
    ("x86_64", "mov rax, [0x123456789]", ".*", "operand 2 has the offset 0x23456789, not 0x123456789"),
    ("x86_64", "lea rax, [rip + FAR]", ".*", "operand 2 has the offset 0x[0-9a-f]+, not 0x2000000000"),
    ("x86_64", "lock add r8d, dword ptr [rdx]", ".*", "it raises #UD"),
    ("x86_64", "int 0x3", "int 3", "GNU as gives int3 for it; write int3"),
    ("x86_64", "jrcxz .Lx\n" + ".8byte 0x0\n" * 20 + ".Lx:", "jrcxz 0xffffa3", "operand 1 is 0xffffa3, not"),
    ("x86_64", "push [rdi]", "push qword ptr .*", "operand 1 has no size"),
]  # fmt: skip

REFUSED = [
    ("x86_64", "endbr64", "Invalid mnemonic"),
    ("x86_64", "mov [rdi], 0x1", "Invalid operand"),
    ("x86_64", "movzx eax, [rdi]", "Invalid operand"),
    ("x86_64", "bogus rax", "Invalid mnemonic"),
    ("arm64", "add x0, x0, #0x1001", "Unknown error"),
    ("arm64", "movz x0, #0x12345", "Unknown error"),
    ("arm64", "ldr x0, [x1, #0x8000]", "Unknown error"),
    ("arm64", "cas x0, x1, [x2]", "Invalid operand"),
    ("arm64", "eor w0, w0, #0x55", "Unknown error"),
]


class TestMiscompiled:
    """What Keystone turns into something else is an error, never bytes."""

    @pytest.mark.parametrize(("port", "text", "found", "why"), MISCOMPILED)
    def test_a_statement_is_named_with_its_line(self, port: str, text: str, found: str, why: str) -> None:
        with pytest.raises(MiscompiledError, match=rf"^unit\.s:3: .+?: assembled as '{found}': {why}.*; .+$"):
            build(port, f"\nnop\n{text}\nnop", FAR=0x20_0000_0000)

    @pytest.mark.parametrize(("port", "text", "reason"), REFUSED)
    def test_a_refusal_is_named_with_its_line(self, port: str, text: str, reason: str) -> None:
        first = text.partition("\n")[0].replace("[", r"\[").replace("]", r"\]")
        with pytest.raises(
            RefusedStatementError, match=rf"^unit\.s:3: {first}: the assembler refuses it \({reason}.*\); .+$"
        ):
            build(port, f"\nnop\n{text}\nnop")

    @pytest.mark.parametrize(
        ("statement", "reach"),
        [("tbz x0, #0x3, FAR", 2**15), ("cbz x0, FAR", 2**20), ("b.eq FAR", 2**20), ("bl FAR", 2**27)],
    )
    def test_a_branch_out_of_reach(self, statement: str, reach: int) -> None:
        with pytest.raises(
            OutOfRangeError,
            match=rf"^unit\.s:1: {statement}: the target is 0x[0-9a-f]+ bytes away, .*{reach:#x}; ",
        ):
            build("arm64", statement, FAR=BASE + reach + 4)
        with pytest.raises(MiscompiledError, match=rf"^unit\.s:1: {statement}: assembled as .* operand"):
            build("arm64", statement, FAR=BASE + reach)  # one too far: the message is the guard's
        assert build("arm64", statement, FAR=BASE + reach - 4)
        assert reach > BASE or build("arm64", statement, FAR=BASE - reach)

    def test_an_x86_64_branch_out_of_reach(self) -> None:
        with pytest.raises(
            OutOfRangeError, match=r"^unit\.s:1: jmp FAR: the target is 0x[0-9a-f]+ bytes away"
        ):
            build("x86_64", "jmp FAR", FAR=BASE + 2**31 + 0x10)

    def test_an_arm64_target_that_is_not_aligned(self) -> None:
        with pytest.raises(MiscompiledError, match=r"^unit\.s:1: bl ODD: assembled as .* operand 1 is 0x"):
            build("arm64", "bl ODD", ODD=BASE + 0x102)

    def test_an_arm64_instruction_that_is_not_aligned(self) -> None:
        with pytest.raises(MiscompiledError, match=r"^unit\.s:2: nop: .*0x1000003 is no multiple of 0x4; "):
            build("arm64", '.asciz "ab"\nnop')

    def test_keystone_still_miscompiles_what_the_guard_works_round(self) -> None:
        """If one of these changes, the work-round it justifies can go."""
        x86 = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64)
        arm = keystone.Ks(keystone.KS_ARCH_ARM64, keystone.KS_MODE_LITTLE_ENDIAN)
        absolute, _ = x86.asm("mov rbx, gs:[0x8]", BASE, True)
        assert absolute.hex() == "65488b1d08000000", "[number] is relative to rip"
        late, _ = arm.asm(".8byte 0x0\n.balign 0x8\nbl 0x1000040", BASE, True)
        assert late[-4:].hex() == "10000094", "an absolute target is measured from the last .balign"


WRONG_BYTES = [
    # (port, statement, bytes of something similar, why they are wrong)
    ("x86_64", "mov rax, rbx", "4889d0", r"operand 2 is another one"),  # other register
    ("x86_64", "mov rax, rbx", "4801d8", r"the mnemonic is 'add'"),  # other mnemonic
    ("x86_64", "mov eax, 0x96", "b860000000", r"operand 2 is 0x60, not 0x96"),  # other radix
    ("x86_64", "mov rax, [rdi + 0x10]", "488b470a", r"operand 2 has the offset 0xa, not 0x10"),
    ("x86_64", "mov rax, [rdi + rsi*0x4]", "488b04f7", r"operand 2 has another segment, base.+"),
    ("x86_64", "mov rax, gs:[rdi]", "488b07", r"operand 2 has another segment, base, index or scale"),
    ("x86_64", "mov rbx, gs:[0x8]", "65488b1d08000000", r"operand 2 is relative to rip"),
    ("x86_64", "mov rax, [rax + rsp]", "488b0420", r"operand 2 has no index where one was written"),
    ("x86_64", "inc dword ptr [rdi]", "48ff07", r"operand 1 has 8 bytes, not 4"),
    ("x86_64", "mov rax, [rip + X]", "488b0500000000", r"operand 2 has the offset 0x1000007, not 0x1000010"),
    ("x86_64", "call X", "e80c000000", r"operand 1 is 0x1000011, not 0x1000010"),
    ("x86_64", "push 0x0", "66680000", r"it has 16-bit operands"),
    ("x86_64", "stosq", "f348ab", r"the mnemonic is 'rep stosq'"),
    ("x86_64", "lock inc dword ptr [rdi]", "ff07", r"the mnemonic is 'inc'"),
    ("x86_64", "xchg rax, rbx", "4891", r"operand \d is another one"),
    ("x86_64", "sar rax", "48c1f802", r"it has 2 operands, not 1"),
    ("x86_64", ".byte 0x1, 0x2", "0103", r"other bytes"),
    ("x86_64", "nop\n.balign 0x4", "90909000", r"the padding is not instructions without effect"),
    ("x86_64", "nop\n.balign 0x4, 0xcc", "90cc90cc", r"the padding is something else"),
    ("arm64", "mov x0, x1", "e00302aa", r"operand 2 is x2, not x1"),
    ("arm64", "mov w0, w1", "e00301aa", r"operand 1 is x0, not w0"),
    ("arm64", "mov x0, #0x96", "000c80d2", r"operand 2 is 0x60, not 0x96"),
    ("arm64", "movz x0, #0x1, lsl #0x10", "200080d2", r"operand 2 is 0x1, not 0x10000"),
    ("arm64", "movk x0, #0x1, lsl #0x10", "200080f2", r"it has 2 operands, not 3"),
    ("arm64", "ldr x0, [x1, #0x10]", "200440f9", r"operand 2 is \[x1, 0x8 ...\], not \[x1, 0x10 ...\]"),
    ("arm64", "ldr x0, [x1, #0x8]!", "208440f8", r"it has 3 operands, not 2"),
    ("arm64", "cmp w1, #MINUS", "3f040071", r"the mnemonic is 'cmp', not 'cmn'"),
    ("arm64", "add x0, x1, x2, lsl #0x2", "200c028b", r"operand 4 is lsl 0x3, not lsl 0x2"),
    ("arm64", "b.eq X", "81000054", r"the mnemonic is 'b.ne', not 'b.eq'"),
    ("arm64", "bl X", "05000094", r"operand 1 is 0x1000014, not 0x1000010"),
    ("arm64", "tbz x0, #0x23, X", "80001836", r"operand 1 is x0, not x0|operand 2 is 0x3, not 0x23"),
    ("arm64", "tbz w0, #0x3, X", "800018b6", r"operand 1 is x0, not w0|operand 2 is 0x23, not 0x3"),
    ("arm64", "dsb ish", "9f3a03d5", r"operand 1 is ishst, not ish"),
    ("arm64", "msr tpidr_el1, x0", "40d01bd5", r"operand 1 is tpidr_el0, not tpidr_el1"),
    ("arm64", "hint #0x22", "9f2403d5", r"it is another instruction"),
    ("arm64", "ret", "40015fd6", r"it has 1 operands, not 0"),
    ("arm64", "cset x0, ne", "e0179f9a", r"operand 2 is eq, not ne"),
    ("arm64", "bic x0, x0, #0x8", "00f47c92", r"operand 3 is 0x[0-9a-f]+, not 0xfffffffffffffff7"),
]  # fmt: skip


class TestWrongBytes:
    """The comparison notices each kind of difference, whoever made it."""

    @pytest.mark.parametrize(("port", "text", "code", "why"), WRONG_BYTES)
    def test_bytes_of_another_statement(self, port: str, text: str, code: str, why: str) -> None:
        with pytest.raises(MiscompiledError, match=rf"^unit\.s:\d: .+: assembled as '.+': ({why}); .+$"):
            prove_bytes(port, text, bytes.fromhex(code), X=BASE + 0x10, MINUS=-1)

    @pytest.mark.parametrize(
        ("port", "text", "code"),
        [
            ("x86_64", "ret\nret", "c3"),
            ("x86_64", "ret", "c3c3"),
            ("x86_64", "ret", "06"),
            ("arm64", "ret", ""),
        ],
    )
    def test_as_many_instructions_as_statements(self, port: str, text: str, code: str) -> None:
        with pytest.raises(LayoutError, match=r"^(0|1|0x2) (instructions|bytes), not (0x)?[12]$"):
            prove_bytes(port, text, bytes.fromhex(code))


ALIASES = [
    ("x86_64", "jz .Lx\n.Lx:", "7400"),
    ("x86_64", "sal rax, 0x3", "48c1e003"),
    ("x86_64", "sar rax", "48d1f8"),
    ("x86_64", "movabs rax, 0x1", "48b80100000000000000"),
    ("x86_64", "xchg rax, rbx", "4893"),
    ("x86_64", "test rax, [rdi]", "488507"),
    ("x86_64", "rep stosq", "f348ab"),
    ("x86_64", "mov rax, gs:[0x8]", "65488b042508000000"),
    ("x86_64", "add rcx, gs:[0x8]", "6548030c2508000000"),
    ("x86_64", "cmp rax, MINUS", "4883f8ff"),
    ("x86_64", "cmp eax, 0xffffffff", "83f8ff"),
    ("arm64", "cmp w1, #MINUS", "3f040031"),
    ("arm64", "b.cs .Lx\n.Lx:", "22000054"),
    ("arm64", "beq .Lx\n.Lx:", "20000054"),
    ("arm64", "stp fp, lr, [sp, #-0x10]!", "fd7bbfa9"),
    ("arm64", "hint #0x22", "5f2403d5"),
    ("arm64", "mov w0, #-0x2", "20008012"),
    ("arm64", "add x0, sp, #0x0", "e0030091"),
    ("arm64", "add x0, x0, #0x1000", "00044091"),
    ("arm64", "ldr x0, [x1, #-0x8]", "20805ff8"),
    ("arm64", "bic x0, x0, #0x8", "00f87c92"),
    ("arm64", "tbz x0, #0x3, .Lx\n.Lx:", "20001836"),
    ("arm64", "ret lr", "c0035fd6"),
    ("arm64", "isb sy", "df3f03d5"),
    ("arm64", "adr x0, X", "80000010"),
]


@pytest.mark.parametrize(("port", "text", "code"), ALIASES)
def test_another_spelling_of_the_same_instruction_passes(port: str, text: str, code: str) -> None:
    assert build(port, text, MINUS=-1, X=BASE + 0x10).hex() == code
