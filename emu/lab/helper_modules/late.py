"""What the helper module ``late`` does when it is loaded and unloaded."""

from __future__ import annotations

from collections.abc import Callable

from emu.kernel.errno import ENXIO
from emu.kernel.guest import Guest
from emu.lab.module_work import ModuleWork, Parameters
from emu.lab.modules import ModuleLoader
from emu.lab.reply_words import spelled_reply


def late_work(guest: Guest, loader: ModuleLoader, *, patch_name: Callable[[int], str]) -> ModuleWork:
    """Return it: both ask ``late_ping`` and log the answer; with ``fail_init=1`` init then returns -ENXIO.

    Args:
        guest: the patching CPU.
        loader: knows where the module is. One of that name that has no such functions does nothing.
        patch_name: (number of a patch) -> its name.

    Source: our own helper module; the references ``late_module`` and ``late_module_init_fails``.
    """

    def ask(when: str) -> None:
        function = f"late_{when}"
        place = loader.image("late").symbols.get(function)
        if place is not None:
            result = guest.call(place.address, what=f"{when} of module late")
            guest.log(f"late: {when}: ping says {spelled_reply(function, result, patch_name=patch_name)}")

    def init(parameters: Parameters) -> int:
        ask("init")
        return -ENXIO if parameters.get("fail_init", "0") not in ("0", "") else 0

    return ModuleWork(init=init, exit=lambda: ask("exit"))
