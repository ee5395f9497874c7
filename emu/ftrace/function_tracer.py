"""The function tracer: its ops, which functions it traces, and its ring buffer.

Source: kernel/trace/trace_functions.c, function_trace_init, function_trace_reset; kernel/trace/ftrace.c,
ftrace_init_array_ops, ftrace_module_enable (6.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from emu.ftrace.core import Ftrace
from emu.ftrace.flags import OpsFlags
from emu.ftrace.function_filter import FilterWord
from emu.ftrace.trace_buffer import TraceBuffer
from emu.kernel.errno import EINVAL


@dataclass(frozen=True, slots=True)
class _Change:
    sites: frozenset[int]
    negated: bool

    def applied_to(self, before: frozenset[int]) -> frozenset[int]:
        return before - self.sites if self.negated else before | self.sites


class FunctionTracer:
    """The function tracer of one kernel.

    In Linux an ops with an empty filter is called everywhere. Here it is called nowhere, so the tracer itself
    fills in every site, those of modules that come included.

    Args:
        ftrace: of the kernel.
    """

    def __init__(self, ftrace: Ftrace) -> None:
        self._ftrace, kallsyms = ftrace, ftrace.kallsyms
        self.buffer = TraceBuffer(ftrace.guest, kallsyms.address_of("global_trace"))
        self._ops = ftrace.ops(kallsyms.address_of("global_ops"))
        self._ops.view["private"] = self.buffer.array.address
        self._ops.view["func"] = kallsyms.address_of("function_trace_call")
        self._filter: frozenset[int] | None = None
        self._notrace: frozenset[int] = frozenset()
        ftrace.on_module_sites, ftrace.on_module_sites_gone = self._module_came, self._module_went

    @property
    def is_on(self) -> bool:
        """Whether functions are traced, or would be if ftrace were switched on."""
        return bool(self._ops.flags & OpsFlags.ENABLED)

    # --- on and off -----------------------------------------------------------------------------

    def start(self) -> int:
        """Begin to trace, with an empty buffer: 0, -ENOMEM, or what ftrace says."""
        ret = self.buffer.allocate()
        if ret:
            return ret
        self.buffer.reset()
        ret = self._apply(on=True) or self._ftrace.register_ftrace_function(self._ops)
        if not ret:
            self.buffer.array["function_enabled"] = 1
        return ret

    def stop(self) -> int:
        """Trace no more, and empty the buffer: 0, or what ftrace says.

        A handler may still be running, so the buffer's memory stays.
        """
        self.buffer.array["function_enabled"] = 0
        ret = self._ftrace.unregister_ftrace_function(self._ops)
        self.buffer.reset()
        return ret

    # --- which functions ------------------------------------------------------------------------

    def filter(self) -> frozenset[int] | None:
        """Return the sites that may be traced, None for all."""
        return self._filter

    def notrace(self) -> frozenset[int]:
        """Return the sites that are not traced, whatever the filter says."""
        return self._notrace

    def change_filter(self, word: str) -> int:
        """Add what ``word`` means to the filter, or take it out: 0, -EINVAL (nothing is meant), -ENOMEM."""
        change = self._meant(word)
        if change is None:
            return -EINVAL
        before = self._filter
        self._filter = change.applied_to(before or frozenset()) or None
        return self._keep_if_applied(before, self._notrace)

    def change_notrace(self, word: str) -> int:
        """Do the same with what is not traced."""
        change = self._meant(word)
        if change is None:
            return -EINVAL
        before = self._notrace
        self._notrace = change.applied_to(before)
        return self._keep_if_applied(self._filter, before)

    def clear_filter(self) -> None:
        """Let all functions be traced."""
        self._filter = None
        self._apply(on=self.is_on)

    def clear_notrace(self) -> None:
        """Except none."""
        self._notrace = frozenset()
        self._apply(on=self.is_on)

    def _meant(self, word: str) -> _Change | None:
        """Return what ``word`` does to a set of sites; None: it means none."""
        parsed = FilterWord.parse(word)
        sites = parsed.sites(self._ftrace) if parsed is not None else frozenset()
        return _Change(sites, parsed.negated) if parsed is not None and sites else None

    def _keep_if_applied(self, old_filter: frozenset[int] | None, old_notrace: frozenset[int]) -> int:
        ret = self._apply(on=self.is_on)
        if ret:
            self._filter, self._notrace = old_filter, old_notrace
        return ret

    def _apply(self, *, on: bool) -> int:
        """Have the ops' own filter say the same."""
        every = self._filter
        if every is None:
            every = frozenset(record.ip for record in self._ftrace.sites.records()) if on else frozenset()
        return self._ftrace.ftrace_set_filter_ips(self._ops, sorted(every - self._notrace), reset=True)

    # --- modules --------------------------------------------------------------------------------

    def _module_came(self, _module: str) -> None:
        if self.is_on and self._filter is None:
            self._apply(on=True)

    def _module_went(self, gone: frozenset[int]) -> None:
        # a filter whose functions have all gone is not empty: it stays one of none
        self._filter = None if self._filter is None else self._filter - gone
        self._notrace -= gone
