"""Lines of the kernel log that begin with ``livepatch:``."""

from __future__ import annotations

from emu.kernel.guest import Guest


class Log:
    """Writes them. ``debug`` is what dynamic debug would switch on: pr_debug lines appear too."""

    def __init__(self, guest: Guest, *, debug: bool = False) -> None:
        self._guest, self.debug_on = guest, debug

    def tell(self, line: str) -> None:
        """pr_err, pr_warn and pr_notice alike: dmesg without levels."""
        self._guest.log(f"livepatch: {line}")

    def debug(self, line: str) -> None:
        """pr_debug."""
        if self.debug_on:
            self.tell(line)
