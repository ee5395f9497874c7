"""Modules whose functions do what no kernel function may do."""

from __future__ import annotations

from dataclasses import dataclass

from emu.arch.port import Port
from emu.build.asm.assembler import Unit
from emu.build.code_source import AssemblyText
from emu.build.contents import Call, ModuleSource

MODULE = "wrong"

_SITES = {"x86_64": "call __fentry__", "arm64": "nop\nnop"}
_HEADS = {"x86_64": "", "arm64": ".balign 0x8\n.8byte 0x0"}

_ONLY_CPU1 = {
    "x86_64": "rdgsbase rax\nmov eax, [rax + PCPU_CPU_NUMBER]\ncmp eax, 0x1\njne .Lgood",
    "arm64": "mrs x1, tpidr_el1\nldr w1, [x1, #PCPU_CPU_NUMBER]\ncmp w1, #0x1\nb.ne .Lgood",
}
_RETURN_0 = {"x86_64": ".Lgood:\nxor eax, eax\nret", "arm64": ".Lgood:\nmov w0, #0x0\nret"}
_LOOP = {"x86_64": ".Lloop:\njmp .Lloop", "arm64": ".Lloop:\nb .Lloop"}
_MASK = {"x86_64": "cli", "arm64": "msr daifset, #0x2"}
_POINT_AT_NOTHING = {
    "x86_64": "mov eax, 0x4141\nmov ecx, klp_ops_list\nmov [rcx], rax",
    "arm64": (
        "movz x2, #klp_ops_list_LO16\nmovk x2, #klp_ops_list_HI16, lsl #0x10\nmovz x1, #0x4141\nstr x1, [x2]"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What a function does, by port, and what is said of it."""

    body: dict[str, str]
    what: str
    detail: str = ""
    is_traced: bool = True


def _join(*parts: dict[str, str]) -> dict[str, str]:
    return {port: "\n".join(part[port] for part in parts) for port in parts[0]}


STACK_OVERFLOW = r"that is the guard page below the kernel stack of \w+/\d\.\d \(pid \d+\): stack overflow"
RECURSION = {
    "x86_64": "push rbp\nmov rbp, rsp\ncall recursion\npop rbp\nret",
    "arm64": "stp x29, x30, [sp, #-0x10]!\nmov x29, sp\nbl recursion\nldp x29, x30, [sp], #0x10\nret",
}
NOWHERE = r"no traced call has returned for [\d_]+ instructions: the guest may loop for ever"

DEEDS = {
    "loops": Deed(
        body=_LOOP, what=NOWHERE, detail=r"CPU1: loops\+0x\w+/0x\w+ \[wrong\] \(wrong\.s:\d+\), task .*"
    ),
    "loops_masked": Deed(body=_join(_MASK, _LOOP), what=NOWHERE, detail=r"CPU1: .*, interrupts disabled"),
    "null": Deed(
        body={"x86_64": "xor ecx, ecx\nmov rax, [rcx]\nret", "arm64": "mov x1, #0x0\nldr x0, [x1]\nret"},
        what=r"read from unmapped memory at 0x0",
        detail=r"that is a null pointer, or a member of what one points at",
    ),
    "calls_null": Deed(
        body={"x86_64": "xor ecx, ecx\njmp rcx", "arm64": "mov x1, #0x0\nbr x1"},
        what=r"jump to a null pointer: 0x0",
        detail=r"open traced calls, innermost first: calls_null \[wrong\]",
    ),
    "jumps_to_data": Deed(
        body={
            "x86_64": "mov eax, call_buffer\njmp rax",
            "arm64": "movz x1, #call_buffer_LO16\nmovk x1, #call_buffer_HI16, lsl #0x10\nbr x1",
        },
        what=r"jump into data: 0x2\w{7}",
        detail=r"\S+ \(pid \d+\) was making the call jumps_to_data \[wrong\]\(0x1, 0x2\)",
    ),
    "jumps_away": Deed(
        body={"x86_64": "mov eax, 0x41410000\njmp rax", "arm64": "movz x1, #0x4141, lsl #0x10\nbr x1"},
        what=r"jump to where nothing is mapped: 0x41410000",
    ),
    "recursion": Deed(body=RECURSION, what=r"write to unmapped memory at 0x2\w+", detail=STACK_OVERFLOW),
    "untraced_recursion": Deed(
        body={name: body.replace("recursion", "untraced_recursion") for name, body in RECURSION.items()},
        what=r"write to unmapped memory at 0x2\w+",
        detail=STACK_OVERFLOW,
        is_traced=False,
    ),
    "tail_recursion": Deed(
        body={"x86_64": "jmp tail_recursion", "arm64": "b tail_recursion"},
        what=r"more traced calls are open than can be followed: endless recursion",
        detail=r"open traced calls, innermost first: tail_recursion \[wrong\] \([\d_]+ times\)",
    ),
    "smashes": Deed(
        body={
            "x86_64": "push rbp\nmov eax, 0x41414140\nmov [rsp + 0x8], rax\npop rbp\nret",
            "arm64": "stp x29, x30, [sp, #-0x10]!\nmovz x1, #0x4140\nmovk x1, #0x4141, lsl #0x10\n"
            "str x1, [sp, #0x8]\nldp x29, x30, [sp], #0x10\nret",
        },
        what=r"jump to where nothing is mapped: 0x41414140",
        detail=r"that is what the return address said: it has been overwritten",
    ),
    "writes_text": Deed(
        body={
            "x86_64": "mov ecx, mini_leaf\nmov byte ptr [rcx], 0x90\nret",
            "arm64": "movz x1, #mini_leaf_LO16\nmovk x1, #mini_leaf_HI16, lsl #0x10\nstr w0, [x1]\nret",
        },
        what=r"write to text at 0x1\w+",
        detail=r"only text pokes may change text",
    ),
    "undefined": Deed(
        body={"x86_64": "ud2\nret", "arm64": ".4byte 0x0\nret"},
        what=r"undefined instruction( \(exception 1, .*\))?",
        detail=r"next instruction: (ud2|udf #0) \(.*\)",
    ),
    "divides": Deed(
        body={"x86_64": "xor ecx, ecx\nxor edx, edx\ndiv ecx\nret"},
        what=r"division by zero, or .* \(exception 0, which this kernel does not handle\)",
        detail=r"next instruction: div ecx \(f7 f1\)",
    ),
    "unaligned": Deed(
        body={"arm64": "movz x1, #0x2000, lsl #0x10\nadd x1, x1, #0x201\nldxr x0, [x1]\nret"},
        what=r"unaligned exclusive, .* \(exception 4, which this kernel does not handle\)",
        detail=r"next instruction: ldxr x0, \[x1\] \(20 7c 5f c8\)",
    ),
    "halts": Deed(
        body={"x86_64": ".Lloop:\nhlt\njmp .Lloop", "arm64": ".Lloop:\nwfi\nb .Lloop"}, what=NOWHERE
    ),
    "breaks": Deed(
        body={"x86_64": "int3\nret", "arm64": "brk #0x1\nret"},
        what=r"BUG: unexpected_(int3|brk)",
        detail=r"int3 at breaks\+0x5/0x\w+ \[wrong\] .*|brk at breaks\+0x8/0x\w+ \[wrong\] .*",
    ),
    "calls_the_kernel": Deed(
        body={"x86_64": "syscall\nret", "arm64": "svc #0x0\nret"},
        what=r"a system call from kernel text \(exception \d+, which this kernel does not handle\)",
    ),
    "loses_its_cpu": Deed(
        body={"x86_64": "xor eax, eax\nwrgsbase rax\nret", "arm64": "msr tpidr_el1, xzr\nret"},
        what=r"(read from|write to) unmapped memory at 0x\w+",
    ),
    "loses_its_stack": Deed(
        body={
            "x86_64": "mov esp, 0x41410000\nret",
            "arm64": "movz x1, #0x4141, lsl #0x10\nmov sp, x1\nstp x29, x30, [sp, #-0x10]!\nret",
        },
        what=r"(read from|write to) unmapped memory at 0x414\w+",
    ),
}
"""Deeds by the function's name; every task does them, sooner or later."""

CPU1_LOOPS = Deed(body=_join(_ONLY_CPU1, _LOOP, _RETURN_0), what="")
CPU1_LOOPS_MASKED = Deed(body=_join(_ONLY_CPU1, _MASK, _LOOP, _RETURN_0), what="")
OVERWRITES_KLP_OPS = Deed(body=_join(_POINT_AT_NOTHING, _RETURN_0), what="")


def module(port: Port, name: str, deed: Deed) -> ModuleSource:
    """Return a module with the one function ``name``, which every task calls in turn with the others."""
    label = (
        f".global __mcount_loc_{name}\n__mcount_loc_{name}:\n{_SITES[port.name]}" if deed.is_traced else ""
    )
    lines = (_HEADS[port.name], f".global {name}", f"{name}:", label, deed.body[port.name], "")
    unit = Unit(name=MODULE, text="\n".join(filter(None, lines)) + "\n", origin=f"{MODULE}.s")
    call = Call(fn=name, args=(1, 2), expected=0)
    return ModuleSource(name=MODULE, code=AssemblyText(units=(unit,)), calls=(call,))
