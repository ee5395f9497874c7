"""What stands at a function's site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emu.arch.port import Port
from emu.lab.disassembly.listing import SiteKind, SiteState, Version
from emu.lab.disassembly.names import Names
from emu.lab.disassembly.text import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The site of one function.

    Args:
        kind: of it.
        address: what a text poke rewrites; 0 when there is none.
        state: of it.
        calls: name of what it calls; empty unless it is on.
    """

    kind: SiteKind = SiteKind.NONE
    address: int = 0
    state: SiteState = SiteState.NONE
    calls: str = ""

    def note(self, versions: Sequence[Version]) -> str:
        """Return what there is to say of it."""
        parts = [f"calls {self.calls}"] if self.calls else []
        for version in versions:
            when = ", in transition" if version.in_transition else ""
            runs = "original" if version.is_nop else version.replacement
            parts.append(f"runs {runs} ({version.patch}{when})")
        if self.state is SiteState.ON:
            return f"patched: {', '.join(parts)}"
        what = f"site ({self.kind})" if self.state is SiteState.LINKED else f"site: {self.state}"
        return ", ".join([what, *parts])


def site_of(port: Port, text: Text, name: str, names: Names, *, is_run: bool) -> Site:
    """Return the site of the function ``name``, as it is in the end.

    Args:
        port: architecture.
        text: that the function is in.
        name: its name.
        names: for what the site calls.
        is_run: whether the text is that of a run: what nobody poked is as linked.
    """
    facts, (start, size) = port.site, text.block.symbols[name]
    at = text.block.sites.get(name, 0)
    if not start <= at <= start + size - facts.poke_offset - facts.poke_size:
        return Site()
    before = text.bytes(start, at - start, linked=True)
    if not before or before in facts.landing_pads:
        kind, poked_at = SiteKind.ENTRY, at + facts.poke_offset
    else:
        kind, poked_at = SiteKind.MCOUNT, at
    code = text.bytes(poked_at, facts.poke_size)
    target = port.call_target(poked_at, code)
    calls = ""
    if not is_run:
        state = SiteState.LINKED
    elif code == facts.nop:
        state = SiteState.OFF
    elif code.startswith(port.trap):
        state = SiteState.BREAKPOINT
    elif target is None or code == text.bytes(poked_at, facts.poke_size, linked=True):
        state = SiteState.LINKED
    else:
        state, calls = SiteState.ON, names.name(target).removesuffix("+0x0")
    return Site(kind=kind, address=poked_at, state=state, calls=calls)
