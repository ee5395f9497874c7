"""The explorer's own meaning of instructions is the engine's: registers, flags and memory agree.

Each instruction is assembled by GNU as and run by Unicorn from random registers, and run by the explorer
on one CPU from the same ones. Ordering and dependencies are not seen here; values are.
"""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from unicorn import arm64_const, x86_const

from emu.arch import port_named
from emu.machine.registers import new_cpu
from emu.ordering.code import arm64, x86_64
from emu.ordering.code.arm64.alu import FLAGS as ARM_FLAGS
from emu.ordering.code.layout import Layout, Piece
from emu.ordering.code.thread import Code, State, Thread, settled
from emu.ordering.code.x86_64.arithmetic import FLAGS as X86_FLAGS
from emu.ordering.local_arm64 import ArmOrder
from emu.ordering.local_x86 import TsoOrder

TEXT, DATA = 0x10000, 0x20000
ROUNDS = 12

ARM = """
add w0,w1,w2 | add x0,x1,x2,lsl #3 | add x0,x1,w2,sxtw | add x0,x1,w2,uxtb #2 | add w0,w1,#17
adds w0,w1,w2 | adds x0,x1,x2 | sub w0,w1,w2,asr #5 | sub x0,x1,#9 | subs w0,w1,w2 | subs x0,x1,#1
and w0,w1,w2 | ands x0,x1,x2 | orr w0,w1,w2,ror #7 | eor x0,x1,x2 | eor w0,w1,#1 | bic w0,w1,w2
bics x0,x1,x2 | orn w0,w1,w2 | eon x0,x1,x2 | cmp w1,w2 | cmp x1,#3 | cmn w1,w2 | tst x1,x2 | mov w0,w1
mov x0,x1 | mov w0,#-1 | mov x0,#5 | movz w0,#7,lsl #16 | movn w0,#7 | movk x0,#9,lsl #32 | mvn w0,w1
neg x0,x1 | negs w0,w1 | lsl w0,w1,#3 | lsr x0,x1,#9 | asr w0,w1,#4 | ror w0,w1,#5 | lsl x0,x1,x2
lsr w0,w1,w2 | asr x0,x1,x2 | ror w0,w1,w2 | sxtb w0,w1 | sxth x0,w1 | sxtw x0,w1 | uxtb w0,w1
uxth w0,w1 | ubfm x0,x1,#4,#20 | ubfm w0,w1,#20,#4 | sbfm x0,x1,#4,#20 | sbfm w0,w1,#20,#4
ubfx x0,x1,#3,#7 | sbfx w0,w1,#3,#7 | mul w0,w1,w2 | mneg x0,x1,x2 | madd w0,w1,w2,w3 | msub x0,x1,x2,x3
rbit w0,w1 | rev x0,x1 | rev16 w0,w1 | rev32 x0,x1 | clz w0,w1 | clz x0,x1 | cls w0,w1
csel w0,w1,w2,eq | csel x0,x1,x2,ge | csinc w0,w1,w2,hi | csinv x0,x1,x2,lt | csneg w0,w1,w2,ls
cset w0,ne | csetm x0,mi | cinc w0,w1,cs | cinv x0,x1,vc | cneg w0,w1,gt | ldr w0,[x8] | ldr x0,[x8]
ldr w0,[x8,#8] | ldr x0,[x8],#8 | ldr w0,[x8,#4]! | ldrb w0,[x8] | ldrh w0,[x8] | ldrsb w0,[x8]
ldrsb x0,[x8] | ldrsh w0,[x8] | ldrsw x0,[x8] | ldur w0,[x8,#4] | ldr w0,[x8,w9,sxtw]
ldr x0,[x8,x9,lsl #3] | ldr w0,[x8,w9,uxtw #2] | str w1,[x8] | str x1,[x8] | strb w1,[x8] | strh w1,[x8]
str w1,[x8],#4 | str x1,[x8,#8]! | str w1,[x8,w9,sxtw] | stur x1,[x8,#8] | ldp x0,x1,[x8]
ldp w0,w1,[x8],#8 | ldpsw x0,x1,[x8] | stp x1,x2,[x8] | stp w1,w2,[x8,#8]! | ldar w0,[x8]
ldarb w0,[x8] | ldapr x0,[x8] | ldaprh w0,[x8] | stlr w1,[x8] | stlrb w1,[x8] | ldxr w0,[x8]
ldaxrb w0,[x8] | swp w1,w0,[x8] | swpal x1,x0,[x8] | swpb w1,w0,[x8] | ldadd w1,w0,[x8]
ldaddal x1,x0,[x8] | ldeor w1,w0,[x8] | ldset x1,x0,[x8] | ldclr w1,w0,[x8] | ldsmax x1,x0,[x8]
ldsmin x1,x0,[x8] | ldumax w1,w0,[x8] | ldumin x1,x0,[x8] | ldaddh w1,w0,[x8] | stadd w1,[x8]
stclrl x1,[x8] | steor w1,[x8] | stset w1,[x8] | cas w0,w1,[x8] | casal x0,x1,[x8] | casb w0,w1,[x8]
cash w0,w1,[x8] | casp w2,w3,w4,w5,[x8] | casp x2,x3,x4,x5,[x8]
"""
X86 = """
movl %ebx,%eax | movq %rbx,%rax | movb %bl,%al | movw %bx,%ax | movl $7,%eax | addl %ebx,%eax
addq $-3,%rax | addb %bl,%al | subl %ebx,%eax | subq %rbx,%rax | andl %ebx,%eax | orq %rbx,%rax
xorl %ebx,%eax | xorw %bx,%ax | incl %eax | decq %rax | negl %eax | notq %rax | cmpl %ebx,%eax
cmpq $5,%rax | testl %ebx,%eax | xchgl %ebx,%eax | xaddl %ebx,%eax | shll $3,%eax | shrq $5,%rax
sarl $2,%eax | leaq 8(%rsi,%rdi,4),%rax | movzbl %bl,%eax | movswq %bx,%rax | movl (%rsi),%eax
movq 8(%rsi),%rax | movb (%rsi),%al | movzwl (%rsi),%eax | movl %ebx,(%rsi) | movq %rbx,(%rsi)
movb %bl,(%rsi) | movl $9,(%rsi) | movl (%rsi,%rdi,4),%eax | addl %ebx,(%rsi) | addq (%rsi),%rax
lock addl %ebx,(%rsi) | subl %ebx,(%rsi) | lock incl (%rsi) | decq (%rsi) | notl (%rsi) | negl (%rsi)
xchgl %ebx,(%rsi) | xchgq %rbx,(%rsi) | lock xaddl %ebx,(%rsi) | lock cmpxchgl %ebx,(%rsi)
lock cmpxchgq %rbx,(%rsi) | cmpl $0,(%rsi) | cmpl %ebx,(%rsi) | testl $1,(%rsi) | andl $6,(%rsi)
lock orl %ebx,(%rsi)
"""


def listed(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", "|").split("|") if part.strip()]


def assembled(lines: list[str], command: tuple[str, ...], folder: Path, head: str = "") -> list[bytes]:
    """Assemble each instruction; 16 bytes apart, so that their lengths are told by the padding's start."""
    source, target, plain = folder / "t.s", folder / "t.o", folder / "t.bin"
    body = "".join(f".balign 16\n{line}\n.byte 0x5a,0xa5,0x5a\n" for line in lines)
    source.write_text(head + body, encoding="utf-8")
    subprocess.run([*command, str(source), "-o", str(target)], check=True)
    copier = "aarch64-linux-gnu-objcopy" if "aarch64" in command[0] else "objcopy"
    subprocess.run([copier, "-O", "binary", "-j", ".text", str(target), str(plain)], check=True)
    code = plain.read_bytes()
    return [code[at : at + 16].split(b"\x5a\xa5\x5a")[0] for at in range(0, 16 * len(lines), 16)]


def explored(
    order: Any, instruction: Any, registers: dict[str, int], memory: bytearray, piece: int = 0
) -> tuple[dict[str, int], bytes]:
    """Run one instruction on one CPU of the explorer; of several ways the first is taken.

    ``piece``: the size of the pieces that accesses are made in; 0: whole.
    """
    code = Code(
        [instruction, None], frozenset(), lambda value, index: instruction, lambda value, index: False, 2
    )
    if piece:
        code.layout = Layout({}, known=frozenset(Piece(DATA + at, piece) for at in range(0, 0x400, piece)))
    data = bytes(memory)
    return settled(code, lambda: _ran(code, order.copy(), dict(registers), bytearray(data)))


def _ran(
    code: Code, order: Any, registers: dict[str, int], memory: bytearray
) -> tuple[dict[str, int], bytes]:
    thread = Thread(State(code, order, registers, 0), lambda state: dict(state.registers))
    step = thread.start()
    while True:
        for event in step.events:
            if event.kind == 2:
                at = event.location - DATA  # type: ignore[operator]
                size = code.layout.size_at(event.location)  # type: ignore[arg-type]
                memory[at : at + size] = int(event.value).to_bytes(size, "little")  # type: ignore[call-overload]
        if step.wants is not None:
            at = step.wants.location - DATA  # type: ignore[operator]
            step = thread.read(step.state, int.from_bytes(memory[at : at + 8], "little"))
        elif step.ways:
            step = thread.way(step.state, 0)
        else:
            return step.final, bytes(memory)


def values(rng: random.Random, bits: int = 64) -> int:
    return rng.choice(
        [rng.getrandbits(bits), rng.randrange(4), (1 << bits) - 1 - rng.randrange(4), 1 << (bits - 1)]
    )


@pytest.fixture(scope="module")
def arm_code(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    lines = listed(ARM)
    head = ".arch armv8.5-a\n"
    return dict(
        zip(
            lines,
            assembled(lines, ("aarch64-linux-gnu-as",), tmp_path_factory.mktemp("a"), head),
            strict=True,
        )
    )


@pytest.fixture(scope="module")
def x86_code(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    lines = listed(X86)
    return dict(zip(lines, assembled(lines, ("as", "--64"), tmp_path_factory.mktemp("x")), strict=True))


@pytest.mark.parametrize("text", listed(ARM))
def test_arm64(text: str, arm_code: dict[str, bytes]) -> None:
    uc = new_cpu(port_named("arm64"))
    uc.mem_map(TEXT, 0x1000)
    uc.mem_map(DATA, 0x1000)
    uc.mem_write(TEXT, arm_code[text])
    instruction = arm64.compile_instruction(text, 0, {})
    rng = random.Random(text)
    names = {f"X{number}": arm64_const.UC_ARM64_REG_X0 + number for number in range(10)}
    for turn in range(ROUNDS):
        registers = {name: values(rng) for name in names} | {"X8": DATA + 0x100, "X9": 8}
        memory = bytearray(rng.randbytes(0x400))
        if text.startswith("cas") and rng.random() < 0.5:  # let the comparison succeed
            first = 2 if text.startswith("casp") else 0
            step = 4 if "w" in text else 8
            for half in range(2 if first else 1):
                at = 0x100 + half * step
                registers[f"X{first + half}"] = int.from_bytes(memory[at : at + step], "little")
        flags = rng.randrange(16)
        for name, number in names.items():
            uc.reg_write(number, registers[name])
        uc.reg_write(arm64_const.UC_ARM64_REG_NZCV, flags << 28)
        uc.mem_write(DATA, bytes(memory))
        uc.emu_start(TEXT, 0, count=1)

        piece = (0, 0, 1, 2)[turn % 4]
        found, after = explored(ArmOrder(), instruction, {**registers, ARM_FLAGS: flags}, memory, piece)

        assert {name: int(found[name]) for name in names} == {
            name: uc.reg_read(names[name]) for name in names
        }
        assert after == bytes(uc.mem_read(DATA, 0x400))
        assert found[ARM_FLAGS] == uc.reg_read(arm64_const.UC_ARM64_REG_NZCV) >> 28


@pytest.mark.parametrize("text", listed(X86))
def test_x86(text: str, x86_code: dict[str, bytes]) -> None:
    uc = new_cpu(port_named("x86_64"))
    uc.mem_map(TEXT, 0x1000)
    uc.mem_map(DATA, 0x1000)
    uc.mem_write(TEXT, x86_code[text])
    instruction = x86_64.compile_instruction(text, 0, {}, symbol=lambda name: 0)
    rng = random.Random(text)
    names = {name: getattr(x86_const, f"UC_X86_REG_{name.upper()}") for name in ("rax", "rbx", "rsi", "rdi")}
    overflow_undefined = bool(re.match("sh|sa", text))  # for counts above 1: Intel SDM vol. 2B, SAL
    for turn in range(ROUNDS):
        registers = {"rax": values(rng), "rbx": values(rng), "rsi": DATA + 0x100, "rdi": 2}
        memory = bytearray(rng.randbytes(0x400))
        if "cmpxchg" in text and rng.random() < 0.5:
            wide = 8 if "cmpxchgq" in text else 4
            registers["rax"] = int.from_bytes(memory[0x100 : 0x100 + wide], "little")
        for name, number in names.items():
            uc.reg_write(number, registers[name])
        uc.reg_write(x86_const.UC_X86_REG_EFLAGS, 2)
        uc.mem_write(DATA, bytes(memory))
        uc.emu_start(TEXT, 0, count=1)

        piece = (0, 0, 1, 2)[turn % 4]
        found, after = explored(TsoOrder(), instruction, {**registers, X86_FLAGS: 0}, memory, piece)

        flags = uc.reg_read(x86_const.UC_X86_REG_EFLAGS)
        wanted = (flags & 1) | (flags >> 6 & 1) << 1 | (flags >> 7 & 1) << 2 | (flags >> 11 & 1) << 3
        ignored = 0b1001 if overflow_undefined else 0
        assert {name: found[name] for name in names} == {name: uc.reg_read(names[name]) for name in names}
        assert after == bytes(uc.mem_read(DATA, 0x400))
        assert found[X86_FLAGS] & ~ignored == wanted & ~ignored


@pytest.mark.parametrize(
    ("name", "size", "most"), [("ldsmax w1,w0,[x8]", 4, True), ("ldsminb w1,w0,[x8]", 1, False)]
)
def test_signed_extremes_below_64_bits(name: str, size: int, most: bool) -> None:
    # Unicorn 2.1.4 compares these without sign; the Arm ARM's pseudocode of LDSMAX extends by sign.
    instruction = arm64.compile_instruction(name, 0, {})
    rng = random.Random(size)
    for _ in range(ROUNDS):
        memory = bytearray(rng.randbytes(0x400))
        old, by = memory[0x100 : 0x100 + size], rng.randbytes(size)
        both = [int.from_bytes(one, "little", signed=True) for one in (old, by)]
        registers = {"X0": 0, "X1": int.from_bytes(by, "little"), "X8": DATA + 0x100}

        found, after = explored(ArmOrder(), instruction, registers, memory)

        assert found["X0"] == int.from_bytes(old, "little")
        result = int.from_bytes(after[0x100 : 0x100 + size], "little", signed=True)
        assert result == (max(both) if most else min(both))
