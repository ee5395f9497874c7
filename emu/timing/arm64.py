"""arm64 placeholder."""
from emu.build.decode import Detailed
from emu.timing.roles import Role
def role(insn: Detailed) -> Role | None:
    return None
