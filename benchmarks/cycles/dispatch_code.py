"""Assembly that dispatch kernels are put together from: our own miniatures of entry stubs, trampolines, handlers.

Registers: rsi = scratch area, rdi = iterations (kept in r15 by the frame), r14 = scratch area for good.
"""

from __future__ import annotations

SAVED = (
    "r15",
    "r14",
    "r13",
    "r12",
    "rbp",
    "rbx",
    "r11",
    "r10",
    "r9",
    "r8",
    "rax",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
)
LIGHT = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9")
ARGS = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11")

# scratch: 0x100 current task, 0x108 preempt count; 0x200 task: recursion, patch state;
# 0x300 ops: list head next; 0x400 + 0x40 * n func: next, new_func, transition, nop


def save(registers: tuple[str, ...]) -> str:
    return "\n".join(f"mov [rsp + {8 * at}], {name}" for at, name in enumerate(registers))


def restore(registers: tuple[str, ...]) -> str:
    return "\n".join(f"mov {name}, [rsp + {8 * at}]" for at, name in enumerate(registers))


def full_trampoline(label: str, handler: str, *, redirect: bool) -> str:
    """Flags and all registers saved; the handler's new ip, at 0x80, taken by the final ret if it redirects."""
    take = "mov rax, [rsp + 0x80]\nmov [rsp + 0x98], rax\n" if redirect else ""
    return f"""
    .p2align 6
{label}:
    pushfq
    sub rsp, 0x90
    {save(SAVED)}
    mov rax, [rsp + 0x98]
    mov [rsp + 0x80], rax
    lea rax, [rsp + 0xa0]
    mov [rsp + 0x78], rax
    mov rdi, [rsp + 0x98]
    mov rsi, [rsp + 0xa0]
    lea rdx, [r14 + 0x300]
    mov rcx, rsp
    call {handler}
    {take}
    {restore(SAVED)}
    add rsp, 0x90
    popfq
    ret
"""


def light_trampoline(label: str, handler: str, *, redirect: bool, registers: tuple[str, ...] = LIGHT) -> str:
    """Argument registers saved; no flags."""
    take = "mov rax, [rsp + 0x60]\nmov [rsp + 0x78], rax\n" if redirect else ""
    return f"""
    .p2align 6
{label}:
    sub rsp, 0x78
    {save(registers)}
    mov rax, [rsp + 0x78]
    mov [rsp + 0x60], rax
    mov rdi, rax
    mov rsi, [rsp + 0x80]
    lea rdx, [r14 + 0x300]
    mov rcx, rsp
    call {handler}
    {take}
    {restore(registers)}
    add rsp, 0x78
    ret
"""


def tail_trampoline(label: str, handler: str) -> str:
    """Redirects by a jump: the return address of the site is dropped, the new function entered by JMP."""
    return f"""
    .p2align 6
{label}:
    sub rsp, 0x78
    {save(LIGHT)}
    lea rdx, [r14 + 0x300]
    mov rcx, rsp
    call {handler}
    {restore(LIGHT)}
    mov r11, [rsp + 0x60]
    add rsp, 0x80
    jmp r11
"""


def handler(label: str, *, ip: int = 0x80) -> str:
    """klp_ftrace_handler in small: recursion bit, preemption, newest func, transition, nop, new ip."""
    return f"""
    .p2align 6
{label}:
    mov r9, [r14 + 0x100]
    mov r8, r14
    mov esi, 1
    mov rax, [r9]
    test rax, rsi
    jnz {label}_out
    or rax, rsi
    mov [r9], rax
    add qword ptr [r8 + 0x108], 1
    lea r10, [rdx]
    mov r11, [r10]
    cmp r11, r10
    je {label}_unlock
    cmp byte ptr [r11 + 0x10], 0
    jne {label}_transition
{label}_chosen:
    cmp byte ptr [r11 + 0x11], 0
    jne {label}_unlock
    mov rax, [r11 + 8]
    mov [rcx + {ip:#x}], rax
{label}_unlock:
    sub qword ptr [r8 + 0x108], 1
    not rsi
    and [r9], rsi
{label}_out:
    ret
{label}_transition:
    mov rax, [r9 + 8]
    cmp rax, -1
    je {label}_chosen
    test rax, rax
    jnz {label}_chosen
    mov r11, [r11]
    cmp r11, r10
    je {label}_unlock
    jmp {label}_chosen
"""


def func_stack(depth: int, *, transition: int = 0, nop: int = 0, state: int = 1) -> str:
    """Fill the scratch area: one ops with ``depth`` versions, all of which are ``newf``."""
    lines = [
        "lea rax, [r14 + 0x200]", "mov [r14 + 0x100], rax", f"mov qword ptr [r14 + 0x208], {state}",
        "lea rax, [r14 + 0x400]" if depth else "lea rax, [r14 + 0x300]", "mov [r14 + 0x300], rax",
    ]  # fmt: skip
    for at in range(depth):
        node = 0x400 + 0x40 * at
        following = 0x440 + 0x40 * at if at + 1 < depth else 0x300
        lines += [
            f"lea rax, [r14 + {following:#x}]", f"mov [r14 + {node:#x}], rax", "lea rax, [rip + newf]",
            f"mov [r14 + {node + 8:#x}], rax",
        ]  # fmt: skip
    if depth:
        lines += [f"mov byte ptr [r14 + 0x410], {transition}", f"mov byte ptr [r14 + 0x411], {nop}"]
    return "\n".join(lines)


def traced(label: str, trampoline: str, body: str = "add rax, 1") -> str:
    """A traced function: its site, then its body; ``newf`` is what replaces it."""
    return f"""
    .p2align 4
{label}:
    call {trampoline}
    {body}
    ret
"""


NEW = """
    .p2align 4
newf:
    add rax, 2
    ret
"""
