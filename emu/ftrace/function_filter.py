r"""Which functions a line of ``set_ftrace_filter`` means.

Source: kernel/trace/ftrace.c, ftrace_process_regex, match_records; kernel/trace/trace_events_filter.c,
filter_parse_regex; lib/glob.c (6.1). Commands other than ``mod`` and numbers of functions are not understood.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from emu.ftrace.core import Ftrace

_COMMAND = "mod"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterWord:
    """One word of a filter.

    Args:
        pattern: of names; ``*``, ``?`` and ``[...]`` as in a shell.
        module: whose functions; empty: anybody's.
        negated: take them out, instead of in.
    """

    pattern: str
    module: str = ""
    negated: bool = False

    @staticmethod
    def parse(word: str) -> FilterWord | None:
        """Return what ``word`` says, None if it is a command that is not known.

        >>> FilterWord.parse("!vic_*:mod:victim")
        FilterWord(pattern='vic_*', module='victim', negated=True)
        >>> FilterWord.parse("vic_alpha:traceoff")
        """
        pattern, colon, command = word.partition(":")
        name, _, module = command.partition(":")
        if colon and (name != _COMMAND or not module):
            return None
        return FilterWord(
            pattern=pattern.removeprefix("!") or "*", module=module, negated=pattern.startswith("!")
        )

    def sites(self, ftrace: Ftrace) -> frozenset[int]:
        """Return the sites of the functions that are meant."""
        return frozenset(
            record.ip
            for record in ftrace.sites.records()
            if self.module in ("", record.module) and fnmatchcase(self._name(ftrace, record.ip), self.pattern)
        )

    @staticmethod
    def _name(ftrace: Ftrace, ip: int) -> str:
        place = ftrace.kallsyms.containing(ip)
        return "" if place is None else place.symbol.name


def sites_called(ftrace: Ftrace, pattern: str) -> list[int]:
    """Return the sites of the functions that ``pattern`` matches, in address order: ftrace_set_filter."""
    return sorted(FilterWord(pattern=pattern).sites(ftrace))
