"""Calling a patch's own functions before and after its objects are (un)patched.

Source: kernel/livepatch/core.h, klp_pre_patch_callback and so on (6.1).
"""

from __future__ import annotations

from emu.build.contents import VMLINUX
from emu.kernel.guest import Guest, View
from emu.kernel.modules import Modules
from emu.livepatch.announce import Announcer
from emu.livepatch.graph import LoadedPatch, object_name
from emu.livepatch.model import Callback, ObjectFacts


class Callbacks:
    """Calls them, each as one step of the patching CPU.

    Args:
        guest: the patching CPU.
        modules: whose state callbacks are told.
        loaded: knows which Python function stands behind a non-zero member.
        announcer: stands behind those that a patch declares by name.
    """

    def __init__(
        self, guest: Guest, modules: Modules, loaded: dict[int, LoadedPatch], announcer: Announcer
    ) -> None:
        self._guest, self._modules, self._loaded, self._announcer = guest, modules, loaded, announcer

    def klp_pre_patch_callback(self, patch: View, obj: View) -> int:
        """Call pre_patch; only if it returns 0 may post_unpatch run later."""
        ret = self._call(patch, obj, "pre_patch")
        obj["post_unpatch_enabled"] = int(not ret)
        return ret

    def klp_post_patch_callback(self, patch: View, obj: View) -> None:
        """Call post_patch."""
        self._call(patch, obj, "post_patch")

    def klp_pre_unpatch_callback(self, patch: View, obj: View) -> None:
        """Call pre_unpatch."""
        self._call(patch, obj, "pre_unpatch")

    def klp_post_unpatch_callback(self, patch: View, obj: View) -> None:
        """Call post_unpatch if pre_patch let the object be patched."""
        if obj["post_unpatch_enabled"]:
            self._call(patch, obj, "post_unpatch")
        obj["post_unpatch_enabled"] = 0

    def _call(self, patch: View, obj: View, name: str) -> int:
        if not obj[f"callbacks.{name}"]:
            return 0
        loaded = self._loaded[patch.address]
        declared, owner = loaded.objects[obj.address], object_name(self._guest, obj)
        module = self._modules.find(owner) if owner is not None else None
        facts = ObjectFacts(
            patch=loaded.patch.name,
            object=owner or VMLINUX,
            state=module.state.value if module is not None else "built in",
            klp_patch=patch.address,
        )
        callback: Callback | None = getattr(declared, name)
        returns = declared.pre_patch_returns if name == "pre_patch" else 0

        def run() -> int:
            if callback is not None:
                return callback(facts)
            return self._announcer.announce(name, facts, patch, returns)

        return self._guest.callback(f"{name} {facts.object}", run)
