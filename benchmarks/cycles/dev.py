"""The kernels that the CPU model was adjusted with."""

from __future__ import annotations

from benchmarks.cycles.dispatch_code import (
    ARGS,
    NEW,
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

_RET = "\n.p2align 6\nleaf: ret\n"
_MIX = "add rax, rbx\nxor rcx, rax\nlea rdx, [rcx + rax]\nsub rbx, 3\nimul r8, rdx, 5\nshr r8, 2\nor r9, r8\nmov r10, r9\n"


def _list(nodes: int) -> str:
    """A circular list in the scratch area, one node in each of some lines."""
    lines = ["mov rax, r14"]
    for at in range(nodes):
        following = (at + 1) % nodes
        lines += [f"lea rcx, [r14 + {following * 192:#x}]", f"mov [r14 + {at * 192:#x}], rcx"]
    return "\n".join(lines)


KERNELS = {
    # calls and returns
    "call_ret": Kernel("call", "call leaf", functions=_RET),
    "call_nested_3": Kernel("call", "call a", functions="\n.p2align 6\na: call b\nret\n.p2align 6\nb: call leaf\nret" + _RET),
    "call_body": Kernel("call", "call a", functions="\n.p2align 6\na: add rax, 1\nadd rcx, 2\nxor rdx, rax\nmov rbx, rcx\nret"),
    "call_frame": Kernel("call", "call a", functions="\n.p2align 6\na: push rbp\nmov rbp, rsp\nsub rsp, 0x20\nmov [rbp - 8], rdi\nmov rax, [rbp - 8]\nadd rax, 1\nleave\nret"),
    "call_tail": Kernel("call", "call a", functions="\n.p2align 6\na: add rax, 1\njmp leaf" + _RET),
    "call_indirect_memory": Kernel("call", "call [r14]", "lea rax, [rip + leaf]\nmov [r14], rax", _RET),
    "alternating_calls": Kernel("call", "xchg r12, r13\ncall r12", "lea r12, [rip + leaf]\nlea r13, [rip + other]", _RET + "\n.p2align 6\nother: nop\nret"),
    "alternating_jumps": Kernel("call", "xchg r12, r13\njmp r12\n1: add rax, 1\njmp 3f\n2: add rax, 2\n3:", "lea r12, [rip + 1f]\nlea r13, [rip + 2f]"),
    "alternating_calls_after_branch": Kernel("call", "xchg r12, r13\nxor ebx, 1\njz 1f\nnop\n1: call r12", "xor ebx, ebx\nlea r12, [rip + leaf]\nlea r13, [rip + other]", _RET + "\n.p2align 6\nother: nop\nret"),
    "retpoline": Kernel("call", "lea rax, [rip + leaf]\ncall thunk", functions="\n.p2align 5\nthunk: call 2f\n1: pause\nlfence\njmp 1b\n2: mov [rsp], rax\nret" + _RET),
    "fentry_nop": Kernel("call", "call a", functions="\n.p2align 4\na: nop dword ptr [rax + rax + 0]\nadd rax, 1\nret"),
    "fentry_stub": Kernel("call", "call a", functions="\n.p2align 4\na: call leaf\nadd rax, 1\nret" + _RET),
    "return_rewritten": Kernel("call", "call a", functions="\n.p2align 4\na: call b\nadd rax, 1\nret\n.p2align 6\nb: lea rax, [rip + c]\nmov [rsp], rax\nret\n.p2align 4\nc: add rax, 2\nret"),
    "push_pop_8": Kernel("memory", "push rax\npush rcx\npush rdx\npush rbx\npush rsi\npush rdi\npush r8\npush r9\npop r9\npop r8\npop rdi\npop rsi\npop rbx\npop rdx\npop rcx\npop rax"),
    "pushf_popf": Kernel("memory", "pushfq\npopfq"),
    # dispatch
    "full_redirect": Kernel("dispatch", "call f", func_stack(1), traced("f", "tramp") + full_trampoline("tramp", "hand", redirect=True) + handler("hand") + NEW),
    "full_plain": Kernel("dispatch", "call f", func_stack(0), traced("f", "tramp") + full_trampoline("tramp", "hand", redirect=False) + handler("hand") + NEW),
    "full_noop_handler": Kernel("dispatch", "call f", "", traced("f", "tramp") + full_trampoline("tramp", "leaf", redirect=False) + _RET),
    "light_redirect": Kernel("dispatch", "call f", func_stack(1), traced("f", "tramp") + light_trampoline("tramp", "hand", redirect=True) + handler("hand", ip=0x60) + NEW),
    "light_plain": Kernel("dispatch", "call f", func_stack(0), traced("f", "tramp") + light_trampoline("tramp", "hand", redirect=False) + handler("hand", ip=0x60) + NEW),
    "light_transition_old": Kernel("dispatch", "call f", func_stack(1, transition=1, state=0), traced("f", "tramp") + light_trampoline("tramp", "hand", redirect=True) + handler("hand", ip=0x60) + NEW),
    "light_transition_new": Kernel("dispatch", "call f", func_stack(1, transition=1, state=1), traced("f", "tramp") + light_trampoline("tramp", "hand", redirect=True) + handler("hand", ip=0x60) + NEW),
    "light_nop_version": Kernel("dispatch", "call f", func_stack(1, nop=1), traced("f", "tramp") + light_trampoline("tramp", "hand", redirect=True) + handler("hand", ip=0x60) + NEW),
    "tail_redirect": Kernel("dispatch", "call f", func_stack(1), traced("f", "tramp") + tail_trampoline("tramp", "hand") + handler("hand", ip=0x60) + NEW),
    "nested_dispatch": Kernel("dispatch", "call g", func_stack(1), "\n.p2align 4\ng: call f\nadd rax, 1\ncall f\nret" + traced("f", "tramp") + light_trampoline("tramp", "hand", redirect=True) + handler("hand", ip=0x60) + NEW),
    # memory
    "list_walk_2": Kernel("memory", "mov rax, [rax]\n" * 2, _list(2)),
    "list_walk_5": Kernel("memory", "mov rax, [rax]\n" * 5, _list(5)),
    "list_walk_call": Kernel("memory", "call walk", _list(4), "\n.p2align 4\nwalk: mov rax, r14\n1: mov rax, [rax]\ncmp rax, r14\njne 1b\nret"),
    "forward_chain": Kernel("memory", "mov [r14], rax\nmov rax, [r14]\nadd rax, 1"),
    "forward_narrow": Kernel("memory", "mov [r14], rax\nmovzx eax, word ptr [r14]\nadd rax, 1"),
    "forward_wide": Kernel("memory", "mov [r14], eax\nmov [r14 + 4], ecx\nmov rax, [r14]"),
    "memory_counter": Kernel("memory", "add qword ptr [r14], 1\nadd qword ptr [r14 + 64], 1"),
    "save_restore_9": Kernel("memory", "sub rsp, 0x78\n" + save(ARGS) + "\n" + restore(ARGS) + "\nadd rsp, 0x78"),
    "index_loads": Kernel("memory", "\n".join(f"mov r{8 + at}, [r14 + rcx * 8 + {8 * at}]" for at in range(5)) + "\ninc rcx\nand rcx, 63", "xor ecx, ecx"),
    "copy_words": Kernel("memory", "\n".join(f"mov rax, [r14 + {8 * at}]\nmov [r14 + {0x400 + 8 * at}], rax" for at in range(6))),
    # locks
    "lock_add": Kernel("lock", "lock add qword ptr [r14], 1"),
    "xchg": Kernel("lock", "xchg [r14], rax"),
    "lock_then_work": Kernel("lock", "lock bts qword ptr [r14], 3\n" + _MIX + "mov qword ptr [r14], 0"),
    "lock_cmpxchg_loop": Kernel("lock", "mov rax, [r14]\nlea rcx, [rax + 1]\nlock cmpxchg [r14], rcx"),
    "mfence_store": Kernel("lock", "mov [r14], rax\nmfence\nmov rcx, [r14 + 64]"),
    "lfence_chain": Kernel("lock", "mov rax, [r14]\nadd rax, 1\nlfence"),
    # arithmetic
    "alu_mix": Kernel("alu", _MIX + "add rax, r10\nxor rbx, rdx\ninc rcx\nneg r11\n"),
    "alu_wide": Kernel("alu", "\n".join(f"add {r}, 1" for r in ["rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13"])),
    "cmov_chain": Kernel("alu", "cmp rax, rbx\ncmovl rax, rcx\nadd rax, 1\nsetg dl\nmovzx edx, dl"),
    "shift_mix": Kernel("alu", "shl rax, 3\nrol rbx, 5\nshr rcx, cl\nbt rdx, 7\nadc r8, 0\nbswap r9"),
    "division": Kernel("alu", "mov eax, 1000\nxor edx, edx\nor eax, r8d\ndiv rcx\nmov r8, rdx\nand r8, 0", "mov ecx, 7"),
    "branches": Kernel("alu", "test rax, rax\njs 1f\nadd rcx, 1\n1: cmp rcx, rax\njb 2f\nsub rdx, 1\n2: test rdx, 1\njnz 3f\nadd rbx, 1\n3:", "xor eax, eax\nmov rcx, 5\nxor edx, edx"),
}  # fmt: skip
"""By name."""
