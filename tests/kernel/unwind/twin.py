"""The true call stacks of a machine, kept by watching every instruction that its CPUs execute.

It knows nothing of frames. A call puts its return address on the stack of the task that runs, a return takes
it off and must lead there; an exception puts down what it interrupted, its return takes that off. The two
things that change an entry afterwards are looked up where the ABI of handlers says: the ``pt_regs`` that a
trampoline hands to its handler, and the one that a breakpoint's handler is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from emu.arch import port_named
from emu.build.decode import decode_lite
from emu.build.memory_map import USER_TEXT
from emu.kernel.kernel import Kernel
from emu.kernel.tasks import Task
from emu.machine import state as s
from emu.machine.state import Stop
from emu.structs import PERCPU

TRAMPOLINES = ("ftrace_caller", "ftrace_regs_caller", "ftrace_caller_ops", "ftrace_regs_caller_ops")
VECTORS = ("vector_sync", "vector_timer", "vector_reschedule", "vector_breakpoint", "vector_syscall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a port calls what the twin looks at."""

    calls: frozenset[str]
    returns: frozenset[str]
    exception_returns: frozenset[str]
    saved_pc: str


NAMES = {
    "x86_64": Names(
        calls=frozenset({"call"}), returns=frozenset({"ret"}), exception_returns=frozenset({"iretq"}),
        saved_pc="ip",
    ),
    "arm64": Names(
        calls=frozenset({"bl", "blr"}), returns=frozenset({"ret"}), exception_returns=frozenset({"eret"}),
        saved_pc="pc",
    ),
}  # fmt: skip


@dataclass(slots=True)
class Called:
    """A call that has not returned.

    Args:
        back: where it returns to.
        sp: the stack pointer then.
        decided: address of the word that a handler may change ``back`` in; 0 = none.
    """

    back: int
    sp: int
    decided: int = 0


@dataclass(slots=True)
class Interrupted:
    """What an exception interrupted.

    Args:
        pc, sp: of it.
        regs: address of the ``pt_regs`` that its handler may change; 0 = none.
    """

    pc: int
    sp: int
    regs: int = 0


@dataclass(slots=True)
class Cpu:
    """Where a CPU is; ``stack`` is the running task's, oldest first."""

    pc: int
    sp: int
    task: Task
    stack: list[Called | Interrupted] = field(default_factory=list)


class Twin:
    """The stacks of one machine, from its first instruction on.

    Args:
        kernel: the machine's.
        copies: where its private trampolines are; more may come.
    """

    def __init__(self, kernel: Kernel, copies: list[range]) -> None:
        assert not kernel.engine.instructions(), "the twin has to see everything"
        self.kernel, self.engine, self.port = kernel, kernel.engine, kernel.port
        self.names = NAMES[kernel.port.name]
        self.by_struct = {task.struct: task for task in kernel.tasks}
        address = kernel.image.address
        self.stacks: dict[int, list[Called | Interrupted]] = {task.struct: [] for task in kernel.tasks}
        for kind, name in (("kthread", "ret_from_fork"), ("user", "ret_to_user_first")):
            for task in kernel.tasks:
                if task.kind == kind:
                    self.stacks[task.struct].append(Called(address(name), task.kernel_stack[1]))
        self.cpus = []
        for cpu in range(kernel.cpus):
            task = kernel.tasks[cpu]
            self.cpus.append(Cpu(self._pc(cpu), 0, task, self.stacks[task.struct]))
        self._switch = address("finish_task_switch")
        self._vectors = {address(name): self._first_size(address(name)) for name in VECTORS}
        self._shared, self._copies = [_extent(kernel, name) for name in TRAMPOLINES], copies
        self._breakpoint = _extent(kernel, "vector_breakpoint")
        self._saver = _extent(kernel, "kernel_entry")
        self.switched_out: Task | None = None

    def _pc(self, cpu: int) -> int:
        return int(self.engine.blocks[cpu, s.CPU_PC])

    def _first_size(self, address: int) -> int:
        return _decoded(self.port.name, self.engine.memory.read(address, 16))[1]

    # --- stepping ---------------------------------------------------------------------------------

    def step(self) -> int:
        """Execute one instruction and return the CPU that did."""
        engine = self.engine
        before = engine.blocks[:, s.CPU_INSNS].copy()
        target = engine.instructions() + 1
        while engine.instructions() < target:
            reason = engine.run(instructions=target)
            if reason is Stop.STEP:
                self.kernel.installer.step()
            else:
                assert reason is Stop.INSTRUCTIONS, reason
        (cpu,) = (engine.blocks[:, s.CPU_INSNS] != before).nonzero()[0].tolist()
        self._follow(cpu)
        return int(cpu)

    def _follow(self, number: int) -> None:
        cpu, engine, names = self.cpus[number], self.engine, self.names
        at, sp = cpu.pc, cpu.sp
        cpu.pc, cpu.sp = pc, after = self._pc(number), engine.read_register(number, self.port.registers.sp)
        self.switched_out = None
        vector = next((v for v, size in self._vectors.items() if pc in (v, v + size)), 0)
        mnemonic, size = _decoded(self.port.name, engine.fetch.seen_by(number, at, 16))
        if vector and at != vector:  # an interrupt, and the vector's first instruction; or a trap
            trapped = pc == vector
            stays = mnemonic == "brk"  # its exception returns to it, unless a handler says otherwise
            cpu.stack.append(Interrupted(at + size if trapped and not stays else at, sp))
            return
        top = cpu.stack[-1] if cpu.stack else None
        if mnemonic in names.calls:
            self._note_handler(number, at, sp, top)
            cpu.stack.append(Called(at + size, sp))
        elif mnemonic in names.returns:
            self._return(cpu, at, pc, after)
        elif mnemonic in names.exception_returns and pc != at + size:
            self._return_from_exception(cpu, pc, after)
        elif isinstance(top, Called) and top.decided and after > top.decided:
            top.back, top.decided = engine.memory.load(top.decided), 0  # the frame is gone, it is settled
        if pc == self._switch:
            self._switch_task(number)

    def _note_handler(self, number: int, at: int, sp: int, top: Called | Interrupted | None) -> None:
        """Remember which registers a handler is given to change."""
        args, frame = self.port.registers.args, self.port.pt_regs
        if isinstance(top, Called) and self.in_trampoline(at):
            regs = self.engine.read_register(number, args[3])
            top.decided = regs + frame.offset(self.names.saved_pc)
        if isinstance(top, Interrupted) and at in self._breakpoint:
            given = self.engine.read_register(number, args[0])
            top.regs = sp if given == sp else top.regs  # not before they are saved

    def in_trampoline(self, address: int) -> bool:
        """Whether an address is in code that sites call and handlers can redirect."""
        return any(address in code for code in (*self._shared, *self._copies))

    def _return(self, cpu: Cpu, at: int, pc: int, sp: int) -> None:
        top = cpu.stack.pop()
        assert isinstance(top, Called), f"a return at {at:#x} from an exception"
        assert pc == self._back(top), f"{at:#x} returned to {pc:#x}, not {self._back(top):#x}"
        assert sp == top.sp or at in self._saver, f"{at:#x} returned with the stack pointer {sp:#x}"

    def _return_from_exception(self, cpu: Cpu, pc: int, sp: int) -> None:
        if not cpu.stack and pc in USER_TEXT:  # a new user task
            return
        top = cpu.stack.pop()
        assert isinstance(top, Interrupted), "an exception return from a call"
        if not top.regs:
            assert (pc, sp) == (top.pc, top.sp), (
                f"came back to {pc:#x}, {sp:#x}, not {top.pc:#x}, {top.sp:#x}"
            )
        elif sp == top.sp - 8:  # the breakpoint stood for a call
            cpu.stack.append(Called(self.engine.memory.load(sp), top.sp))

    def _switch_task(self, number: int) -> None:
        cpu, kernel = self.cpus[number], self.kernel
        self.switched_out = cpu.task
        struct = kernel.engine.memory.load(kernel.percpu[number] + PERCPU.offset("current_task"))
        assert struct != cpu.task.struct, "a switch to another task"
        cpu.task, cpu.stack = self.by_struct[struct], self.stacks[struct]

    # --- telling ----------------------------------------------------------------------------------

    def _back(self, entry: Called) -> int:
        return self.engine.memory.load(entry.decided) if entry.decided else entry.back

    def asleep(self, task: Task) -> list[int]:
        """Return where every function of a switched-out task goes on, newest first."""
        found = []
        for entry in reversed(self.stacks[task.struct]):
            if isinstance(entry, Called):
                found.append(self._back(entry))
                continue
            pc, sp = entry.pc, entry.sp
            if entry.regs:
                load, frame = self.engine.memory.load, self.port.pt_regs
                pc, sp = (load(entry.regs + frame.offset(member)) for member in (self.names.saved_pc, "sp"))
            if pc not in USER_TEXT:
                found.append(pc)
            if sp == entry.sp - 8:
                found.append(self.engine.memory.load(sp))
        return found

    def running(self, number: int) -> list[int]:
        """Return the same for the task on a CPU, the next instruction first."""
        return [self.cpus[number].pc, *self.asleep(self.cpus[number].task)]

    def in_breakpoint(self, number: int) -> bool:
        """Whether a breakpoint's handler is at work on a CPU, and may just be changing what it returns to."""
        return any(isinstance(entry, Interrupted) and entry.regs for entry in self.cpus[number].stack)


def _extent(kernel: Kernel, name: str) -> range:
    """Return the addresses of a routine of the kernel; none if the port has no such routine."""
    symbol = kernel.image.symbols.get(name)
    return range(symbol.address, symbol.address + symbol.size) if symbol is not None else range(0)


@cache
def _decoded(port: str, code: bytes) -> tuple[str, int]:
    """Return mnemonic, without its prefix, and size of the first instruction of ``code``."""
    ((_, size, mnemonic, _),) = decode_lite(port_named(port), code, 0x1000, count=1)
    return mnemonic.rsplit(" ", 1)[-1], size
