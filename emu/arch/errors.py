"""Errors of encoding an instruction."""

from emu.errors import EmuError


class OutOfReachError(EmuError):
    """A direct call cannot span the distance."""

    def __init__(self, site: int, target: int, reach: int) -> None:
        super().__init__(
            f"the site {site:#x} cannot call {target:#x} directly: {abs(target - site):#x} bytes "
            f"away, a call reaches {reach:#x}; place the target nearer or go through a PLT entry"
        )
        self.site, self.target, self.reach = site, target, reach
