"""Guest structs: their layouts, and the constants that assembly and Python share.

Member names are the kernel's. Offsets are klpemu's own (a kernel in miniature
has no reason to carry 0x2640 bytes of ``task_struct``); what matters is that
guest assembly and Python can never disagree about them.
"""

from __future__ import annotations

from emu.struct_layout import Member, Struct, words

__all__ = [
    "CALL_ENTRY",
    "CONSTANTS",
    "FTRACE_FUNC_ENTRY",
    "FTRACE_HASH",
    "FTRACE_OPS",
    "FTRACE_OPS_HASH",
    "GUEST_STRUCTS",
    "KLP_FUNC",
    "KLP_OBJECT",
    "KLP_OPS",
    "KLP_PATCH",
    "KLP_SHADOW",
    "KLP_STATE",
    "KPROBE",
    "LIST_HEAD",
    "PERCPU",
    "TASK",
    "TRACE_ARRAY",
    "TRACE_ENTRY",
    "Member",
    "Struct",
    "shared_equates",
]

PERCPU = Struct(
    "percpu",
    size=0x1000,
    prefix="PCPU",
    members=words(
        "current_task preempt_count cpu_number top_of_stack scratch0 scratch1 idle_task"
        " need_resched jiffies rcu_qs sync_ack rq self online bad_results sched_count"
        " current_kprobe kprobe_saved_flags",
        {
            "current_task": "the task_struct that runs here",
            "preempt_count": "PREEMPT_OFFSET, HARDIRQ_OFFSET and NMI_OFFSET units; 0 = preemptible",
            "top_of_stack": "kernel stack pointer on entry from user text",
            "scratch0": "entry code keeps the user stack pointer here",
            "scratch1": "entry code keeps one register here",
            "idle_task": "what runs when nothing else can",
            "need_resched": "1: schedule at the next chance",
            "jiffies": "ticks this CPU has taken",
            "rcu_qs": "quiescent states passed: context switch, idle, user text",
            "sync_ack": "sync IPIs answered, after serialising",
            "rq": "the run queue's cursor: the task picked last; 0 = no task",
            "self": "this area's own address",
            "online": "1 once the CPU has booted",
            "bad_results": "calls that came back with a wrong result, register or stack",
            "sched_count": "context switches",
            "current_kprobe": "the kprobe whose handlers run here or whose instruction is stepped; 0 = none",
            "kprobe_saved_flags": "flags (x86-64) or PSTATE (arm64) of whose instruction is stepped",
        },
    ),
)

TASK = Struct(
    "task_struct",
    size=0x200,
    prefix="TASK",
    members=words(
        "flags state stack sp pid cpu patch_state trace_recursion rq_next wake_at nvcsw nivcsw"
        " pf_flags top_of_stack entry arg index work work_end work_cursor calls_done user_pc user_sp gate"
        " request",
        {
            "flags": "thread_info.flags: TIF_* bits",
            "state": "TASK_RUNNING, TASK_TIMED (until wake_at), TASK_ON_GATE (until *gate != 0), TASK_DEAD,"
            " TASK_ON_GATE_INTR (until *gate != 0, or TIF_SIGPENDING), TASK_NEW (kernel_clone makes it)",
            "stack": "lowest address of the kernel stack",
            "sp": "saved stack pointer while switched out",
            "patch_state": "signed: -1 idle (undefined), 0 unpatched, 1 patched",
            "trace_recursion": "one bit per context: NMI 0, IRQ 1, SOFTIRQ 2, NORMAL 3, TRANSITION 4",
            "rq_next": "next task of this CPU's ring",
            "wake_at": "jiffies at which TASK_TIMED ends",
            "nvcsw": "voluntary context switches",
            "nivcsw": "involuntary ones",
            "pf_flags": "PF_* bits",
            "top_of_stack": "kernel stack pointer when empty",
            "entry": "where a kernel thread starts",
            "arg": "its argument: 0, no thread takes one",
            "index": "row of this task in traces",
            "work": "first CALL_ENTRY of its call table",
            "work_end": "end of its call table",
            "work_cursor": "next CALL_ENTRY",
            "calls_done": "calls returned",
            "user_pc": "where a user task starts",
            "user_sp": "its stack",
            "gate": "address of the u64 that a TASK_ON_GATE or TASK_ON_GATE_INTR sleeper waits on",
            "request": "1: somebody has filled in the call that it shall make next; see await_request",
        },
    )
    | {"comm": Member(0x100, "S16", "name")},
)

CALL_ENTRY = Struct(
    "call_entry",
    size=0x80,
    prefix="CALL",
    members={
        "fn": Member(0x00, "<u8", "the function to call"),
        "args": Member(0x08, "<u8", "its arguments: registers first, then stack", 10),
        "expected": Member(0x58, "<u8", "what the low 32 bits of its result must be"),
        "result": Member(0x60, "<u8", "what the last call returned"),
        "flags": Member(0x68, "<u8", "CALL_ANY_RESULT: do not compare the result with what is expected"),
    },
)

LIST_HEAD = Struct(
    "list_head",
    size=0x10,
    prefix="LIST",
    members={
        "next": Member(0x0, "<u8", "next node, or the head"),
        "prev": Member(0x8, "<u8", "previous node, or the head"),
    },
)

KLP_FUNC = Struct(
    "klp_func",
    size=0x58,
    prefix="KLP_FUNC",
    members={
        "old_name": Member(0x00, "<u8", "address of the NUL-terminated name"),
        "new_func": Member(0x08, "<u8", "address of the replacement; 0 in a nop"),
        "old_sympos": Member(0x10, "<u8", "which of several equal names, from 1; 0 = the only one"),
        "old_func": Member(0x18, "<u8", "address of the traced function"),
        "node.next": Member(0x20, "<u8", "klp_object.func_list"),
        "node.prev": Member(0x28, "<u8", "klp_object.func_list"),
        "stack_node.next": Member(0x30, "<u8", "older entry of klp_ops.func_stack"),
        "stack_node.prev": Member(0x38, "<u8", "newer entry"),
        "old_size": Member(0x40, "<u8", "bytes of the original"),
        "new_size": Member(0x48, "<u8", "bytes of the replacement"),
        "nop": Member(0x50, "u1", "1 in a replace patch that restores the original"),
        "patched": Member(0x51, "u1", "1 while on a func_stack"),
        "transition": Member(0x52, "u1", "1 while a task may still take either version"),
    },
)

KLP_OBJECT = Struct(
    "klp_object",
    size=0x60,
    prefix="KLP_OBJECT",
    members={
        "name": Member(0x00, "<u8", "address of the name; 0 = vmlinux"),
        "funcs": Member(0x08, "<u8", "the array the patch module brought"),
        "func_list.next": Member(0x10, "<u8", "static and dynamic funcs"),
        "func_list.prev": Member(0x18, "<u8", "last one"),
        "node.next": Member(0x20, "<u8", "klp_patch.obj_list"),
        "node.prev": Member(0x28, "<u8", "klp_patch.obj_list"),
        "mod": Member(0x30, "<u8", "the loaded module; 0 = vmlinux or not loaded"),
        "callbacks.pre_patch": Member(0x38, "<u8", "non-zero: there is one"),
        "callbacks.post_patch": Member(0x40, "<u8", "non-zero: there is one"),
        "callbacks.pre_unpatch": Member(0x48, "<u8", "non-zero: there is one"),
        "callbacks.post_unpatch": Member(0x50, "<u8", "non-zero: there is one"),
        "dynamic": Member(0x58, "u1", "1: synthesised by an atomic replace"),
        "patched": Member(0x59, "u1", "1: its funcs are in place"),
        "post_unpatch_enabled": Member(0x5A, "u1", "1: pre_patch ran, so post_unpatch may"),
    },
)

KLP_PATCH = Struct(
    "klp_patch",
    size=0x48,
    prefix="KLP_PATCH",
    members={
        "mod": Member(0x00, "<u8", "the patch module"),
        "objs": Member(0x08, "<u8", "the array it brought"),
        "list.next": Member(0x10, "<u8", "global klp_patches"),
        "list.prev": Member(0x18, "<u8", "global klp_patches"),
        "obj_list.next": Member(0x20, "<u8", "static and dynamic objects"),
        "obj_list.prev": Member(0x28, "<u8", "last one"),
        "states": Member(0x30, "<u8", "array of KLP_STATE; one with id 0 ends it; 0 = none"),
        "replace": Member(0x38, "u1", "1: atomic replace"),
        "enabled": Member(0x39, "u1", "what sysfs shows"),
        "forced": Member(0x3A, "u1", "1: a transition was forced"),
    },
)

KLP_STATE = Struct(
    "klp_state",
    size=0x18,
    prefix="KLP_STATE",
    members={
        "id": Member(0x00, "<u8", "which system state; 0 ends the array"),
        "version": Member(0x08, "<u4", "of the change to it"),
        "data": Member(0x10, "<u8", "whatever the patch's callbacks keep there"),
    },
)

KLP_SHADOW = Struct(
    "klp_shadow",  # its data follow
    size=0x30,
    prefix="KLP_SHADOW",
    members={
        "node.next": Member(0x00, "<u8", "next in its bucket of klp_shadow_hash; 0 ends it"),
        "node.pprev": Member(0x08, "<u8", "address of the pointer to this one; 0 = detached"),
        "rcu_head": Member(0x10, "<u8", "unused: Rcu keeps what waits for a grace period", 2),
        "obj": Member(0x20, "<u8", "address of the object that the data belong to; never followed"),
        "id": Member(0x28, "<u8", "which of the object's shadow variables"),
    },
)

FTRACE_OPS = Struct(
    "ftrace_ops",
    size=0x50,
    prefix="FTRACE_OPS",
    members={
        "func": Member(0x00, "<u8", "the handler"),
        "next": Member(0x08, "<u8", "ftrace_ops_list; ftrace_list_end ends it"),
        "flags": Member(0x10, "<u8", "FTRACE_OPS_FL_*"),
        "private": Member(0x18, "<u8", "the handler's own: of the function tracer, a trace_array"),
        "local_hash.notrace_hash": Member(
            0x20, "<u8", "address of an FTRACE_HASH; 0 = empty; nobody sets one"
        ),
        "local_hash.filter_hash": Member(0x28, "<u8", "address of an FTRACE_HASH; 0 = empty"),
        "func_hash": Member(0x30, "<u8", "address of an FTRACE_OPS_HASH, its own local_hash"),
        "trampoline": Member(0x38, "<u8", "private copy of the caller; 0 = none"),
        "trampoline_size": Member(0x40, "<u8", "bytes"),
        "hits": Member(0x48, "<u8", "counted by the shipped counting handler"),
    },
)

FTRACE_OPS_HASH = Struct(
    "ftrace_ops_hash",  # without its mutex
    size=0x10,
    prefix="FTRACE_OPS_HASH",
    members={
        "notrace_hash": Member(0x00, "<u8", "sites not wanted"),
        "filter_hash": Member(0x08, "<u8", "sites wanted"),
    },
)

FTRACE_HASH = Struct(
    "ftrace_hash",  # its buckets follow, then its entries: one allocation
    size=0x30,
    prefix="FTRACE_HASH",
    members={
        "size_bits": Member(0x00, "<u8", "log2 of the number of buckets"),
        "buckets": Member(0x08, "<u8", "address of the array of hlist_head: first entry or 0"),
        "count": Member(0x10, "<u8", "number of entries"),
        "flags": Member(0x18, "<u8", "FTRACE_HASH_FL_*: none here"),
        "rcu": Member(0x20, "<u8", "unused: Rcu keeps what waits for a grace period", 2),
    },
)

FTRACE_FUNC_ENTRY = Struct(
    "ftrace_func_entry",
    size=0x20,
    prefix="FTRACE_FUNC_ENTRY",
    members={
        "hlist.next": Member(0x00, "<u8", "next in its bucket; 0 ends it"),
        "hlist.pprev": Member(0x08, "<u8", "address of the pointer to this one"),
        "ip": Member(0x10, "<u8", "the site; 0 = struck out, its module has gone"),
        "direct": Member(0x18, "<u8", "of direct calls: unused"),
    },
)

KLP_OPS = Struct(
    "klp_ops",
    size=0x20 + FTRACE_OPS.size,
    prefix="KLP_OPS",
    members={
        "node.next": Member(0x00, "<u8", "global klp_ops list"),
        "node.prev": Member(0x08, "<u8", "global klp_ops list"),
        "func_stack.next": Member(0x10, "<u8", "newest klp_func"),
        "func_stack.prev": Member(0x18, "<u8", "oldest klp_func"),
        "fops": Member(0x20, "<u8", "the ftrace_ops, in place", FTRACE_OPS.size // 8),
    },
)

KPROBE = Struct(
    "kprobe",
    size=0x58,
    prefix="KPROBE",
    members={
        "hlist.next": Member(0x00, "<u8", "next in kprobe_table; 0 ends it"),
        "addr": Member(0x08, "<u8", "address of the probed instruction"),
        "pre_handler": Member(0x10, "<u8", "called before: (kprobe, regs) -> 0, or not if it changed regs"),
        "post_handler": Member(0x18, "<u8", "called behind it: (kprobe, regs, 0); 0 = none"),
        "flags": Member(0x20, "<u8", "KPROBE_FLAG_*"),
        "nmissed": Member(0x28, "<u8", "hits that came while this CPU was busy with a kprobe"),
        "ainsn.insn": Member(0x30, "<u8", "copy of it, stepped for the post handler; 0 = there is none"),
        "ainsn.trap": Member(0x38, "<u8", "the breakpoint behind that copy"),
        "ainsn.plain": Member(0x40, "<u8", "copy that is stepped where no handler is to follow"),
        "ainsn.plain_trap": Member(0x48, "<u8", "the breakpoint behind that one"),
        "ainsn.behind": Member(0x50, "<u8", "address behind the probed instruction"),
    },
)

TRACE_ARRAY = Struct(
    "trace_array",
    size=0x28,
    prefix="TRACE_ARRAY",
    members={
        "function_enabled": Member(0x00, "<u8", "0: the function tracer writes nothing"),
        "record_disabled": Member(0x08, "<u8", "not 0: the ring buffer takes nothing"),
        "written": Member(0x10, "<u8", "entries ever written: the trace clock"),
        "mask": Member(0x18, "<u8", "number of entries in the ring, a power of two, less 1"),
        "entries": Member(0x20, "<u8", "address of the ring: TRACE_ENTRY"),
    },
)

TRACE_ENTRY = Struct(
    "ftrace_entry",
    size=0x40,
    prefix="TRACE_ENTRY",
    members=words(
        "seq ip parent_ip pid cpu irqs_off need_resched preempt_count",
        {
            "seq": "trace_array.written with this entry; 0 while it is being written",
            "ip": "the site that was called",
            "parent_ip": "where the call returns to",
            "pid": "of the task",
            "cpu": "number of the CPU",
            "irqs_off": "1: interrupts were off",
            "need_resched": "1: the CPU was to schedule",
            "preempt_count": "as the traced function had it",
        },
    ),
)

CONSTANTS: dict[str, int] = {
    # thread_info.flags bit numbers. Source: arch/x86/include/asm/thread_info.h (6.1)
    "TIF_SIGPENDING": 2,
    "TIF_PATCH_PENDING": 13,
    # preempt_count units. Source: include/linux/preempt.h
    "PREEMPT_OFFSET": 0x1,
    "SOFTIRQ_OFFSET": 0x100,
    "HARDIRQ_OFFSET": 0x10000,
    "NMI_OFFSET": 0x100000,
    # task_struct.state (ours: a miniature needs six)
    "TASK_RUNNING": 0,
    "TASK_TIMED": 1,
    "TASK_ON_GATE": 2,
    "TASK_DEAD": 3,
    "TASK_ON_GATE_INTR": 4,
    "TASK_NEW": 5,
    # call_entry.flags
    "CALL_ANY_RESULT": 0x1,
    # Source: include/linux/sched.h
    "PF_IDLE": 0x2,
    "PF_KTHREAD": 0x200000,
    # patch_state. Source: include/linux/livepatch.h (6.1: KLP_UNDEFINED, now KLP_TRANSITION_IDLE)
    "KLP_IDLE": -1,
    "KLP_UNPATCHED": 0,
    "KLP_PATCHED": 1,
    # task_struct.trace_recursion bits. Source: include/linux/trace_recursion.h, as reordered in 6.1
    "TRACE_NMI_BIT": 0,
    "TRACE_IRQ_BIT": 1,
    "TRACE_NORMAL_BIT": 3,
    "TRACE_TRANSITION_BIT": 4,
    # ftrace_ops.flags that guest code looks at, bit numbers. Source: include/linux/ftrace.h (6.1)
    "FTRACE_OPS_SAVE_REGS_BIT": 2,
    "FTRACE_OPS_STUB_BIT": 5,
    "FTRACE_OPS_RCU_BIT": 14,
    # kprobe.flags. Source: include/linux/kprobes.h
    "KPROBE_FLAG_GONE": 0x1,
    "KPROBE_FLAG_DISABLED": 0x2,
    "KPROBE_FLAG_FTRACE": 0x8,
}
"""Constants that assembly and Python share, by the kernel's names."""

GUEST_STRUCTS = (
    PERCPU, TASK, CALL_ENTRY, LIST_HEAD, KLP_FUNC, KLP_OBJECT, KLP_PATCH, KLP_STATE, KLP_SHADOW,
    FTRACE_OPS, FTRACE_OPS_HASH, FTRACE_HASH, FTRACE_FUNC_ENTRY, KLP_OPS, KPROBE, TRACE_ARRAY, TRACE_ENTRY,
)  # fmt: skip
"""Layouts every port shares; pt_regs and ftrace_regs live in ``emu.arch.<port>``."""


def shared_equates() -> dict[str, int]:
    """Return the assembler constants of every shared struct and of `CONSTANTS`."""
    equates = dict(CONSTANTS)
    for struct in GUEST_STRUCTS:
        equates |= struct.equates()
    return equates
