"""The kernels that were measured only after the CPU model's parameters had been frozen."""

from __future__ import annotations

from benchmarks.cycles.dispatch_code import (
    ARGS,
    NEW,
    SAVED,
    full_trampoline,
    func_stack,
    handler,
    light_trampoline,
    restore,
    save,
    tail_trampoline,
    traced,
)
from benchmarks.cycles.frame import Kernel

_LEAF = "\n.p2align 4\nleaf: ret\n"
_HAND = handler("hand", ip=0x60)


def _light(setup: str, *, redirect: bool = True, **more: tuple[str, ...]) -> Kernel:
    tramp = light_trampoline("tramp", "hand", redirect=redirect, **more)
    return Kernel("dispatch", "call f", setup, traced("f", "tramp") + tramp + _HAND + NEW)


def _full(setup: str, *, redirect: bool = True) -> Kernel:
    tramp = full_trampoline("tramp", "hand", redirect=redirect)
    return Kernel("dispatch", "call f", setup, traced("f", "tramp") + tramp + handler("hand") + NEW)


def _ring(nodes: int, *, link: int = 0) -> str:
    lines = [f"lea rax, [r14 + {link:#x}]"]
    for at in range(nodes):
        lines += [
            f"lea rcx, [r14 + {(at + 1) % nodes * 320 + link:#x}]",
            f"mov [r14 + {at * 320 + link:#x}], rcx",
        ]
    return "\n".join(lines)


KERNELS = {
    "call_twice": Kernel("call", "call leaf\nadd rax, 1\ncall leaf", functions=_LEAF),
    "call_deep_6": Kernel("call", "call a1", functions="".join(f"\n.p2align 4\na{n}: add rax, {n}\ncall a{n + 1}\nret" for n in range(1, 6)) + "\n.p2align 4\na6: ret"),
    "call_saving": Kernel("call", "mov rdi, rax\ncall a", functions="\n.p2align 4\na: push rbx\npush r12\nmov rbx, rdi\nlea r12, [rbx + 4]\ncall leaf\nlea rax, [rbx + r12]\npop r12\npop rbx\nret" + _LEAF),
    "call_arguments": Kernel("call", "mov edi, 1\nmov esi, 2\nmov edx, 3\ncall a\nadd rbx, rax", functions="\n.p2align 4\na: lea rax, [rdi + rsi]\nimul rax, rdx\nret"),
    "call_register": Kernel("call", "call r12\ncall r13", "lea r12, [rip + leaf]\nlea r13, [rip + other]", _LEAF + "\n.p2align 4\nother: nop\nret"),
    "jump_table": Kernel("call", "mov eax, ebx\nand eax, 0\nlea rcx, [rip + table]\nmovsxd rax, dword ptr [rcx + rax * 4]\nadd rax, rcx\njmp rax\ncase0: add rdx, 1", "xor ebx, ebx", "\n.p2align 3\ntable: .long case0 - table\n"),
    "two_retpolines": Kernel("call", "lea rax, [rip + leaf]\ncall thunk\nlea rax, [rip + leaf]\ncall thunk", functions="\n.p2align 5\nthunk: call 2f\n1: pause\nlfence\njmp 1b\n2: mov [rsp], rax\nret" + _LEAF),
    "jump_retpoline": Kernel("call", "call a", functions="\n.p2align 4\na: lea rax, [rip + leaf]\njmp thunk\n.p2align 5\nthunk: call 2f\n1: pause\nlfence\njmp 1b\n2: mov [rsp], rax\nret" + _LEAF),
    "return_to_new": Kernel("call", "call a", functions="\n.p2align 4\na: call b\nret\n.p2align 4\nb: push rax\npush rcx\nlea rax, [rip + c]\nmov [rsp + 16], rax\npop rcx\npop rax\nret\n.p2align 4\nc: ret"),
    "stub_saves_three": Kernel("call", "call a", functions="\n.p2align 4\na: call stub\nadd rax, 1\nret\n.p2align 5\nstub: push rax\npush rcx\npush rdx\ncall leaf\npop rdx\npop rcx\npop rax\nret" + _LEAF),
    "light_listed_1": _light(func_stack(1)),
    "light_listed_3": _light(func_stack(3)),
    "light_old_second": _light(func_stack(2, transition=1, state=0)),
    "light_old_none": _light(func_stack(1, transition=1, state=0)),
    "light_undefined": _light(func_stack(1, transition=1, state=-1)),
    "light_nop_transition": _light(func_stack(1, transition=1, nop=1, state=1)),
    "light_nine_registers": _light(func_stack(1), registers=ARGS),
    "light_nine_plain": _light(func_stack(0), redirect=False, registers=ARGS),
    "full_listed": _full(func_stack(2)),
    "full_old": _full(func_stack(2, transition=1, state=0)),
    "full_nop": _full(func_stack(1, nop=1)),
    "full_empty_redirecting": _full(func_stack(0)),
    "tail_listed_body": Kernel("dispatch", "call f\nadd rbx, rax", func_stack(2), traced("f", "tramp", "imul rax, rax, 3") + tail_trampoline("tramp", "hand") + _HAND + NEW),
    "nested_three": Kernel("dispatch", "call g", func_stack(1), "\n.p2align 4\ng: call h\nret\n.p2align 4\nh: call f\nadd rax, 1\nret" + traced("f", "tramp") + light_trampoline("tramp", "hand", redirect=True) + _HAND + NEW),
    "nested_plain_twice": Kernel("dispatch", "call f\ncall f", func_stack(0), traced("f", "tramp") + light_trampoline("tramp", "hand", redirect=False) + _HAND + NEW),
    "traced_saving_body": Kernel("dispatch", "call f", func_stack(0), traced("f", "tramp", "push rbx\nmov rbx, rdi\nadd rbx, rax\npop rbx") + light_trampoline("tramp", "hand", redirect=False) + _HAND + NEW),
    "list_walk_1": Kernel("memory", "mov rax, [rax]", _ring(1)),
    "list_walk_3_offset": Kernel("memory", "mov rax, [rax + 16]\nsub rax, 16\n" * 3, _ring(3, link=16).replace("lea rax, [r14 + 0x10]", "mov rax, r14").replace("lea rcx, [r14 + 0x150]", "lea rcx, [r14 + 0x150]")),
    "list_walk_8": Kernel("memory", "mov rax, [rax]\n" * 8, _ring(8)),
    "list_search": Kernel("memory", "mov rax, r14\n1: mov rax, [rax]\ncmp qword ptr [rax + 8], 7\nje 2f\ncmp rax, r14\njne 1b\n2:", _ring(3) + "\nmov qword ptr [r14 + 0x288], 7"),
    "push_pop_four": Kernel("memory", "push rax\npush rbx\npush rcx\npush rdx\npop rdx\npop rcx\npop rbx\npop rax"),
    "push_run": Kernel("memory", "\n".join(f"push {r}" for r in SAVED[:12]) + "\nadd rsp, 96"),
    "save_restore_15": Kernel("memory", "sub rsp, 0x80\n" + save(SAVED[1:]) + "\n" + restore(SAVED[1:]) + "\nadd rsp, 0x80"),
    "forward_argument": Kernel("memory", "mov [rsp - 16], rax\nmov ecx, [rsp - 16]\nlea rax, [rcx + 1]"),
    "forward_byte_of_word": Kernel("memory", "mov [r14 + 8], rax\nmovzx eax, byte ptr [r14 + 9]\nadd rax, 3"),
    "forward_from_bytes": Kernel("memory", "mov byte ptr [r14], al\nmov byte ptr [r14 + 1], al\nmovzx eax, word ptr [r14]"),
    "counters": Kernel("memory", "inc dword ptr [r14]\nadd qword ptr [r14 + 8], rax\nadd rax, [r14 + 16]"),
    "indexed_update": Kernel("memory", "mov rax, [r14 + rcx * 8 + 0x100]\nadd rax, rbx\nmov [r14 + rcx * 8 + 0x100], rax\ninc ecx\nand ecx, 31", "xor ecx, ecx"),
    "sum_array": Kernel("memory", "add rax, [r14 + rcx]\nadd rax, [r14 + rcx + 8]\nadd rcx, 16\nand ecx, 0xfff", "xor ecx, ecx"),
    "lock_dec_then_test": Kernel("lock", "lock dec qword ptr [r14]\nsete al\nadd rcx, 1"),
    "lock_xadd_work": Kernel("lock", "mov eax, 1\nlock xadd [r14], rax\nadd rbx, rax\nimul rcx, rbx"),
    "spinlock": Kernel("lock", "mov eax, 1\nxchg [r14], eax\ntest eax, eax\njnz 1f\nadd qword ptr [r14 + 8], 1\n1: mov dword ptr [r14], 0"),
    "fence_between_stores": Kernel("lock", "mov [r14], rax\nsfence\nmov [r14 + 8], rax"),
    "lfence_load": Kernel("lock", "lfence\nmov rax, [r14]\nadd rcx, rax"),
    "mfence_alone": Kernel("lock", "mfence\nadd rax, 1"),
    "flags_save": Kernel("memory", "pushfq\npop rcx\nadd rax, 1\npush rcx\npopfq"),
    "alu_chain": Kernel("alu", "add rax, 3\nxor rax, rbx\nsub rax, 1\nor rax, 2\nneg rax"),
    "alu_two_chains": Kernel("alu", "imul rax, rax, 7\nadd rax, 1\nlea rbx, [rbx + rbx * 2]\nshl rbx, 1\nxor rbx, 5"),
    "alu_many": Kernel("alu", "lea rax, [rbx + rcx + 4]\nmov rdx, rax\nand rdx, 15\nshr rax, 4\nadd rcx, rdx\nnot rbx\ntest rbx, rcx\nsetz dl\nmovzx r8d, dl\nadd r9, r8\nsub r10, r9\nrol r11, 7"),
    "bits": Kernel("alu", "popcnt rax, rbx\ntzcnt rcx, rbx\nbts rbx, 5\nlzcnt rdx, rax\nadd rbx, rdx"),
    "carry_chain": Kernel("alu", "add rax, rbx\nadc rcx, rdx\nadc r8, 0\nsbb r9, r9"),
    "compare_branches": Kernel("alu", "cmp rax, 100\nja 1f\nadd rbx, 1\n1: test cl, 1\njnz 2f\nadd rdx, 2\n2: cmp rbx, rdx\nje 3f\ninc r8\n3:", "xor eax, eax\nxor ecx, ecx\nmov rbx, 7\nxor edx, edx"),
    "multiply_wide": Kernel("alu", "mul rbx\nadd rax, rdx\nxor edx, edx", "mov rbx, 3"),
}  # fmt: skip
"""By name."""
