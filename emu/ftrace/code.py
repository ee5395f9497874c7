"""Making the code agree with the records: sites, the shared callers' call, function_trace_op.

Source: kernel/trace/ftrace.c, ftrace_modify_all_code, update_ftrace_function, ftrace_startup_enable (6.1);
arch/x86/kernel/ftrace.c, ftrace_replace_code; arch/arm64/kernel/ftrace.c, ftrace_make_call and so on (6.3).
"""

from __future__ import annotations

from emu.ftrace.flags import Command, OpsFlags, RecordFlags, Update
from emu.ftrace.ops import FtraceOps, OpsChain
from emu.ftrace.records import Records
from emu.ftrace.sites import DynFtrace, Sites
from emu.ftrace.text_poke import TextPoke
from emu.ftrace.trampolines import Trampolines
from emu.kernel.bytes import load_bytes
from emu.kernel.guest import Guest
from emu.kernel.kallsyms import Kallsyms
from emu.kernel.warn import warn_on
from emu.machine.operations import Barrier
from emu.structs import FTRACE_OPS


class Code:
    """The code that ftrace keeps up to date, and whether it has given up (``disabled``)."""

    def __init__(
        self,
        guest: Guest,
        kallsyms: Kallsyms,
        sites: Sites,
        chain: OpsChain,
        records: Records,
        trampolines: Trampolines,
        poke: TextPoke,
    ) -> None:
        self._guest, self._kallsyms, self._sites, self._chain = guest, kallsyms, sites, chain
        self._records, self._trampolines, self._poke = records, trampolines, poke
        self.disabled = False
        self._stub = kallsyms.address_of("ftrace_stub")
        self._function_trace_op = kallsyms.address_of("function_trace_op")
        self._trace_function = self._stub
        self._saved_function = 0  # what the code was last asked to call; 0: not known
        self._poked_function = 0  # what the shared callers call; 0: as linked
        self._next_op = chain.end
        self._list_ops = self._nop_ops = 0

    def init(self) -> None:
        """Make the two ops that stand for "several users" and "none" where sites carry an ops pointer."""
        self._chain.init()
        self._guest.store(self._function_trace_op, self._chain.end, what="function_trace_op")
        if self._trampolines.call_ops:
            self._list_ops = self._static_ops("ftrace_list_ops", self._trampolines.list_func)
            self._nop_ops = self._static_ops("ftrace_nop_ops", self._stub)

    def _static_ops(self, name: str, func: int) -> int:
        address = self._guest.alloc(FTRACE_OPS.size, name)
        assert address, f"no room for {name} at boot"
        ops = FtraceOps(self._guest, address)
        ops.view["func"] = func
        ops.set_flags(OpsFlags.STUB)
        return address

    def init_literals(self, module: str | None) -> bool:
        """Let every site of a loading object carry the ops of "no users"; False when one has no room."""
        own = [record for record in self._sites.records() if record.module == module]
        if not all(map(self._has_literal, own)):
            return False
        for record in own:
            self._set_literal(record, self._nop_ops)
        return True

    def _has_literal(self, record: DynFtrace) -> bool:
        """Whether the 8 bytes before the function are room: else they are the end of what stands there."""
        literal = self._guest.port.tracing.ops_literal
        if not self._trampolines.call_ops or literal is None or record.old_style:
            return True
        room = load_bytes(self._guest, literal(record.ip), 8)
        if not any(room) or self._guest.port.site.nops.fullmatch(room):
            return True
        where = self._kallsyms.with_offset(record.ip)
        self._guest.log(f"ftrace: no room for an ops pointer before the function at {where}: {room.hex(' ')}")
        return False

    def choose_function(self) -> None:
        """Settle what the shared callers should call and with which ops: update_ftrace_function."""
        self._next_op = self._chain.first
        if self._next_op == self._chain.end:
            func = self._stub
        elif self._guest.load(self._next_op + FTRACE_OPS.offset("next")) == self._chain.end:
            func = self._alone(FtraceOps(self._guest, self._next_op))
        else:
            self._next_op = self._chain.end
            func = self._trampolines.list_func
        self._trace_function = func

    def _alone(self, ops: FtraceOps) -> int:
        # a dynamic ops may be freed; only the list function lets go of it within a grace period
        if ops.flags & (OpsFlags.DYNAMIC | OpsFlags.RCU):
            return self._trampolines.list_func
        return self._trampolines.handler_of(ops)

    def choose_stub(self) -> None:
        """Have the shared callers call nothing from the next update on."""
        self._trace_function = self._stub

    def forget_saved_function(self) -> None:
        """Have the next update set the shared callers whatever they call."""
        self._saved_function = 0

    def command(self, command: Command) -> Command:
        """Return ``command``, with the shared callers' call added if that is out of date."""
        if self._saved_function != self._trace_function:
            self._saved_function = self._trace_function
            command |= Command.UPDATE_TRACE_FUNC
        return command

    def run_update(self, command: Command) -> None:
        """Carry ``command`` out: ftrace_run_update_code."""
        list_func = self._trampolines.list_func
        update_func = bool(command & Command.UPDATE_TRACE_FUNC)
        if update_func:
            # while sites change, only the list function looks at the filters, so it goes first
            self._update_func(list_func)
        if command & Command.UPDATE_CALLS:
            self._replace_code(enable=True)
        elif command & Command.DISABLE_CALLS:
            self._replace_code(enable=False)
        if update_func and self._trace_function != list_func:
            self._guest.store(self._function_trace_op, self._next_op, what="function_trace_op")
            # pairs with the shared caller: the op must be seen before the func that expects it
            self._guest.barrier(Barrier.WMB, "function_trace_op before func")
            self._guest.sync_cores("ftrace_sync_ipi")
            self._update_func(self._trace_function)
        self._poke.finish()

    def _update_func(self, func: int) -> None:
        if func == self._poked_function:
            return
        self._poked_function = func
        if self._trampolines.call_ops:
            return  # each site carries its ops: there is no shared call
        for name in ("ftrace_call", "ftrace_regs_call"):
            at = self._kallsyms.address_of(name)
            self._poke.poke(at, self._guest.port.encode_call(at, func))

    def _replace_code(self, *, enable: bool) -> None:
        todo = []
        for record in self._sites.records():
            if self._records.check(record, enable=enable) is Update.IGNORE:
                continue
            expected = self._current(record)
            if load_bytes(self._guest, record.ip, len(record.nop)) != expected:
                self._bug(record, expected)
                return
            todo.append(record)
        for record in todo:
            was, users = (record.flags, record.target), self._chain.users_of(record.ip)
            change = self._records.check(record, enable=enable, update=True)
            code = record.nop if change is Update.MAKE_NOP else self._new_call(record, users)
            if code is None:
                record.flags, record.target = was
                self._poke.finish()
                self._bug(record, None)
                return
            if change is Update.MAKE_NOP:
                record.target = 0
            self._update_literal(record, users)
            self._poke.queue(record.ip, code)
        self._poke.finish()

    def _current(self, record: DynFtrace) -> bytes | None:
        return self._trampolines.call_at(record, record.target) if record.target else record.nop

    def _new_call(self, record: DynFtrace, users: list[FtraceOps]) -> bytes | None:
        if record.flags & RecordFlags.TRAMP:
            target = users[0].trampoline
        else:
            regs = bool(record.flags & RecordFlags.REGS)
            target = self._trampolines.shared_caller(record, regs=regs)
        record.target = target
        return self._trampolines.call_at(record, target)

    def _update_literal(self, record: DynFtrace, users: list[FtraceOps]) -> None:
        if not record.target:
            self._set_literal(record, self._nop_ops)
        elif record.flags & RecordFlags.CALL_OPS_EN:
            self._set_literal(record, users[0].address)
        else:
            self._set_literal(record, self._list_ops)

    def _set_literal(self, record: DynFtrace, ops: int) -> None:
        literal = self._guest.port.tracing.ops_literal
        if self._trampolines.call_ops and literal is not None and not record.old_style:
            self._poke.finish()
            # data that lies between functions: no CPU fetches it, so it needs no maintenance
            self._guest.store(literal(record.ip), ops, what="ops literal")

    def _bug(self, record: DynFtrace, expected: bytes | None) -> None:
        guest = self._guest
        where = self._kallsyms.with_offset(record.ip)
        guest.log(f"ftrace failed to modify [{record.ip:#018x}] {where}")
        found = load_bytes(guest, record.ip, len(record.nop)).hex(":")
        guest.log(f" actual:   {found}")
        if expected is not None:
            guest.log(f" expected: {expected.hex(':')}")
        warn_on(guest, True)
        self.disabled = True
        self._trace_function = self._stub
