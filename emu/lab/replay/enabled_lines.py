"""Lines of the tracing file ``enabled_functions``, taken apart.

Source: kernel/trace/ftrace.c, t_show (6.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_LINE = re.compile(
    r"(?P<function>\S+)(?: \[(?P<module>\S+)\])? \((?P<users>\d+)\)(?P<flags>(?: [ RIDOM])*)(?P<way>.*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnabledLine:
    """One line.

    Args:
        function, module: whose site it is; module empty = the kernel.
        users: how many ops.
        flags: letters that are set.
        way: where a call goes, addresses and sizes left out.
    """

    function: str
    module: str
    users: int
    flags: str
    way: str

    @staticmethod
    def parse(line: str) -> EnabledLine:
        r"""Return the line taken apart.

        Raises:
            ValueError: it is no such line.

        >>> EnabledLine.parse("f [m] (2)   I  \ttramp: 0x12 (h+0x0/0x1) ->h+0x0/0x1")
        EnabledLine(function='f', module='m', users=2, flags='I', way='tramp: ADDRESS (h) ->h')
        """
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"no line of enabled_functions: {line!r}")
        way = re.sub(r"\+0x0/0x[0-9a-f]+", "", found["way"])
        way = re.sub(r"0x[0-9a-f]+", "ADDRESS", way).replace(
            "arch_ftrace_ops_list_func", "ftrace_ops_list_func"
        )
        return EnabledLine(
            function=found["function"], module=found["module"] or "", users=int(found["users"]),
            flags="".join(re.findall(r"\S", found["flags"])), way=way.strip(),
        )  # fmt: skip

    def without_way(self) -> EnabledLine:
        """Return what a port can tell whose sites all call one shared entry: not ``O`` (CALL_OPS) either."""
        return replace(self, way="", flags=self.flags.replace("O", ""))
