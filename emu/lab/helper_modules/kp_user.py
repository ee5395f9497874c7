"""What the helper module ``kp_user`` does: a kprobe beside livepatch."""

from __future__ import annotations

from emu.ftrace import Kprobes
from emu.kernel.guest import Guest
from emu.lab.helper_modules.hits import some_or_none
from emu.lab.helper_modules.parameters import read_parameters
from emu.lab.module_work import Parameters
from emu.lab.modules import ModuleLoader
from emu.structs import KPROBE


class KpUser:
    """The module kp_user: a kprobe on ``fn`` + ``off``, with a post handler if ``post``.

    Args:
        guest: the patching CPU.
        kprobes: of the same kernel.
        loader: knows where the module is.

    Source: our own helper module. # assumed: its log lines; no reference has them
    """

    def __init__(self, guest: Guest, kprobes: Kprobes, loader: ModuleLoader) -> None:
        self._guest, self._kprobes, self._loader = guest, kprobes, loader

    def _address(self, name: str) -> int:
        return self._loader.image("kp_user").address(name)

    def init(self, given: Parameters) -> int:
        """Register it: 0, or the error of `Kprobes.register_kprobe`."""
        read = read_parameters(self._guest, "kp_user", given, texts=("fn",), numbers=("off", "post"))
        if isinstance(read, int):
            return read
        fn, off, post = read[0]["fn"], read[1]["off"], read[1]["post"]
        view = self._guest.view(KPROBE, self._address("kp"))
        view["pre_handler"] = self._address("kp_pre")
        view["post_handler"] = self._address("kp_post") if post else 0
        ret = self._kprobes.register_kprobe(view.address, fn, off)
        self._guest.log(f"kp_user: register on {fn}+{off} post={post}: {ret}")
        return ret

    def exit(self) -> None:
        """Unregister it, and tell whether its handlers were ever called."""
        self._kprobes.unregister_kprobe(self._address("kp"))
        pre, post = (self._guest.load(self._address("kp_hits") + at) for at in (0, 8))
        self._guest.log(f"kp_user: unregister, hits pre {some_or_none(pre)} post {some_or_none(post)}")
