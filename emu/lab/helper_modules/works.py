"""What each of the helper modules does, by its name."""

from __future__ import annotations

from collections.abc import Callable

from emu.ftrace import Ftrace, Kprobes
from emu.kernel.guest import Guest
from emu.lab.helper_modules.kp_user import KpUser
from emu.lab.helper_modules.late import late_work
from emu.lab.helper_modules.ops_user import OpsUser
from emu.lab.helper_modules.shadow_user import shadow_user
from emu.lab.module_work import ModuleWork
from emu.lab.modules import ModuleLoader
from emu.livepatch import Shadow


def helper_works(
    guest: Guest,
    loader: ModuleLoader,
    *,
    ftrace: Ftrace,
    kprobes: Kprobes,
    shadow: Shadow,
    patch_name: Callable[[int], str],
) -> dict[str, ModuleWork]:
    """Return what the helper modules do, for `ModuleLoader.works`.

    Args:
        guest: the patching CPU.
        loader: knows where modules are.
        ftrace, kprobes, shadow: of the same kernel.
        patch_name: (number of a patch) -> its name.
    """
    ops_user, kp_user = OpsUser(guest, ftrace, loader), KpUser(guest, kprobes, loader)
    return {
        "late": late_work(guest, loader, patch_name=patch_name),
        "shadow_user": ModuleWork(init=lambda _parameters: shadow_user(shadow, guest), exit=lambda: None),
        "ops_user": ModuleWork(init=ops_user.init, exit=ops_user.exit),
        "kp_user": ModuleWork(init=kp_user.init, exit=kp_user.exit),
    }
