"""The files of /sys/kernel/tracing: the function tracer, its filters, and who uses which function.

Who reads and writes is root. A write is that of a file opened without O_TRUNC, as ``>>`` does it;
`PseudoTree.truncate` is what opening with it does.

Source: kernel/trace/trace.c, tracing_set_trace_write, tracing_set_tracer, rb_simple_write, tracing_open;
kernel/trace/ftrace.c, ftrace_regex_write, t_show; trace_get_user (6.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from emu.ftrace.core import Ftrace
from emu.ftrace.enabled_functions import enabled_functions
from emu.ftrace.function_tracer import FunctionTracer
from emu.ftrace.trace_text import trace_text
from emu.kernel.errno import EINVAL
from emu.kernel.pseudo_files import Directory, PseudoFile, PseudoTree

ROOT = "/sys/kernel/tracing"
_SPACES = " \t\n\v\f\r"
_LONGEST_TRACER = 100  # characters that are looked at: MAX_TRACER_SIZE
_WRITABLE, _READABLE = 0o640, 0o440  # TRACE_MODE_WRITE, TRACE_MODE_READ
_UNKNOWN_TASK = "<...>"
_IDLE = "<idle>"


class TracedTask(Protocol):
    """What tracing needs to know of a task."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    @property
    def comm(self) -> str:
        """Its name."""
        ...


class Tracefs(PseudoTree):
    """The tree, as far as it goes.

    Args:
        ftrace: of the kernel.
        tracer: of the kernel.
        tasks: gives the tasks there are.
        cpus: how many there are.
        modified_column: `enabled_functions` has columns ``O`` and ``M``, as since 6.4.
    """

    def __init__(
        self,
        ftrace: Ftrace,
        tracer: FunctionTracer,
        tasks: Callable[[], Iterable[TracedTask]],
        *,
        cpus: int,
        modified_column: bool = False,
    ) -> None:
        super().__init__(self._entries, mounted_at=ROOT)
        self._ftrace, self._tracer, self._tasks, self._cpus = ftrace, tracer, tasks, cpus
        self._modified_column = modified_column

    def _entries(self) -> Mapping[str, PseudoFile | Directory]:
        tracer = self._tracer
        return {
            "available_filter_functions": _read_only(self._available_functions),
            "available_tracers": _read_only(lambda: "function nop\n"),
            "current_tracer": _writable(lambda: f"{self._current()}\n", self._set_tracer),
            "enabled_functions": _read_only(self._enabled_functions),
            "set_ftrace_filter": _writable(
                lambda: self._names(tracer.filter(), "#### all functions enabled ####\n"),
                lambda text: _by_word(text, tracer.change_filter),
                tracer.clear_filter,
            ),
            "set_ftrace_notrace": _writable(
                lambda: self._names(tracer.notrace() or None, "#### no functions disabled ####\n"),
                lambda text: _by_word(text, tracer.change_notrace),
                tracer.clear_notrace,
            ),
            "trace": _writable(self._trace, len, tracer.buffer.reset),
            "tracing_on": _writable(lambda: f"{int(tracer.buffer.is_on)}\n", self._switch),
        }

    # --- the tracer -----------------------------------------------------------------------------

    def _current(self) -> str:
        return "function" if self._tracer.is_on else "nop"

    def _set_tracer(self, text: str) -> int:
        name = text[:_LONGEST_TRACER].strip(_SPACES)
        if name not in ("function", "nop"):
            return -EINVAL
        if name != self._current():
            ret = self._tracer.start() if name == "function" else self._tracer.stop()
            if ret:
                return ret
        return len(text)

    def _switch(self, text: str) -> int:
        number = text.strip(_SPACES)
        if not number.isdecimal():
            return -EINVAL
        self._tracer.buffer.switch(on=int(number) != 0)
        return len(text)

    def _trace(self) -> str:
        entries, written = self._tracer.buffer.entries()
        names = {task.pid: task.comm for task in self._tasks()} | {0: _IDLE}
        return trace_text(
            self._current(), entries, written=written, cpus=self._cpus, kallsyms=self._ftrace.kallsyms,
            comm=lambda pid: names.get(pid) or _UNKNOWN_TASK,
        )  # fmt: skip

    # --- functions ------------------------------------------------------------------------------

    def _available_functions(self) -> str:
        return self._names(frozenset(record.ip for record in self._ftrace.sites.records()), "")

    def _enabled_functions(self) -> str:
        lines = enabled_functions(self._ftrace, modified_column=self._modified_column)
        return "".join(f"{line}\n" for line in lines)

    def _names(self, sites: frozenset[int] | None, when_none: str) -> str:
        if sites is None:
            return when_none
        return "".join(f"{self._ftrace.kallsyms.name_at(ip)}\n" for ip in sorted(sites))


def _read_only(show: Callable[[], str]) -> PseudoFile:
    return PseudoFile(mode=_READABLE, show=show, unwritable=EINVAL)


def _writable(
    show: Callable[[], str], store: Callable[[str], int], truncate: Callable[[], None] = lambda: None
) -> PseudoFile:
    return PseudoFile(mode=_WRITABLE, show=show, store=store, truncate=truncate)


def _by_word(text: str, change: Callable[[str], int]) -> int:
    r"""Take the first word of ``text``, with the space behind it, and return how many characters that is.

    A word at the end of the text, with no space behind it, is looked at when the file is closed: nobody is
    told then that it means nothing.

    >>> _by_word("vic_alpha vic_beta\n", lambda word: 0), _by_word(" nosuch", lambda word: -22)
    (10, 7)
    """
    start = len(text) - len(text.lstrip(_SPACES))
    end = next((at for at in range(start, len(text)) if text[at] in _SPACES), len(text))
    if start == end:
        return len(text)
    ret = change(text[start:end])
    if end == len(text):
        return len(text)
    return ret if ret < 0 else end + 1
