"""Which operands each x86-64 instruction reads and writes, by mnemonic.

Source: Intel SDM vol. 2 and AMD APM vol. 3, instruction reference. Prefixes are not part of the mnemonic.
"""

from __future__ import annotations

from emu.timing.layout import (
    F_DRAIN,
    F_DRAIN_STORES,
    F_FUSES,
    F_FUSION_HEAD,
    F_KEEPS_STORE,
    F_LOAD_BARRIER,
    F_MOVE,
    F_NOP,
    F_SERIAL,
    F_STACK,
    F_STORE_BARRIER,
    Branch,
    Detail,
)
from emu.timing.roles import Entry, table

_R, _W, _RW = ("r",), ("w",), ("rw",)
_RW_R, _W_R, _R_R = ("rw", "r"), ("w", "r"), ("r", "r")
_HEAD = F_FUSION_HEAD
_CONDITIONS = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"]


def _each(prefix: str) -> str:
    return " ".join(prefix + condition for condition in _CONDITIONS)


def _system(cost: str, **more: object) -> Entry:
    return Entry(access=(), cost=cost, **more)  # type: ignore[arg-type]


INTEGER = table({
    "add sub and or xor": Entry(access=_RW_R, cost="alu", flags="w", bits=_HEAD),
    "adc sbb adcx adox": Entry(access=_RW_R, cost="adc", flags="rw"),
    "cmp test": Entry(access=_R_R, cost="alu", flags="w", bits=_HEAD),
    "inc dec": Entry(access=_RW, cost="alu", flags="w", bits=_HEAD),
    "neg": Entry(access=_RW, cost="alu", flags="w"),
    "not": Entry(access=_RW, cost="alu"),
    "mov movabs": Entry(access=_W_R, cost="mov", bits=F_MOVE),
    "movbe": Entry(access=_W_R, cost="alu"),
    "movzx": Entry(access=_W_R, cost="alu"),
    "movsx movsxd": Entry(access=_W_R, cost="alu", extended=True),
    "lea": Entry(access=("w", "a"), cost="lea"),
    "xchg": Entry(access=("rw", "rw"), cost="xchg"),
    "xadd": Entry(access=("rw", "rw"), cost="xadd", flags="w"),
    "cmpxchg": Entry(access=_RW_R, cost="cmpxchg", flags="w", reads=("rax",), writes=("rax",)),
    "cmpxchg16b": Entry(
        access=_RW, cost="cmpxchg16b", flags="w", reads=("rax", "rdx", "rbx", "rcx"), writes=("rax", "rdx")
    ),
    "cmpxchg8b": Entry(
        access=_RW, cost="cmpxchg16b", flags="w", reads=("rax", "rdx", "rbx", "rcx"), writes=("rax", "rdx")
    ),
    "shl sal shr sar rol ror": Entry(access=_RW_R, cost="shift", flags="w"),
    "rcl rcr": Entry(access=_RW_R, cost="rotate_carry", flags="rw"),
    "shld shrd": Entry(access=("rw", "r", "r"), cost="shift_double", flags="w"),
    "shlx shrx sarx": Entry(access=("w", "r", "r"), cost="shift"),
    "rorx": Entry(access=("w", "r", "r"), cost="shift"),
    "andn": Entry(access=("w", "r", "r"), cost="alu", flags="w"),
    "blsi blsr blsmsk": Entry(access=_W_R, cost="blsi", flags="w"),
    "bextr bzhi": Entry(access=("w", "r", "r"), cost="bextr", flags="w"),
    "pdep pext": Entry(access=("w", "r", "r"), cost="pdep"),
    "bswap": Entry(access=_RW, cost="bswap"),
    "bt": Entry(access=_R_R, cost="bt", flags="w"),
    "bts btr btc": Entry(access=_RW_R, cost="bts", flags="w"),
    "bsf bsr": Entry(access=_RW_R, cost="bsf", flags="w"),
    "tzcnt lzcnt popcnt": Entry(access=_W_R, cost="popcnt", flags="w"),
    "crc32": Entry(access=_RW_R, cost="crc32"),
    "cdqe": _system("alu", reads=("rax",), writes=("rax",)),
    "cwde": _system("alu", reads=("rax",), writes=("rax",)),
    "cbw": _system("alu", reads=("rax",), writes=("rax",)),
    "cqo cdq": _system("shift", reads=("rax",), writes=("rdx",)),
    "cwd": _system("shift", reads=("rax", "rdx"), writes=("rdx",)),
    "clc": _system("flags", flags="w"),
    "stc": _system("alu", flags="w"),
    "cmc": _system("alu", flags="rw"),
    "cld": _system("cld"),
    "std": _system("std"),
    "lahf": _system("alu", flags="r", reads=("rax",), writes=("rax",)),
    "sahf": _system("alu", flags="w", reads=("rax",)),
    "mulx": Entry(access=("w", "w", "r"), cost="mulx", reads=("rdx",)),
    "div": Entry(
        access=_R, cost="div", flags="w", reads=("rax", "rdx"), writes=("rdx",), late=(("rax", -1),),
        detail=Detail.QUOTIENT_BITS
    ),
    "idiv": Entry(
        access=_R, cost="div", flags="w", reads=("rax", "rdx"), writes=("rdx",), late=(("rax", -1),),
        detail=Detail.QUOTIENT_BITS
    ),
    "imul": Entry(access=("rw", "r"), cost="imul", flags="w"),
    "mul": Entry(access=_R, cost="mul_wide", flags="w", reads=("rax",), writes=("rax",), late=(("rdx", 1),)),
    _each("cmov"): Entry(access=_RW_R, cost="cmov", flags="r"),
    _each("set"): Entry(access=_W, cost="setcc", flags="r"),
    _each("j"): Entry(access=("-",), cost="branch", flags="r", bits=F_FUSES, branch=Branch.CONDITIONAL),
    "jrcxz jecxz": Entry(access=("-",), cost="branch", reads=("rcx",), branch=Branch.CONDITIONAL),
    "loop": Entry(access=("-",), cost="loop", reads=("rcx",), writes=("rcx",), branch=Branch.CONDITIONAL),
    "nop endbr64 endbr32 fnop": Entry(access=("-", "-"), cost="nop", bits=F_NOP),
    "prefetcht0 prefetcht1 prefetcht2 prefetchnta prefetchw prefetch": Entry(access=_R, cost="prefetch"),
})  # fmt: skip

STACK = table({
    "push": Entry(access=_R, cost="push", bits=F_STACK),
    "pop": Entry(access=_W, cost="pop", bits=F_STACK),
    "pushfq": Entry(access=(), cost="pushf", flags="r", bits=F_STACK | F_KEEPS_STORE),
    "popfq": Entry(access=(), cost="popf", flags="w", bits=F_STACK),
    "leave": Entry(access=(), cost="leave", reads=("rbp",), writes=("rsp", "rbp")),
    "enter": Entry(access=("-", "-"), cost="enter", reads=("rbp",), writes=("rsp", "rbp")),
    "call": Entry(access=_R, cost="call", bits=F_STACK, branch=Branch.CALL),
    "ret": Entry(access=("-",), cost="ret", bits=F_STACK, branch=Branch.RETURN),
    "jmp": Entry(access=_R, cost="jmp", branch=Branch.JUMP),
})  # fmt: skip

STRING = table({
    "movsb movsw movsd movsq": Entry(access=("w", "r"), cost="movs", reads=("rsi", "rdi"), writes=("rsi", "rdi")),
    "stosb stosw stosd stosq": Entry(access=_W_R, cost="stos", reads=("rdi",), writes=("rdi",)),
    "lodsb lodsw lodsd lodsq": Entry(access=_W_R, cost="lods", reads=("rsi",), writes=("rsi",)),
    "scasb scasw scasd scasq": Entry(access=_R_R, cost="scas", flags="w", reads=("rdi",), writes=("rdi",)),
    "cmpsb cmpsw cmpsd cmpsq": Entry(
        access=_R_R, cost="cmps", flags="w", reads=("rsi", "rdi"), writes=("rsi", "rdi")
    ),
})  # fmt: skip

SYSTEM = table({
    "lfence": _system("lfence", bits=F_DRAIN),
    "mfence": _system("mfence", bits=F_DRAIN | F_DRAIN_STORES | F_LOAD_BARRIER),
    "sfence": _system("sfence", bits=F_STORE_BARRIER),
    "pause": _system("pause"),
    "cpuid": _system("cpuid", bits=F_DRAIN | F_DRAIN_STORES | F_SERIAL, reads=("rax", "rcx"),
                     writes=("rax", "rbx", "rcx", "rdx")),
    "serialize": _system("serialize", bits=F_DRAIN | F_DRAIN_STORES | F_SERIAL),
    "rdtsc": _system("rdtsc", writes=("rax", "rdx")),
    "rdtscp": _system("rdtscp", writes=("rax", "rcx", "rdx"), bits=F_DRAIN),
    "rdpid": Entry(access=_W, cost="rdpid"),
    "rdpmc": _system("rdpmc", reads=("rcx",), writes=("rax", "rdx")),
    "xgetbv": _system("xgetbv", reads=("rcx",), writes=("rax", "rdx")),
    "rdgsbase rdfsbase": Entry(access=_W, cost="rdgsbase"),
    "wrgsbase wrfsbase": Entry(access=_R, cost="wrgsbase"),
    "swapgs": _system("swapgs"),
    "cli sti": _system("cli"),
    "clac stac": _system("clac"),
    "hlt": _system("hlt"),
    "rdmsr": _system("rdmsr", reads=("rcx",), writes=("rax", "rdx")),
    "wrmsr": _system("wrmsr", reads=("rcx", "rax", "rdx"), bits=F_DRAIN | F_DRAIN_STORES | F_SERIAL),
    "iretq iretd iret": _system("iret", bits=F_DRAIN | F_SERIAL, writes=("rsp", "eflags"), branch=Branch.OTHER),
    "sysretq sysret": _system("sysret", bits=F_DRAIN, reads=("rcx", "r11"), branch=Branch.OTHER),
    "syscall": _system("syscall", writes=("rcx", "r11"), bits=F_DRAIN),
    "int3": _system("trap", bits=F_DRAIN),
    "int": Entry(access=("-",), cost="trap", bits=F_DRAIN),
    "ud2": _system("trap", bits=F_DRAIN),
    "invlpg": Entry(access=("a",), cost="invlpg", bits=F_DRAIN | F_SERIAL),
    "wbinvd": _system("wbinvd", bits=F_DRAIN | F_DRAIN_STORES | F_SERIAL),
    "clflush": Entry(access=("a",), cost="clflush"),
    "clflushopt clwb": Entry(access=("a",), cost="clflushopt"),
    "movnti": Entry(access=_W_R, cost="mov"),
    "stmxcsr": Entry(access=_W, cost="stmxcsr"),
    "ldmxcsr": Entry(access=_R, cost="ldmxcsr"),
    "incsspq incsspd rdsspq rdsspd": Entry(access=("-",), cost="nop", bits=F_NOP),
    "lgdt lidt": Entry(access=("a",), cost="lgdt", bits=F_DRAIN | F_SERIAL),
    "ltr lldt": Entry(access=_R, cost="lgdt", bits=F_DRAIN | F_SERIAL),
})  # fmt: skip
