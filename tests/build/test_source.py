"""What the dialect lets in: everything else is refused before an assembler sees it."""

from __future__ import annotations

import re

import pytest

from emu.arch.registry import PORTS
from emu.build.asm.assembler import Assembly, Unit, assemble
from emu.build.asm.errors import DuplicateSymbolError, SourceError, UndefinedSymbolError

BASE = 0x0100_0000


def build(port: str, text: str, **equates: int) -> Assembly:
    unit = Unit(name="unit", text=text, origin="unit.s")
    return assemble(PORTS[port], [unit], base=BASE, equates=equates)


REFUSED_EVERYWHERE = [
    # Keystone dies of, hangs on, or gives no bytes for these directives
    (".text", ".text is not a directive of the dialect"),
    (".section .foo", ".section is not a directive of the dialect"),
    ('.include "x.s"', ".include is not a directive of the dialect"),
    ('.incbin "x"', ".incbin is not a directive of the dialect"),
    (".macro m", ".macro is not a directive of the dialect"),
    (".fill 0x7fffffff", ".fill is not a directive of the dialect"),
    (".p2align 0x3f", ".p2align is not a directive of the dialect"),
    (".rept 0x10", ".rept is not a directive of the dialect"),
    (".inst 0x0", ".inst is not a directive of the dialect"),
    (".org 0x10", ".org is not a directive of the dialect"),
    (".size f, 0x10", ".size is not a directive of the dialect"),
    ('.ascii "x"', ".ascii is not a directive of the dialect"),
    (".code32", ".code32 is not a directive of the dialect"),
    (".zero 0x10", ".zero is not a directive of the dialect"),
    # decimal numbers, which Keystone may read as hexadecimal
    (".8byte 96", "'96' is not hexadecimal"),
    (".byte 8", "'8' is not hexadecimal"),
    (".byte 0b11", "'0b11' is not hexadecimal"),
    (".byte 0x", "'0x' is not hexadecimal"),
    (".byte 0x1g", "'0x1g' is not hexadecimal"),
    (".byte 10h", "'10h' is not hexadecimal"),
    (".8byte 0x12345678123456781", "'0x12345678123456781' has more than 16 digits"),
    # macros, numeric labels, separators
    ("1: nop", "a numeric label"),
    (r"mov \@, 0x1", r"'\\\\' is not part of the dialect"),
    ("nop; nop", "';' is not part of the dialect"),
    ("nop @ x", "'@' is not part of the dialect"),
    ("x = 0x1", "'=' is not part of the dialect"),
    # unterminated
    ("/* nop", "a comment is not closed"),
    ('.asciz "abc', "a string is not closed"),
    ('.asciz "abc\\"', "a string is not closed"),
    # characters
    ("nop \x00", r"the character '\\x00' is not printable ASCII"),
    ("nop \u00e9", "the character '\u00e9' is not printable ASCII"),
    ("nop \x0c", r"the character '\\x0c' is not printable ASCII"),
    ("\u00a0nop", r"the character '\\xa0' is not printable ASCII"),
    # sizes
    (".balign 0x80000000", "an alignment of 0x80000000"),
    (".balign 0x3", "an alignment of 0x3"),
    (".balign 0x0", "an alignment of 0x0"),
    (".balign 0x8, 0x100", "a fill of 0x100"),
    (".byte 0x100", "0x100 does not fit 1 bytes"),
    (".byte -0x81", "-0x81 does not fit 1 bytes"),
    (".2byte 0x10000", "0x10000 does not fit 2 bytes"),
    ("nop " + "x" * 500, "the line has more than 400 characters"),
    (".byte 0x1 +", "'its end' where a number or name was expected"),
    (".byte " + "(" * 20 + "0x1" + ")" * 20, "more parentheses than anybody reads"),
    (".byte 0x1 | 0x2 + 0x1", "operators of unlike rank without parentheses"),
    (".byte 0x1 << 0x40", "a shift by 0x40"),
    (".asciz abc", ".asciz needs one string"),
    (".asciz", ".asciz needs one string"),
    ('.asciz "a\\x41"', r"the escape \\x"),
    ('.byte "a"', "a string"),
    (".set x", "'its end' where a number or name was expected"),
    (".set 0x1, 0x2", ".set needs a name and a constant"),
    ("Nop", "it starts with no mnemonic, directive or label"),
    ("foo: nop", "a label that nothing declares"),
    (".foo: nop", r"\.foo is no name for a label"),
]

REFUSED_BY_PORT = [
    ("x86_64", "nop // comment", "'/' is not part of the dialect"),
    ("x86_64", "mov %rax, %rbx", "'%' is not part of the dialect"),
    ("x86_64", "and rsp, -16", "'16' is not hexadecimal"),
    ("x86_64", "lock", "a prefix alone"),
    ("x86_64", "lock rep fs:[r9], byte ptr gs:[r12]", "a prefix alone"),  # Keystone never returns
    ("x86_64", "rex64 gs:[0x8]", "rex64 is not part of the dialect"),  # Keystone never returns
    ("x86_64", "data16 -0x1", "data16 is not part of the dialect"),  # Keystone never returns
    ("x86_64", "mov ah, byte ptr [r12]", "a high byte register"),  # LLVM ERROR: ends the process
    ("x86_64", "stosb byte ptr [rbx]", "operands of a string instruction"),
    ("x86_64", "rax: nop", "rax is no name for a label"),
    ("x86_64", "mov rax, [rdi + rsi*0x3]", r"an index rsi\*0x3"),
    ("x86_64", "mov rax, [rdi + rsi + rdx]", "more than a base and an index"),
    ("x86_64", "mov rax, [rip + 0x10]", r"\[rip \+ 0x10\]"),
    ("x86_64", "mov rax, 0x8[rdi]", r"'0x8\[rdi\]' is not a memory operand"),
    ("x86_64", "mov rax, [rdi", r"'\[rdi' is not a memory operand"),
    ("x86_64", "mov rax, rdi + 0x1", r"a register in the number 'rdi \+ 0x1'"),
    ("x86_64", "mov edi, .Lx\n.Lx:", r"\.Lx is a label of this file"),
    ("x86_64", "jmp .Lx + 0x1\n.Lx:", "a computed branch target"),
    ("arm64", "adrp x0, :got:x", "':' outside a segment prefix"),
    ("arm64", "add x0, x0, #:lo12:x", "':' outside a segment prefix"),  # Keystone: LLVM ERROR
    ("arm64", "movz x0, #:abs_g0:x", "':' outside a segment prefix"),  # Keystone: LLVM ERROR
    ("arm64", "ldr x0, =0x10", "'=' is not part of the dialect"),
    ("arm64", "mov x0, #96", "'96' is not hexadecimal"),
    ("arm64", "ld1 {v0.4s}, [x0]", "'{' is not part of the dialect"),
    ("arm64", "ldr x0, [x1, #0x8", "is not a memory operand"),
    ("arm64", "lsl x0, x1, lsl #0x40", "a shift by 0x40"),
    ("arm64", "x0: nop", "x0 is no name for a label"),
    ("arm64", "lsl: nop", "lsl is no name for a label"),
]


class TestRefused:
    """Text outside the dialect is refused, with its line and a remedy."""

    @pytest.mark.parametrize("port", PORTS)
    @pytest.mark.parametrize(("text", "problem"), REFUSED_EVERYWHERE)
    def test_in_every_port(self, port: str, text: str, problem: str) -> None:
        with pytest.raises(SourceError, match=rf"^unit\.s:2: .*{problem}.*; .+$") as caught:
            build(port, "\n" + text)
        assert caught.value.line == 2

    @pytest.mark.parametrize(("port", "text", "problem"), REFUSED_BY_PORT)
    def test_in_one_port(self, port: str, text: str, problem: str) -> None:
        with pytest.raises(SourceError, match=rf"^unit\.s:2: .*{problem}.*; .+$"):
            build(port, "\n" + text)

    @pytest.mark.parametrize("port", PORTS)
    def test_a_file_too_large(self, port: str) -> None:
        with pytest.raises(SourceError, match=r"^unit\.s:1: unit: the file has more than 0x40000 characters"):
            build(port, " " * 0x40001)
        with pytest.raises(SourceError, match=r"^unit\.s:1: unit: the file may have 0x[0-9a-f]+ bytes"):
            build(port, "nop\n" * 0x2001)


class TestReading:
    """Comments, lines and numbers."""

    @pytest.mark.parametrize("port", PORTS)
    def test_comments_go_and_lines_stay(self, port: str) -> None:
        mark = {"x86_64": "#", "arm64": "//"}[port]
        # a block comment that opens behind a line comment is none: it must not swallow what follows
        text = f'/* one\n two: .text */ nop {mark} .text /* "\n.balign 0x4\nnop /* a */ /* b */\n'

        assembly = build(port, text)

        assert [line for _, _, line in assembly.lines] == [2, 4]
        assert assembly.lines[0] == (BASE, "unit.s", 2)

    @pytest.mark.parametrize("port", PORTS)
    def test_a_string_may_hold_what_looks_like_a_comment(self, port: str) -> None:
        assert build(port, '.asciz "# // /* x */;:"').code == b"# // /* x */;:\0"
        assert build(port, r'.asciz "a\n\t\\\""').code == b'a\n\t\\"\0'

    @pytest.mark.parametrize("port", PORTS)
    def test_numbers_equates_and_expressions(self, port: str) -> None:
        text = ".set LOCAL, SIZE - 0x8\n.8byte LOCAL, MINUS, (0x1 << 0x5) | 0x1, ~0x0, 0x2*(SIZE + 0x1)"

        code = build(port, text, SIZE=0x10, MINUS=-1).code

        words = [int.from_bytes(code[at : at + 8], "little", signed=True) for at in range(0, 40, 8)]
        assert words == [8, -1, 0x21, -1, 0x22]

    def test_halves_exist_on_arm64_only(self) -> None:
        code = build("arm64", ".2byte X_LO16, X_HI16", X=0x12345678).code
        assert code == bytes.fromhex("78563412")
        with pytest.raises(
            UndefinedSymbolError, match=r"^unit\.s:1: \.2byte X_LO16: 'X_LO16' is not defined; "
        ):
            build("x86_64", ".2byte X_LO16", X=0x12345678)
        with pytest.raises(SourceError, match=r"^unit\.s:1: .*0x123456789 does not fit two 16-bit halves; "):
            build("arm64", ".2byte X_LO16", X=0x123456789)


class TestNames:
    """Every name is defined once."""

    @pytest.mark.parametrize("port", PORTS)
    @pytest.mark.parametrize("text", [".8byte nowhere", ".global nowhere", ".set x, nowhere"])
    def test_an_undefined_name_is_named(self, port: str, text: str) -> None:
        with pytest.raises(
            UndefinedSymbolError, match=rf"^unit\.s:1: {re.escape(text)}: 'nowhere' is not defined; "
        ) as caught:
            build(port, text)
        assert caught.value.name == "nowhere"

    @pytest.mark.parametrize("port", PORTS)
    def test_a_label_twice_in_a_file(self, port: str) -> None:
        with pytest.raises(
            DuplicateSymbolError, match=r"^unit\.s:2: \.La:: '\.La' is already defined by unit\.s:1; "
        ):
            build(port, ".La: nop\n.La: nop")

    @pytest.mark.parametrize("port", PORTS)
    def test_a_label_in_two_files(self, port: str) -> None:
        units = [Unit(name=name, text=".global f\nf: nop", origin=f"{name}.s") for name in "ab"]
        with pytest.raises(DuplicateSymbolError, match=r"^b\.s:2: f:: 'f' is already defined by a\.s:2; "):
            assemble(PORTS[port], units, base=BASE, equates={})

    @pytest.mark.parametrize("port", PORTS)
    def test_a_label_that_is_an_equate(self, port: str) -> None:
        with pytest.raises(
            DuplicateSymbolError, match=r"^unit\.s:2: f:: 'f' is already defined by an equate; "
        ):
            build(port, ".global f\nf: nop", f=0x10)
        with pytest.raises(DuplicateSymbolError, match=r"^unit\.s:1: \.set f, 0x1: 'f' is already defined"):
            build(port, ".set f, 0x1", f=0x10)

    @pytest.mark.parametrize("port", PORTS)
    def test_local_labels_of_two_files_do_not_meet(self, port: str) -> None:
        units = [Unit(name=name, text=".La: nop\n.8byte .La", origin=name) for name in "ab"]
        assembly = assemble(PORTS[port], units, base=BASE, equates={})
        assert assembly.symbols == {}
        assert (BASE + 0x10).to_bytes(8, "little") in assembly.code
