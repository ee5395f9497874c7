"""What a site calls: a private trampoline, a shared caller, or a PLT entry on the way there.

Source: arch/x86/kernel/ftrace.c, create_trampoline, arch_ftrace_update_trampoline (6.1);
arch/arm64/kernel/ftrace.c, ftrace_find_callable_addr (6.1, CALL_OPS: 6.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emu.arch.errors import OutOfReachError
from emu.arch.tracing import Poke, Template
from emu.ftrace.flags import OpsFlags
from emu.ftrace.ops import FtraceOps
from emu.ftrace.sites import DynFtrace
from emu.ftrace.text_poke import TextPoke
from emu.kernel.bytes import load_bytes
from emu.kernel.guest import Guest
from emu.kernel.kallsyms import Kallsyms, Symbol
from emu.kernel.modules import Modules

PLT_ENTRY_SIZE = 16
TRAMPOLINE_OWNER = "__builtin__ftrace"
"""Object of the trampolines' symbols. Source: kernel/trace/ftrace.c, FTRACE_TRAMPOLINE_MOD (6.1)."""


class Trampolines:
    """The trampolines of one kernel.

    Args:
        guest: the patching CPU.
        kallsyms: addresses of the shared callers and the templates.
        modules: PLT room of modules.
        poke: writes text.
        text_alloc: size -> address in trampoline memory, or 0.
        text_free: gives it back.
        call_ops: sites call through the ops pointer before the function (arm64 only).

    Attributes:
        on_trampoline: told of each new one: its address, its code, its template's address, its ops.
        on_plt: told of each new PLT: its module, its entries, the callers that they lead to.
    """

    def __init__(
        self,
        guest: Guest,
        kallsyms: Kallsyms,
        modules: Modules,
        poke: TextPoke,
        *,
        text_alloc: Callable[[int], int],
        text_free: Callable[[int], None],
        call_ops: bool,
    ) -> None:
        self._guest, self._kallsyms, self._modules, self._poke = guest, kallsyms, modules, poke
        self._text_alloc, self._text_free = text_alloc, text_free
        self._tracing = guest.port.tracing
        suffix = "_ops" if call_ops else ""
        self.call_ops = call_ops
        self.list_func = kallsyms.address_of("ftrace_ops_list_func")
        self.caller = kallsyms.address_of("ftrace_caller" + suffix)
        self.regs_caller = kallsyms.address_of("ftrace_regs_caller" + suffix)
        self.mcount_caller = kallsyms.address_of("mcount_caller")
        self._symbols: dict[int, Symbol] = {}
        self.on_trampoline: Callable[[int, bytes, int, int], None] = lambda _at, _code, _from, _ops: None
        self.on_plt: Callable[[str, Sequence[Poke], Sequence[int]], None] = lambda _name, _new, _to: None

    def handler_of(self, ops: FtraceOps) -> int:
        """Return what a trampoline of ``ops`` alone calls: ftrace_ops_get_func.

        Linux puts ftrace_ops_assist_func before a handler that asks for help with recursion or RCU; here the
        list function, which gives the same help, stands in.
        """
        if ops.flags & (OpsFlags.RECURSION | OpsFlags.RCU):
            return self.list_func
        return ops.func

    def shared_caller(self, record: DynFtrace, *, regs: bool) -> int:
        """Return the caller that several users of a site share."""
        if record.old_style:
            return self.mcount_caller
        return self.regs_caller if regs else self.caller

    def update(self, ops: FtraceOps) -> None:
        """Make ``ops`` its private trampoline, or point an existing one at its handler.

        No room for one is not an error: the site then calls the shared caller.
        """
        copy = self._tracing.copy_trampoline
        if copy is None:
            return
        if not ops.trampoline:
            self._create(ops, copy)
        elif ops.flags & OpsFlags.ALLOC_TRAMP:
            at = ops.trampoline + self._template(ops).call
            self._poke.poke(at, self._guest.port.encode_call(at, self.handler_of(ops)))

    def _create(self, ops: FtraceOps, copy: Callable[[Template, int, int, int], bytes]) -> None:
        guest, size_of = self._guest, self._tracing.trampoline_size
        assert size_of is not None, "a port that copies trampolines knows their size"
        template = self._template(ops)
        size = size_of(len(template.code))
        at = (
            0
            if guest.fail("text_alloc")
            else guest.callback("text_alloc", lambda: self._text_alloc(size), under_locks=False)
        )
        if not at:
            return
        # Linux: set_memory_rox flushes the TLBs by an IPI, whose IRET serialises every CPU
        code = copy(template, at, ops.address, self.handler_of(ops))
        pointer = len(code) - 8  # loaded as data, never fetched
        guest.text_store(at, code[:pointer], "trampoline")
        guest.store(at + pointer, ops.address, what="trampoline ops pointer")
        guest.sync_cores("sync after trampoline")
        ops.set_flags(OpsFlags.ALLOC_TRAMP)
        ops.view["trampoline"] = at
        ops.view["trampoline_size"] = size
        symbol = Symbol(
            name="ftrace_trampoline", address=at, size=size, object=TRAMPOLINE_OWNER, anonymous=True
        )
        self.on_trampoline(at, code[:pointer], template.at, ops.address)
        self._symbols[at] = symbol
        self._kallsyms.add(TRAMPOLINE_OWNER, [symbol])

    def _template(self, ops: FtraceOps) -> Template:
        regs = "regs_" if ops.flags & OpsFlags.SAVE_REGS else ""
        start, end, op_ptr, call = (
            self._kallsyms.address_of(name)
            for name in (
                f"ftrace_{regs}caller",
                f"ftrace_{regs}caller_end",
                f"ftrace_{regs}caller_op_ptr",
                f"ftrace_{regs}call",
            )
        )
        code = load_bytes(self._guest, start, end - start)
        return Template(at=start, code=code, op_ptr=op_ptr - start, call=call - start)

    def free(self, ops: FtraceOps) -> None:
        """Give the private trampoline back; no task may be inside it any more."""
        at = ops.trampoline
        if not at or not ops.flags & OpsFlags.ALLOC_TRAMP:
            return
        self._kallsyms.discard(self._symbols.pop(at))

        def release() -> int:
            self._text_free(at)
            return 0

        self._guest.callback("text_free", release, under_locks=False)
        ops.view["trampoline"] = 0

    def symbols(self) -> list[Symbol]:
        """Return the symbols of the private trampolines, the newest first."""
        return list(reversed(self._symbols.values()))

    def handler_in(self, ops: FtraceOps | None, *, regs: bool) -> int:
        """Return what the trampoline of ``ops``, or the shared caller, calls now; 0 when the port can't tell.

        Source: arch/x86/kernel/ftrace.c, arch_ftrace_trampoline_func (6.1); arm64 has none.
        """
        if self._tracing.copy_trampoline is None:
            return 0
        if ops is not None and ops.flags & OpsFlags.ALLOC_TRAMP:
            at = ops.trampoline + self._template(ops).call
        else:
            at = self._kallsyms.address_of("ftrace_regs_call" if regs else "ftrace_call")
        size = self._guest.port.site.poke_size
        return self._guest.port.call_target(at, load_bytes(self._guest, at, size)) or 0

    def init_plt(self, module_name: str) -> None:
        """Fill a loading module's PLT room, one entry for each shared caller.

        Source: arch/arm64/kernel/module.c, module_init_ftrace_plt (6.1).
        """
        module, plt_entry = self._modules.find(module_name), self._tracing.plt_entry
        if module is None or not module.plt or plt_entry is None:
            return
        entries = [
            Poke(address=module.plt + PLT_ENTRY_SIZE * i, data=plt_entry(target))
            for i, target in enumerate(self._plt_targets())
        ]
        self._poke.early(entries)
        self.on_plt(module_name, entries, self._plt_targets())

    def plt_size(self) -> int:
        """Return the bytes that `Module.plt` must have room for."""
        return PLT_ENTRY_SIZE * len(self._plt_targets())

    def _plt_targets(self) -> tuple[int, ...]:
        return self.caller, self.regs_caller, self.mcount_caller

    def call_at(self, record: DynFtrace, target: int) -> bytes | None:
        """Return the call to put at a site so that ``target`` runs; None, and a log line, out of reach."""
        encode = self._guest.port.encode_call
        try:
            return encode(record.ip, target)
        except OutOfReachError:
            pass
        module, targets = self._modules.at(record.ip), self._plt_targets()
        if module is None or not module.plt or self._tracing.plt_entry is None or target not in targets:
            self._guest.log(f"ftrace: no module PLT for {self._kallsyms.name_at(target)}")
            return None
        return encode(record.ip, module.plt + PLT_ENTRY_SIZE * targets.index(target))
