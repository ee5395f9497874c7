"""Looking at the machine as the record's observer looked at the real one."""

from __future__ import annotations

from emu.arch import port_named
from emu.build.decode import decode
from emu.ftrace import FtraceOps, trampoline_lines
from emu.kernel.errno import error_name
from emu.lab.replay.cast import DRIVER
from emu.lab.replay.session import LIVEPATCH, Session

TRACING = "/sys/kernel/tracing"
SYSCTL = "/proc/sys/kernel"
DEBUG = "/sys/kernel/debug"
_TRACING_FILES = (
    "current_tracer", "set_ftrace_filter", "set_ftrace_notrace", "trace", "tracing_on", "enabled_functions",
    "available_filter_functions", "available_tracers",
)  # fmt: skip
_SYSCTLS = ("ftrace_enabled", "tainted")
_PROC_FILES = ("modules",)
SHARED = "the entry that several users share"


class Looks:
    """What there is to see.

    Args:
        session: the machine.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._machine, self._shell = session, session.machine, session.shell

    # --- files ----------------------------------------------------------------------------------

    def text(self, path: str) -> str:
        """Return what a file holds without the line end, or the name of the error."""
        found = self._shell.read(self.own_path(path))
        return found.removesuffix("\n") if isinstance(found, str) else error_name(found)

    def own_path(self, path: str) -> str:
        """Return a path with the number of a task where the record has a name, or ``self`` for the driver."""
        parts = path.split("/")
        if path.startswith("/proc/") and len(parts) > 3:
            task = self._session.task(DRIVER if parts[2] == "self" else parts[2])
            parts[2] = str(task.pid) if task is not None else parts[2]
        return "/".join(parts)

    def kprobes(self) -> list[str]:
        """Return the lines of the list of kprobes."""
        return self.text(f"{DEBUG}/kprobes/list").splitlines()

    def livepatch(self) -> dict[str, dict[str, object]]:
        """Return the tree /sys/kernel/livepatch, as the record has it."""
        return {patch: self._patch(f"{LIVEPATCH}/{patch}") for patch in self._names(LIVEPATCH)}

    def _patch(self, path: str) -> dict[str, object]:
        objects = {}
        for name in self._names(path):
            inside = self._shell.listdir(f"{path}/{name}")
            if isinstance(inside, list):
                objects[name] = self._object(f"{path}/{name}", inside)
        return {
            "enabled": self.text(f"{path}/enabled"),
            "transition": self.text(f"{path}/transition"),
            "objects": objects,
        }

    def _object(self, path: str, inside: list[str]) -> dict[str, object]:
        functions = [name for name in inside if isinstance(self._shell.listdir(f"{path}/{name}"), list)]
        found: dict[str, object] = {"patched": self.text(f"{path}/patched")}
        return found | ({"functions": sorted(functions)} if functions else {})

    def _names(self, path: str) -> list[str]:
        found = self._shell.listdir(path)
        return found if isinstance(found, list) else []

    def modules(self) -> dict[str, dict[str, str]]:
        """Return the lines of /proc/modules by module, the fields that a record has."""
        found = {}
        for line in self.text("/proc/modules").splitlines():
            name, _size, refs, used_by, state, _at, *taint = line.split()
            found[name] = {"refs": refs, "used_by": used_by, "state": state, "taint": "".join(taint)}
        return found

    def modes(self, patch: str) -> dict[str, str]:
        """Return the permission bits of a patch's files."""
        found = self._shell.modes(f"{LIVEPATCH}/{patch}")
        return {name: oct(mode) for name, mode in found.items()} if isinstance(found, dict) else {}

    def trace(self) -> list[str]:
        """Return the function tracer's lines without task and time, the oldest first."""
        lines = (line for line in self.text(f"{TRACING}/trace").splitlines() if not line.startswith("#"))
        return [line.split(": ", 1)[-1] for line in lines]

    def enabled_functions(self) -> list[str]:
        """Return the lines of that file."""
        return self.text(f"{TRACING}/enabled_functions").splitlines()

    # --- tasks ----------------------------------------------------------------------------------

    def state(self, name: str) -> str:
        """Return the patch_state of a task of the record."""
        task = self._session.task(name)
        return "no such task" if task is None else self.text(f"/proc/{task.pid}/patch_state")

    def named_tasks_left(self) -> list[str]:
        """Return which tasks of the record the transition waits for."""
        left = {task.pid for task in self._machine.livepatch.core.transition.stragglers()}
        return [name for name, task in self._session.tasks().items() if task.pid in left]

    def other_tasks_left(self) -> int:
        """Return for how many other tasks it waits."""
        return len(self._machine.livepatch.core.transition.stragglers()) - len(self.named_tasks_left())

    # --- code -----------------------------------------------------------------------------------

    @property
    def has_trampolines(self) -> bool:
        """Whether each ops of this port can have a trampoline of its own."""
        return self._machine.port.tracing.copy_trampoline is not None

    def trampoline_symbols(self) -> list[str]:
        """Return the lines of /proc/kallsyms that tell of them."""
        return trampoline_lines(self._machine.ftrace)

    def site(self, function: str) -> tuple[bytes, str]:
        """Return the bytes at a function's site, and in words where they call, "" nowhere."""
        machine = self._machine
        record = machine.ftrace.sites.record_at(machine.ftrace.sites.locate(self._session.find(function)))
        assert record is not None, f"{function} has a site"
        code = machine.kernel.engine.memory.read(record.ip, machine.port.site.poke_size)
        target = machine.port.call_target(record.ip, code)
        return code, "" if target is None else self._called(target)

    def _called(self, target: int) -> str:
        for ops in self._machine.ftrace.chain:
            if ops.trampoline == target:
                return trampoline_of(self._handler(ops))
        return SHARED

    def _handler(self, ops: FtraceOps) -> str:
        return self._machine.kallsyms.name_at(ops.func)

    def trampoline_calls(self, function: str) -> str:
        """Return what the trampoline that a function's site calls goes on to, as its code says."""
        machine = self._machine
        users = machine.ftrace.chain.users_of(machine.ftrace.sites.locate(self._session.find(function)))
        at = next((ops.trampoline for ops in users if ops.trampoline), 0)
        return (
            self.name_at(first_call(machine.kernel.engine.memory.read(at, TRAMPOLINE_SIZE), at)) if at else ""
        )

    def entry_called(self, function: str) -> str:
        """Return the name of what a function's site calls."""
        machine = self._machine
        site = machine.ftrace.sites.locate(self._session.find(function))
        code = machine.kernel.engine.memory.read(site, machine.port.site.poke_size)
        return self.name_at(machine.port.call_target(site, code) or 0)

    def shared_entry_calls(self) -> str:
        """Return what the entry that several users share goes on to."""
        return self.name_at(self._machine.ftrace.trampolines.handler_in(None, regs=False))

    def name_at(self, address: int) -> str:
        """Return the name of what is at an address."""
        return self._machine.kallsyms.name_at(address)

    def has_symbol(self, name: str) -> bool:
        """Whether the kernel has a symbol of that name."""
        return bool(self._session.find(name))


TRAMPOLINE_SIZE = 0x100
"""Bytes of a trampoline that are looked at. # assumed: more than any has up to its call"""


def trampoline_of(handler: str) -> str:
    """Return how it is called here."""
    return f"the trampoline of {handler}"


def first_call(code: bytes, address: int) -> int:
    """Return what the first call in x86-64 code goes to, 0 if there is none.

    >>> hex(first_call(bytes.fromhex("90e8fb0f0000c3"), 0xfff))
    '0x2000'
    """
    calls = [i for i in decode(port_named("x86_64"), code, address) if "call" in i.groups]
    return int(calls[0].operands, 16) if calls and calls[0].operands.startswith("0x") else 0


def full_path(path: str) -> str:
    """Return the file that a record names by its end.

    >>> full_path("lp_a1/enabled"), full_path("ftrace_enabled"), full_path("/proc/modules")
    ('/sys/kernel/livepatch/lp_a1/enabled', '/proc/sys/kernel/ftrace_enabled', '/proc/modules')
    >>> full_path("lp_a1"), full_path("/sys/kernel/debug/tracing/trace")
    ('/sys/kernel/livepatch/lp_a1', '/sys/kernel/tracing/trace')
    """
    name = path.rstrip("/")
    if path.startswith("/"):
        return path.replace(f"{DEBUG}/tracing", TRACING, 1)
    if path.startswith("kprobes/"):
        return f"{DEBUG}/{path}"
    if name in _TRACING_FILES or path.startswith(("events/", "options/")):
        return f"{TRACING}/{path}"
    if path.startswith("tracing/"):
        return f"/sys/kernel/{path}"
    if name in _PROC_FILES or path.startswith("self/") or name.endswith("/patch_state"):
        return f"/proc/{path}"
    return f"{SYSCTL}/{path}" if name in _SYSCTLS else f"{LIVEPATCH}/{path}"


def names_a_file(key: str) -> bool:
    """Whether a key in ``observed`` is the name of a file that can be found without its directory.

    >>> names_a_file("tracing_on"), names_a_file("lp_a1/enabled"), names_a_file("weather")
    (True, True, False)
    """
    return key in (*_TRACING_FILES, *_SYSCTLS) or "/" in key
