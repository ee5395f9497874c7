"""Kernels written after the rules and numbers of the CPU model were frozen; predicted and measured once."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.cycles.frame import Kernel

_LEAVES = "\n.p2align 4\nleaf: add rax, 3\nret\n.p2align 4\nother: lea rbx, [rbx + 2]\nret"
_FEW = ("rdi", "rsi", "rdx", "rcx", "rax", "r8")
_MORE = (*_FEW, "r9", "r10", "r11")
_THUNK = "\n.p2align 5\nthunk: call 8f\n7: pause\nlfence\njmp 7b\n8: mov [rsp], r11\nret"

# scratch: 0x600 recursion bits, 0x608 the task's patch state, 0x640 head of the func stack,
# 0x680 + 0x40 * n func: next, new, transition, nop


def _stub(names: Sequence[str], *, flags: bool = False, jump: bool = False) -> str:
    """An entry stub that stores registers below the return address, and returns or jumps where the handler says."""
    room = 8 * len(names) + 8
    saves = "\n".join(f"mov [rsp + {8 * at}], {name}" for at, name in enumerate(names))
    loads = "\n".join(f"mov {name}, [rsp + {8 * at}]" for at, name in enumerate(names))
    head, tail = ("pushfq\n", "popfq\n") if flags else ("", "")
    place = room + 8 if flags else room
    leave = f"add rsp, {room}\n{tail}ret"
    if jump:
        leave = f"mov r11, [rsp + {place}]\nadd rsp, {place + 8}\njmp r11"
    return (
        f"\n.p2align 4\nstub: {head}sub rsp, {room}\n{saves}\nlea rdi, [rsp + {place}]\nmov rsi, [rdi]\n"
        f"call handler\n{loads}\n{leave}"
    )


_HANDLER = """
.p2align 4
handler:
    mov eax, [r14 + 0x600]
    test al, 4
    jnz 9f
    or eax, 4
    mov [r14 + 0x600], eax
    mov rcx, [r14 + 0x640]
    test rcx, rcx
    jz 8f
    cmp byte ptr [rcx + 0x10], 0
    je 2f
    cmp dword ptr [r14 + 0x608], 1
    je 2f
    mov rcx, [rcx]
    test rcx, rcx
    jz 8f
2:  cmp byte ptr [rcx + 0x18], 0
    jne 8f
    mov rdx, [rcx + 8]
    mov [rdi], rdx
8:  and dword ptr [r14 + 0x600], -5
9:  ret
"""


def _funcs(count: int, *, transition: int = 0, state: int = 0, nop: int = 0) -> str:
    lines = [f"mov dword ptr [r14 + 0x608], {state}", "mov qword ptr [r14 + 0x640], 0"]
    for at in reversed(range(count)):
        here = 0x680 + 0x40 * at
        lines += [
            "mov rax, [r14 + 0x640]", f"mov [r14 + {here:#x}], rax", f"lea rax, [r14 + {here:#x}]",
            "mov [r14 + 0x640], rax", "lea rax, [rip + fresh]", f"mov [r14 + {here + 8:#x}], rax",
            f"mov byte ptr [r14 + {here + 0x10:#x}], {transition if at == 0 else 0}",
            f"mov byte ptr [r14 + {here + 0x18:#x}], {nop if at == 0 else 0}",
        ]  # fmt: skip
    return "\n".join(lines)


_TRACED = (
    "\n.p2align 4\ntraced: call stub\nlea r12, [r12 + 1]\nret\n.p2align 4\nfresh: lea r12, [r12 + 8]\nret"
)


def _dispatch(funcs: str, stub: str, body: str = "call traced", more: str = "") -> Kernel:
    return Kernel("dispatch", body, funcs, _TRACED + stub + _HANDLER + more)


def _ring(nodes: int, stride: int) -> str:
    lines = []
    for at in range(nodes):
        here = at * stride
        lines += [f"lea rcx, [r14 + {(at + 1) % nodes * stride:#x}]", f"mov [r14 + {here:#x}], rcx"]
        lines += [f"mov qword ptr [r14 + {here + 24:#x}], {3 * at + 1}"]
    return "\n".join([*lines, "mov rdx, r14"])


def _chain(nodes: int, stride: int) -> str:
    return f"{_ring(nodes, stride)}\nmov qword ptr [r14 + {(nodes - 1) * stride:#x}], 0"


KERNELS = {
    "state_patched": _dispatch(_funcs(1), _stub(_FEW)),
    "state_empty": _dispatch(_funcs(0), _stub(_FEW)),
    "state_transition_unpatched": _dispatch(_funcs(2, transition=1, state=0), _stub(_FEW)),
    "state_transition_alone": _dispatch(_funcs(1, transition=1, state=0), _stub(_MORE)),
    "state_transition_patched": _dispatch(_funcs(2, transition=1, state=1), _stub(_MORE)),
    "state_nop": _dispatch(_funcs(2, nop=1), _stub(_FEW, flags=True)),
    "state_patched_flags": _dispatch(_funcs(1), _stub(_MORE, flags=True)),
    "state_patched_jump": _dispatch(_funcs(1), _stub(_FEW, jump=True)),
    "state_empty_jump": _dispatch(_funcs(0), _stub(_MORE, jump=True)),
    "dispatch_inside_call": _dispatch(_funcs(1), _stub(_FEW), "call around", "\n.p2align 4\naround: push rbx\nmov rbx, r12\ncall traced\nadd r12, rbx\npop rbx\nret"),
    "dispatch_two_in_a_row": _dispatch(_funcs(0), _stub(_FEW), "call traced\nadd rbx, r12\ncall traced"),
    "dispatch_through_pointer": _dispatch(_funcs(1) + "\nlea rax, [rip + traced]\nmov [r14 + 0x7f0], rax", _stub(_FEW), "call [r14 + 0x7f0]"),
    "call_three_same": Kernel("call", "call leaf\ncall leaf\ncall leaf", functions=_LEAVES),
    "call_then_branch": Kernel("call", "call leaf\ntest rax, rax\njs 1f\nadd rcx, rax\n1: sub rdx, rcx", functions=_LEAVES),
    "call_tree": Kernel("call", "call top", functions="\n.p2align 4\ntop: push rbx\ncall mid\nmov rbx, rax\ncall mid\nadd rax, rbx\npop rbx\nret\n.p2align 4\nmid: sub rsp, 8\ncall leaf\nadd rsp, 8\nret" + _LEAVES),
    "call_countdown_5": Kernel("call", "mov esi, 5\ncall down", functions="\n.p2align 4\ndown: sub esi, 1\njz 1f\npush rsi\ncall down\npop rsi\n1: ret"),
    "call_frame_locals": Kernel("call", "call frame", functions="\n.p2align 4\nframe: push rbp\nmov rbp, rsp\nsub rsp, 48\nmov [rbp - 16], rax\nmov dword ptr [rbp - 20], 7\nmov ecx, [rbp - 20]\nadd rax, rcx\nmov rdx, [rbp - 16]\nleave\nret"),
    "call_early_return": Kernel("call", "mov rdi, rbx\ncall early\nadd rbx, 1", functions="\n.p2align 4\nearly: test dil, 1\njnz 1f\nret\n1: lea rax, [rdi + rdi * 2]\nret"),
    "call_jumping_callee": Kernel("call", "call hop", functions="\n.p2align 4\nhop: jmp 1f\n.p2align 4\n2: add rax, 1\njmp 3f\n.p2align 4\n1: add rbx, 1\njmp 2b\n.p2align 4\n3: ret"),
    "indirect_one_of_one": Kernel("call", "mov rax, [r14 + 0x20]\ncall rax\nmov [r14 + 0x28], rbx", "lea rax, [rip + other]\nmov [r14 + 0x20], rax", _LEAVES),
    "indirect_two_sites": Kernel("call", "call r12\nadd rcx, rax\ncall r13\nsub rcx, rbx", "lea r12, [rip + leaf]\nlea r13, [rip + other]", _LEAVES),
    "indirect_three_in_turn": Kernel("call", "add ecx, 1\ncmp ecx, 3\ncmove ecx, edx\ncall [r14 + rcx * 8]", "xor ecx, ecx\nxor edx, edx\nlea rax, [rip + first]\nmov [r14], rax\nlea rax, [rip + second]\nmov [r14 + 8], rax\nlea rax, [rip + third]\nmov [r14 + 16], rax", "\n.p2align 4\nfirst: add rbx, 1\nret\n.p2align 4\nsecond: add rbx, 2\nadd rsi, 4\nret\n.p2align 4\nthird: add rbx, 3\nadd rsi, 5\nadd rdi, 6\nret"),
    "switch_three_in_turn": Kernel("call", "add ecx, 1\ncmp ecx, 3\ncmove ecx, edx\njmp [r14 + rcx * 8]\nt0: add rbx, 5\njmp 9f\nt1: sub rbx, 1\nadd rsi, rbx\njmp 9f\nt2: xor rsi, rbx\n9:", "xor ecx, ecx\nxor edx, edx\nlea rax, [rip + t0]\nmov [r14], rax\nlea rax, [rip + t1]\nmov [r14 + 8], rax\nlea rax, [rip + t2]\nmov [r14 + 16], rax"),
    "retpoline_two_targets": Kernel("call", "lea r11, [rip + leaf]\ncall thunk\nadd rcx, rax\nlea r11, [rip + other]\ncall thunk", functions=_THUNK + _LEAVES),
    "retpoline_in_function": Kernel("call", "call around", functions="\n.p2align 4\naround: push rbp\nmov rbp, rsp\nmov r11, [r14 + 8]\nlea r11, [rip + leaf]\ncall thunk\npop rbp\nret" + _THUNK + _LEAVES),
    "walk_3_sum": Kernel("memory", "add rax, [rdx + 24]\nmov rdx, [rdx]\n" * 3, _ring(3, 0x100)),
    "walk_4_to_end": Kernel("memory", "mov rdx, r14\n1: add rax, [rdx + 24]\nmov rdx, [rdx]\ntest rdx, rdx\njnz 1b", _chain(4, 0xc0)),
    "walk_6_to_end_in_call": Kernel("memory", "mov rdi, r14\ncall length", _chain(6, 0xc0), "\n.p2align 4\nlength: xor eax, eax\n1: add eax, 1\nmov rdi, [rdi]\ntest rdi, rdi\njnz 1b\nret"),
    "walk_8_ring": Kernel("memory", "mov rdx, [rdx]\n" * 8 + "add rax, [rdx + 24]", _ring(8, 0x80)),
    "walk_5_find": Kernel("memory", "mov rdx, r14\n1: cmp qword ptr [rdx + 24], 13\nje 2f\nmov rdx, [rdx]\njmp 1b\n2: add rax, rdx", _ring(5, 0x100)),
    "walk_two_fields": Kernel("memory", "mov rcx, [rdx + 24]\nmov rdx, [rdx]\nlea rax, [rax + rcx * 2]\nmov rcx, [rdx + 24]\nmov rdx, [rdx]\nsub rax, rcx", _ring(6, 0x140)),
    "push_pop_six": Kernel("memory", "\n".join(f"push {name}" for name in _FEW) + "\nadd rbx, 1\n" + "\n".join(f"pop {name}" for name in reversed(_FEW))),
    "push_pop_rotate": Kernel("memory", "push rax\npush rbx\npush rcx\npop rax\npop rbx\npop rcx\nadd rax, 1"),
    "push_run_ten": Kernel("memory", "\n".join(["push rax"] * 10) + "\nlea rsp, [rsp + 80]"),
    "forward_after_work": Kernel("memory", "mov [r14 + 0x30], rax\nimul rbx, rbx\nadd rcx, rbx\nmov rax, [r14 + 0x30]\nadd rax, rcx"),
    "forward_byte_same": Kernel("memory", "mov [r14 + 5], al\nmovzx ecx, byte ptr [r14 + 5]\nadd eax, ecx"),
    "forward_two_words": Kernel("memory", "mov [r14], ax\nmov [r14 + 2], bx\nmov ecx, [r14]\nadd eax, ecx"),
    "forward_lower_half": Kernel("memory", "mov [r14 + 8], rax\nmov eax, [r14 + 8]\nlea rax, [rax + 1]"),
    "index_scale_sum": Kernel("memory", "movzx eax, word ptr [r14 + rcx * 2]\nadd rbx, rax\nmov edx, [r14 + rcx * 4 + 0x800]\nxor rbx, rdx\nadd ecx, 1\nand ecx, 127", "xor ecx, ecx"),
    "index_store_pair": Kernel("memory", "mov [r14 + rcx * 8], rax\nmov [r14 + rcx * 8 + 0x240], rbx\nadd ecx, 1\nand ecx, 31", "xor ecx, ecx"),
    "index_swap": Kernel("memory", "mov rax, [r14 + rcx * 8]\nmov rbx, [r14 + rcx * 8 + 8]\nmov [r14 + rcx * 8], rbx\nmov [r14 + rcx * 8 + 8], rax\nadd ecx, 2\nand ecx, 30", "xor ecx, ecx"),
    "lock_inc_two_places": Kernel("lock", "lock inc dword ptr [r14 + 4]\nadd rax, 1\nlock inc dword ptr [r14 + 0x84]"),
    "lock_take_and_release": Kernel("lock", "1: lock bts dword ptr [r14], 0\njc 1b\nadd rbx, 1\nmov dword ptr [r14], 0"),
    "lock_xadd_then_load": Kernel("lock", "mov eax, 1\nlock xadd [r14], eax\nmov ecx, [r14 + 0x40]\nadd ecx, eax"),
    "xchg_with_work": Kernel("lock", "xchg [r14], rax\nadd rbx, 1\nimul rcx, rbx\nadd rdx, rcx"),
    "mfence_after_two_stores": Kernel("lock", "mov [r14], rax\nmov [r14 + 0x40], rbx\nmfence"),
    "sfence_between": Kernel("lock", "mov [r14], rax\nmov [r14 + 8], rax\nsfence\nmov dword ptr [r14 + 0x80], 1"),
    "lfence_and_chain": Kernel("lock", "add rax, 1\nlfence\nlea rbx, [rax + rax * 4]\nadd rbx, 7"),
    "mix_shift_add": Kernel("alu", "shl rax, 2\nadd rbx, rax\nror rcx, 11\nxor rdx, rcx\nsub rsi, rdx\nor rdi, 5\nlea r8, [rdi + rsi]"),
    "mix_carry": Kernel("alu", "add rax, rbx\nadc rcx, 0\nsub rdx, rax\nsbb rsi, 0\nxor rdi, rsi"),
    "mix_conditional": Kernel("alu", "cmp rax, 100\ncmovg rax, rbx\nadd rax, 7\ncmp rax, rcx\nsetb dl\nmovzx edx, dl\nadd rcx, rdx", "xor eax, eax\nmov ebx, 3\nmov ecx, 50"),
    "mix_multiply": Kernel("alu", "imul rax, rbx, 7\nadd rbx, 1\nimul rcx, rax\nmov rdx, rcx\nshr rdx, 5\nxor rsi, rdx"),
    "mix_wide_18": Kernel("alu", "\n".join(f"{op} {name}, {at + 1}" for at, (op, name) in enumerate(zip(("add", "xor", "sub", "or", "and", "add") * 3, (*_MORE, "rbx", "rbp", "r12", "r13") * 2, strict=False)))),
    "mix_divide": Kernel("alu", "mov rax, r8\ncqo\nidiv rbx\nadd rcx, rdx\nadd r8, 17", "mov ebx, 1000\nmov r8d, 123456789"),
    "mix_inner_six": Kernel("alu", "mov ecx, 6\n1: lea rax, [rax + rcx]\nxor rbx, rax\nsub ecx, 1\njnz 1b\nadd rdx, rbx"),
}  # fmt: skip
"""By name."""
