"""Objects that come and go: what happens to patches when a module they name is loaded or unloaded.

Source: kernel/livepatch/core.c, klp_module_coming, klp_module_going,
klp_cleanup_module_patches_limited (6.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emu.build.contents import VMLINUX
from emu.kernel.errno import EINVAL
from emu.kernel.guest import Guest, View
from emu.kernel.modules import Module, ModuleState
from emu.kernel.warn import warn_on
from emu.livepatch.callbacks import Callbacks
from emu.livepatch.graph import for_each_func, for_each_object, for_each_patch, object_name, patch_name
from emu.livepatch.log import Log
from emu.livepatch.patch import Patcher
from emu.livepatch.transition import Transition


class ModuleObjects:
    """Applies the patches in use to a module that comes, and reverts them on one that goes.

    Args:
        guest: the patching CPU.
        patches: head of ``klp_patches``.
        init_object_loaded: klp_init_object_loaded.
        clear_object_relocs: klp_clear_object_relocs, which takes the names of the patch and of the object.
        patcher, callbacks, transition, log: of the same kernel.
    """

    def __init__(
        self,
        guest: Guest,
        patches: int,
        *,
        init_object_loaded: Callable[[View, View], int],
        clear_object_relocs: Callable[[str, str], None],
        patcher: Patcher,
        callbacks: Callbacks,
        transition: Transition,
        log: Log,
    ) -> None:
        self._guest, self._patches = guest, patches
        self._init_object_loaded, self._clear_object_relocs = init_object_loaded, clear_object_relocs
        self._patcher, self._callbacks, self._transition, self._log = patcher, callbacks, transition, log

    def klp_module_coming(self, module: Module) -> int:
        """Apply every patch in use to ``module``, oldest first.

        Returns:
            0, or the first error, with everything reverted on this module: it must not be loaded then.
        """
        if warn_on(self._guest, module.state is not ModuleState.COMING):
            return -EINVAL
        if module.name == VMLINUX:
            self._log.tell("vmlinux.ko: invalid module name")
            return -EINVAL
        module.klp_alive = True
        for patch, obj in self._objects_of(module):
            obj["mod"] = module.base
            ret = self._apply(module, patch, obj)
            if ret:
                self._log.tell(
                    f"patch '{self._name(patch)}' failed for module '{module.name}', "
                    f"refusing to load module '{module.name}'"
                )
                module.klp_alive = False
                obj["mod"] = 0
                self._revert(module, until=patch)
                return ret
        return 0

    def _apply(self, module: Module, patch: View, obj: View) -> int:
        name, log = self._name(patch), self._log
        ret = self._init_object_loaded(patch, obj)
        if ret:
            log.tell(f"failed to initialize patch '{name}' for module '{module.name}' ({ret})")
            return ret
        log.tell(f"applying patch '{name}' to loading module '{module.name}'")
        ret = self._callbacks.klp_pre_patch_callback(patch, obj)
        if ret:
            log.tell(f"pre-patch callback failed for object '{module.name}'")
            return ret
        ret = self._patcher.klp_patch_object(obj)
        if ret:
            log.tell(f"failed to apply patch '{name}' to module '{module.name}' ({ret})")
            self._callbacks.klp_post_unpatch_callback(patch, obj)
            return ret
        if not self._transition.is_of(patch):
            self._callbacks.klp_post_patch_callback(patch, obj)
        return 0

    def klp_module_going(self, module: Module) -> None:
        """Revert every patch in use on ``module``, which goes, or whose init function failed."""
        if warn_on(self._guest, module.state is ModuleState.LIVE):
            return
        module.klp_alive = False
        self._revert(module, until=None)

    def _revert(self, module: Module, *, until: View | None) -> None:
        for patch, obj in self._objects_of(module):
            if until is not None and patch.address == until.address:
                return
            if not self._transition.is_of(patch):
                self._callbacks.klp_pre_unpatch_callback(patch, obj)
            self._log.tell(f"reverting patch '{self._name(patch)}' on unloading module '{module.name}'")
            self._patcher.klp_unpatch_object(obj)
            self._callbacks.klp_post_unpatch_callback(patch, obj)
            self._clear_object_relocs(self._name(patch), module.name)
            self._free_object_loaded(obj)

    def _free_object_loaded(self, obj: View) -> None:
        """Forget what was looked up in the module: klp_free_object_loaded."""
        obj["mod"] = 0
        for func in for_each_func(self._guest, obj):
            func["old_func"] = 0
            if func["nop"]:
                func["new_func"] = 0

    def _objects_of(self, module: Module) -> Iterator[tuple[View, View]]:
        """Yield each patch in use that names ``module``, oldest first, with the object that does."""
        for patch in for_each_patch(self._guest, self._patches):
            for obj in for_each_object(self._guest, patch):
                if object_name(self._guest, obj) == module.name:
                    yield patch, obj
                    break

    def _name(self, patch: View) -> str:
        return patch_name(self._guest, patch)
