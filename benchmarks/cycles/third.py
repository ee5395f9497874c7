"""Kernels written after all rules of the CPU model, by somebody who had not looked at them; predicted before measured."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.cycles.frame import Kernel

_LEAF = "\n.p2align 4\nleaf: mov eax, 1\nret"
_SAVED = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11")


def _pushes(names: Sequence[str]) -> str:
    return "\n".join(f"push {name}" for name in names)


def _pops(names: Sequence[str]) -> str:
    return "\n".join(f"pop {name}" for name in reversed(names))


def _pushing_trampoline(names: Sequence[str], handler: str) -> str:
    """A stub that saves by pushes and hands the handler the address of the saved IP."""
    saved = 8 * len(names)
    return (
        f"\n.p2align 5\nstub: endbr64\n{_pushes(names)}\nmov rdi, [rsp + {saved}]\nlea rsi, [rsp + {saved}]\n"
        f"mov rdx, [rip + ops]\ncall {handler}\n{_pops(names)}\nret\n.p2align 3\nops: .quad 0"
    )


def _handler(redirect: bool) -> str:
    """Walk a list of funcs in scratch from its head, take the first that is on; redirect or not."""
    end = "mov rax, [rcx + 16]\nmov [rsi], rax" if redirect else "mov rax, [rcx + 24]"
    return (
        "\n.p2align 4\nhandle: push rbp\nmov rbp, rsp\ninc dword ptr [r14 + 0xf00]\nmov rcx, [r14 + 0x800]\n"
        "test rcx, rcx\nje 9f\n1: cmp dword ptr [rcx + 8], 0\njne 2f\nmov rcx, [rcx]\ntest rcx, rcx\njne 1b\njmp 9f\n"
        f"2: {end}\n9: dec dword ptr [r14 + 0xf00]\npop rbp\nret"
    )


def _funcs(count: int, *, on: int) -> str:
    """A list of so many funcs, of which the one at ``on`` is the first that is on; ``on`` = count: none."""
    lines = ["lea rax, [r14 + 0x900]", "mov [r14 + 0x800], rax"]
    for at in range(count):
        here = 0x900 + 0x60 * at
        following = f"lea rax, [r14 + {here + 0x60:#x}]" if at + 1 < count else "xor eax, eax"
        lines += [
            following,
            f"mov [r14 + {here:#x}], rax",
            f"mov dword ptr [r14 + {here + 8:#x}], {int(at >= on)}",
        ]
        lines += ["lea rax, [rip + replacement]", f"mov [r14 + {here + 16:#x}], rax"]
    return "\n".join(lines)


def _dispatch(
    count: int, on: int, *, redirect: bool = True, names: Sequence[str] = _SAVED, calls: str = "call f"
) -> Kernel:
    functions = (
        "\n.p2align 4\nf: call stub\nadd rbx, 5\nret"
        + _pushing_trampoline(names, "handle")
        + _handler(redirect)
    )
    return Kernel(
        "dispatch", calls, _funcs(count, on=on), functions + "\n.p2align 4\nreplacement: add rbx, 9\nret"
    )


def _chain(nodes: int, stride: int) -> str:
    lines = []
    for at in range(nodes):
        lines += [f"lea rcx, [r14 + {(at + 1) % nodes * stride:#x}]", f"mov [r14 + {at * stride:#x}], rcx"]
    return "\n".join([*lines, "mov rdx, r14"])


KERNELS = {
    "dispatch_first": _dispatch(1, 0),
    "dispatch_second_of_two": _dispatch(2, 1),
    "dispatch_fourth_of_five": _dispatch(5, 3),
    "dispatch_none_on": _dispatch(3, 3),
    "dispatch_empty": Kernel("dispatch", "call f", "mov qword ptr [r14 + 0x800], 0", _dispatch(1, 0).functions),
    "dispatch_observed_only": _dispatch(1, 0, redirect=False),
    "dispatch_four_saved": _dispatch(1, 0, names=_SAVED[:4]),
    "dispatch_twice": _dispatch(1, 0, calls="call f\nmov rcx, rbx\ncall f"),
    "dispatch_after_work": _dispatch(2, 0, calls="imul rax, rbx, 11\nadd rax, [r14]\nmov [r14 + 8], rax\ncall f\nsub rbx, rax"),
    "dispatch_from_nested": Kernel("dispatch", "call g", _funcs(1, on=0), "\n.p2align 4\ng: push rbp\nmov rbp, rsp\ncall f\nlea rax, [rbx + 1]\nleave\nret" + _dispatch(1, 0).functions),
    "call_four_leaves": Kernel("call", "call leaf\nadd rbx, rax\ncall leaf\nadd rbx, rax\ncall leaf\nadd rbx, rax\ncall leaf", functions=_LEAF),
    "call_recursion_4": Kernel("call", "mov edi, 4\ncall down", functions="\n.p2align 4\ndown: test edi, edi\njz 1f\nsub edi, 1\ncall down\nadd eax, 1\n1: ret"),
    "call_frames_two": Kernel("call", "call outer", functions="\n.p2align 4\nouter: push rbp\nmov rbp, rsp\nsub rsp, 16\nmov [rbp - 8], rbx\ncall inner\nmov rbx, [rbp - 8]\nleave\nret\n.p2align 4\ninner: push rbp\nmov rbp, rsp\nlea eax, [rdi + 4]\npop rbp\nret"),
    "call_stack_arguments": Kernel("call", "push 8\npush 7\ncall take\nadd rsp, 16", functions="\n.p2align 4\ntake: mov rax, [rsp + 8]\nadd rax, [rsp + 16]\nret"),
    "call_through_table": Kernel("call", "mov ecx, 2\ncall [r14 + rcx * 8]", "lea rax, [rip + leaf]\nmov [r14 + 16], rax", _LEAF),
    "call_alternating": Kernel("call", "xor r12, r13\ncall r12", "lea r12, [rip + leaf]\nlea r13, [rip + other]\nxor r13, r12", _LEAF + "\n.p2align 4\nother: mov eax, 2\nret"),
    "call_nops_then_ret": Kernel("call", "call padded", functions="\n.p2align 4\npadded: nop\nnop\nnop dword ptr [rax]\nnop word ptr [rax + rax]\nret"),
    "call_tail_two": Kernel("call", "call one", functions="\n.p2align 4\none: lea rdi, [rdi + 1]\njmp two\n.p2align 4\ntwo: lea rdi, [rdi + 2]\njmp leaf" + _LEAF),
    "call_callee_saves_all": Kernel("call", "call keep", functions=f"\n.p2align 4\nkeep: {_pushes(('rbx', 'rbp', 'r12', 'r13'))}\nxor ebx, ebx\nmov rbp, rax\nlea r12, [rax + 3]\nmov r13, r12\n{_pops(('rbx', 'rbp', 'r12', 'r13'))}\nret"),
    "retpoline_from_memory": Kernel("call", "mov rax, [r14 + 0x40]\ncall thunk", "lea rax, [rip + leaf]\nmov [r14 + 0x40], rax", "\n.p2align 5\nthunk: call 3f\n2: pause\nlfence\njmp 2b\n3: mov [rsp], rax\nret" + _LEAF),
    "return_address_read": Kernel("call", "call peek\nadd rbx, rax", functions="\n.p2align 4\npeek: mov rax, [rsp]\nmovzx eax, byte ptr [rax]\nret"),
    "return_address_moved": Kernel("call", "call skip\nadd rbx, 1\nadd rbx, 2", functions="\n.p2align 4\nskip: add qword ptr [rsp], 4\nret"),
    "jump_through_stack": Kernel("call", "lea rax, [rip + 1f]\npush rax\nret\n1: add rbx, 1"),
    "walk_two_chains": Kernel("memory", "mov rdx, [rdx]\nmov rdi, [rdi]\nmov rdx, [rdx]\nmov rdi, [rdi]", _chain(4, 0x140) + "\nlea rdi, [r14 + 0x140]"),
    "walk_six": Kernel("memory", "mov rdx, [rdx]\n" * 6, _chain(6, 0x1c0)),
    "walk_with_test": Kernel("memory", "mov rdx, [rdx]\ncmp dword ptr [rdx + 12], 3\nsete al\nadd bl, al", _chain(7, 0xc0)),
    "walk_seven_and_store": Kernel("memory", "mov rdx, [rdx]\ninc qword ptr [rdx + 32]", _chain(7, 0x180)),
    "push_eight_add": Kernel("memory", _pushes(_SAVED[:8]) + "\nadd rsp, 64"),
    "push_immediates": Kernel("memory", "push 1\npush 2\npush 3\npop rax\npop rcx\npop rdx"),
    "push_from_memory": Kernel("memory", "push qword ptr [r14 + 8]\npop qword ptr [r14 + 16]"),
    "exchange_through_stack": Kernel("memory", "push rax\npush rbx\npop rax\npop rbx\nadd rax, 1"),
    "forward_word_chain": Kernel("memory", "add ax, 1\nmov [r14 + 2], ax\nmovsx eax, word ptr [r14 + 2]"),
    "forward_upper_half": Kernel("memory", "mov [r14], rax\nmov ecx, [r14 + 4]\nadd rax, rcx"),
    "forward_two_halves": Kernel("memory", "mov [r14], eax\nmov [r14 + 4], ebx\nmov rax, [r14]"),
    "copy_four_words": Kernel("memory", "\n".join(f"mov rax, [r14 + {8 * at}]\nmov [r14 + {0x400 + 8 * at}], rax" for at in range(4))),
    "indexed_sum_pair": Kernel("memory", "mov eax, [r14 + rcx * 4]\nadd ebx, eax\nadd edx, [r14 + rcx * 4 + 0x1000]\nlea ecx, [rcx + 1]\nand ecx, 0x1ff", "xor ecx, ecx"),
    "indexed_store_run": Kernel("memory", "mov [r14 + rcx], al\nmov [r14 + rcx + 0x100], ax\nmov [r14 + rcx + 0x200], eax\nadd ecx, 8\nmovzx ecx, cl", "xor ecx, ecx"),
    "bitmap_test_set": Kernel("memory", "mov rax, rbx\nshr rax, 6\nmov rdx, [r14 + rax * 8]\nbts rdx, rbx\nmov [r14 + rax * 8], rdx\ninc ebx\nand ebx, 511", "xor ebx, ebx"),
    "lock_add_two_lines": Kernel("lock", "lock add qword ptr [r14], 1\nlock add qword ptr [r14 + 64], 1"),
    "lock_cmpxchg_loop": Kernel("lock", "mov rax, [r14]\n1: lea rcx, [rax + 1]\nlock cmpxchg [r14], rcx\njne 1b"),
    "lock_bts_btr": Kernel("lock", "lock bts qword ptr [r14], 3\nlock btr qword ptr [r14], 3"),
    "lock_then_loads": Kernel("lock", "lock inc dword ptr [r14]\nmov rax, [r14 + 8]\nmov rcx, [r14 + 16]\nadd rax, rcx"),
    "xchg_two": Kernel("lock", "xchg [r14], rax\nxchg [r14 + 8], rbx"),
    "store_mfence_load": Kernel("lock", "mov [r14], rax\nmfence\nmov rbx, [r14 + 0x40]"),
    "two_lfences": Kernel("lock", "lfence\nadd rax, 1\nlfence\nadd rax, 2"),
    "cmov_chain": Kernel("alu", "cmp rax, rbx\ncmovb rax, rcx\ncmp rax, rdx\ncmova rax, rbx\nadd rax, 1"),
    "shift_mix": Kernel("alu", "shl rax, 3\nror rbx, 9\nsar rcx, 2\nshld rdx, rax, 4\nxor rax, rbx\nadd rcx, rdx"),
    "hash_mix": Kernel("alu", "mov rdx, rax\nshr rdx, 33\nxor rax, rdx\nimul rax, rbx\nmov rdx, rax\nshr rdx, 29\nxor rax, rdx", "mov rbx, 0x9e3779b97f4a7c15"),
    "independent_eight": Kernel("alu", "add rax, 1\nadd rbx, 1\nadd rcx, 1\nadd rdx, 1\nadd r8, 1\nadd r9, 1\nadd r10, 1\nadd r11, 1"),
    "lea_three_parts": Kernel("alu", "lea rax, [rax + rbx + 1]\nlea rcx, [rcx + rax * 4 + 8]\nlea rdx, [rax + rcx]"),
    "divide_32": Kernel("alu", "mov eax, 1000000\nxor edx, edx\ndiv ebx\nadd ecx, eax", "mov ebx, 37"),
    "set_and_extend": Kernel("alu", "cmp rax, rbx\nsetl cl\nmovzx ecx, cl\nadd rax, rcx\ntest rax, rax\nsetns dl\nmovzx edx, dl\nsub rbx, rdx"),
    "loop_inside": Kernel("alu", "mov ecx, 5\n1: add rax, rcx\nsub ecx, 1\njnz 1b"),
    "swap_bytes": Kernel("alu", "bswap rax\nadd rax, 1\nmov rbx, rax\nxchg rbx, rcx\nadd rcx, rax"),
}  # fmt: skip
"""By name."""
