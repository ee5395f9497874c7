"""Enabling and disabling patches.

Functions, order of effects, return codes and messages are those of kernel/livepatch/core.c (6.1).
There is one patching CPU, so klp_mutex has nothing to guard.
"""

from __future__ import annotations

from collections.abc import Callable

from emu.build.contents import VMLINUX
from emu.kernel.errno import EBUSY, EINVAL, ENODEV, ENOENT
from emu.kernel.guest import Guest, View
from emu.kernel.kallsyms import Kallsyms
from emu.kernel.modules import Module, Modules
from emu.kernel.warn import warn_on
from emu.livepatch.callbacks import Callbacks
from emu.livepatch.flavour import Flavour
from emu.livepatch.graph import (
    LoadedPatch,
    for_each_func,
    for_each_object,
    for_each_patch,
    func_directory,
    func_name,
    is_object_loaded,
    object_directory,
    object_name,
    patch_name,
)  # fmt: skip
from emu.livepatch.kobjects import Kobjects
from emu.livepatch.log import Log
from emu.livepatch.patch import Patcher
from emu.livepatch.relocations import Relocations
from emu.livepatch.replace import Replace
from emu.livepatch.state import klp_is_patch_compatible
from emu.livepatch.symbols import KSYM_NAME_LEN, MODULE_NAME_LEN, klp_find_object_symbol
from emu.livepatch.transition import PatchState, Transition
from emu.machine.operations import Barrier
from emu.structs import KLP_OBJECT


class Core:
    """The functions of core.c, on one kernel.

    Args:
        guest: the patching CPU.
        patches: head of ``klp_patches``.
        loaded: what is known of each loaded patch, by the address of its klp_patch.
        kallsyms, modules, patcher, replace, relocations, callbacks, transition, log: of the same kernel.
        flavour: which Linux it behaves like.
        mark: (kind, patch, second operand) -> None; records an event.
    """

    def __init__(
        self,
        guest: Guest,
        *,
        patches: int,
        kallsyms: Kallsyms,
        modules: Modules,
        loaded: dict[int, LoadedPatch],
        patcher: Patcher,
        replace: Replace,
        relocations: Relocations,
        callbacks: Callbacks,
        transition: Transition,
        log: Log,
        flavour: Flavour,
        mark: Callable[[str, View, int], None],
    ) -> None:
        self._guest, self._patches, self._kallsyms, self._modules = guest, patches, kallsyms, modules
        self._loaded, self._patcher, self._replace = loaded, patcher, replace
        self._relocations, self._flavour = relocations, flavour
        self._callbacks, self._transition, self._log, self._mark = callbacks, transition, log, mark

    def patches(self) -> list[View]:
        """Return the patches in use, oldest first: ``klp_patches``."""
        return list(for_each_patch(self._guest, self._patches))

    def klp_enable_patch(self, loaded: LoadedPatch) -> int:
        """Initialise and enable the patch that a module brings; 0, or an error with nothing left behind."""
        patch, guest = loaded.view, self._guest
        if not patch["mod"] or not patch["objs"]:
            return -EINVAL
        if any(not View(guest, KLP_OBJECT, obj)["funcs"] for obj in loaded.objects):
            return -EINVAL
        name = patch_name(guest, patch)
        module = self._modules.find(name)
        if module is None or not module.livepatch:
            self._log.tell(f"module {name} is not marked as a livepatch module")
            return -EINVAL
        in_use = [self._loaded[old.address].patch for old in self.patches()]
        if not klp_is_patch_compatible(loaded.patch, in_use):
            self._log.tell(
                f"Livepatch patch ({name}) is not compatible with the already installed livepatches."
            )
            return -EINVAL
        if not self._modules.try_get(name):
            return -ENODEV
        self.klp_init_patch_early(loaded)
        ret = self.klp_init_patch(patch)
        if not ret:
            ret = self._enable(patch)
        if ret:
            self._replace.klp_free_patch(patch)
        return ret

    def klp_init_patch_early(self, loaded: LoadedPatch) -> None:
        """Link the patch's objects and functions into their lists; this can't fail."""
        guest, patch = self._guest, loaded.view
        guest.list_init(patch.at("list.next"))
        guest.list_init(patch.at("obj_list.next"))
        patch["enabled"] = 0
        patch["forced"] = 0
        for address in loaded.objects:
            obj = View(guest, KLP_OBJECT, address)
            guest.list_init(obj.at("func_list.next"))
            guest.list_add_tail(obj.at("node.next"), patch.at("obj_list.next"))
            for func in loaded.funcs[address]:
                guest.list_add_tail(func.at("node.next"), obj.at("func_list.next"))

    def klp_init_patch(self, patch: View) -> int:
        """Find everything the patch names and enter it last in ``klp_patches``."""
        if patch["replace"]:
            ret = self._replace.klp_add_nops(patch)
            if ret:
                return ret
        kobjects = Kobjects(self._guest, patch_name(self._guest, patch), self._flavour)
        for obj in for_each_object(self._guest, patch):
            ret = self.klp_init_object(patch, obj, kobjects)
            if ret:
                return ret
        self._guest.list_add_tail(patch.at("list.next"), self._patches)
        return 0

    def klp_init_object(self, patch: View, obj: View, kobjects: Kobjects) -> int:
        """Prepare one object, and look up its functions if it is loaded."""
        name = object_name(self._guest, obj)
        if name is not None and len(name) >= MODULE_NAME_LEN:
            return -EINVAL
        obj["patched"] = 0
        obj["mod"] = 0
        self._find_object_module(obj, name)
        directory = name or VMLINUX
        ret = kobjects.kobject_add(directory)
        if ret:
            return ret
        for func in for_each_func(self._guest, obj):
            ret = self.klp_init_func(func, directory, kobjects)
            if ret:
                return ret
        return self.klp_init_object_loaded(patch, obj) if is_object_loaded(obj) else 0

    def _find_object_module(self, obj: View, name: str | None) -> None:
        module = self._modules.find(name) if name is not None else None
        # a module that has not been through klp_module_coming yet will be given to us there
        if module is not None and module.klp_alive:
            obj["mod"] = module.base

    def klp_init_func(self, func: View, directory: str, kobjects: Kobjects) -> int:
        """Prepare one function of the object with that ``directory`` in sysfs."""
        name = func_name(self._guest, func)
        if not name or not (func["new_func"] or func["nop"]) or len(name) >= KSYM_NAME_LEN:
            return -EINVAL
        self._guest.list_init(func.at("stack_node.next"))
        func["patched"] = 0
        func["transition"] = 0
        return kobjects.kobject_add(directory, func_directory(name, func["old_sympos"]))

    def klp_init_object_loaded(self, patch: View, obj: View) -> int:
        """Relocate what refers to the object, and look up the addresses and sizes of its functions."""
        name = object_name(self._guest, obj)
        if name is not None:  # what refers to vmlinux was relocated when the patch module was loaded
            ret = self._relocations.klp_apply_object_relocs(self._patch_module(patch), name)
            if ret:
                return ret
        for func in for_each_func(self._guest, obj):
            old_name = func_name(self._guest, func)
            symbol = klp_find_object_symbol(
                self._kallsyms, self._log, name, old_name, func["old_sympos"]
            )  # fmt: skip
            func["old_func"] = symbol.address if symbol is not None else 0
            if symbol is None:
                return -EINVAL
            if not symbol.size:
                self._log.tell(f"kallsyms size lookup failed for '{old_name}'")
                return -ENOENT
            func["old_size"] = symbol.size
            if func["nop"]:
                func["new_func"] = symbol.address
            place = self._kallsyms.containing(func["new_func"])
            if place is None:
                self._log.tell(f"kallsyms size lookup failed for '{old_name}' replacement")
                return -ENOENT
            func["new_size"] = place.symbol.size
        return 0

    def _patch_module(self, patch: View) -> Module:
        module = self._modules.find(patch_name(self._guest, patch))
        assert module is not None, "a patch in use holds its module"
        return module

    def _enable(self, patch: View) -> int:
        guest, transition = self._guest, self._transition
        if transition.patch is not None:
            return -EBUSY
        if warn_on(guest, patch["enabled"]):
            return -EINVAL
        self._log.tell(f"enabling patch '{patch_name(guest, patch)}'")
        self._mark("ENABLE", patch, patch["replace"])
        transition.klp_init_transition(patch, PatchState.PATCHED)
        # Pairs with smp_rmb no. 1 in klp_ftrace_handler: who finds a func on the stack must see its mark.
        guest.barrier(Barrier.WMB, "smp_wmb __klp_enable_patch")
        for obj in for_each_object(guest, patch):
            if is_object_loaded(obj):
                ret = self._apply(patch, obj)
                if ret:
                    self._log.tell(f"failed to enable patch '{patch_name(guest, patch)}'")
                    transition.klp_cancel_transition()
                    return ret
        transition.klp_start_transition()
        patch["enabled"] = 1
        transition.klp_try_complete_transition()
        return 0

    def _apply(self, patch: View, obj: View) -> int:
        ret = self._callbacks.klp_pre_patch_callback(patch, obj)
        failure = "pre-patch callback failed for" if ret else "failed to patch"
        if not ret:
            ret = self._patcher.klp_patch_object(obj)
        if ret:
            self._log.tell(f"{failure} object '{object_directory(self._guest, obj)}'")
        return ret

    def klp_disable_patch(self, patch: View) -> int:
        """Start the way back: 0, -EINVAL when it is not enabled (WARN), -EBUSY during a transition."""
        guest, transition = self._guest, self._transition
        if warn_on(guest, not patch["enabled"]):
            return -EINVAL
        if transition.patch is not None:
            return -EBUSY
        self._mark("DISABLE", patch, 0)
        transition.klp_init_transition(patch, PatchState.UNPATCHED)
        for obj in for_each_object(guest, patch):
            if obj["patched"]:
                self._callbacks.klp_pre_unpatch_callback(patch, obj)
        # func->transition before TIF_PATCH_PENDING: pairs with klp_update_patch_state, after which the
        # same task may enter klp_ftrace_handler.
        guest.barrier(Barrier.WMB, "smp_wmb __klp_disable_patch")
        transition.klp_start_transition()
        patch["enabled"] = 0
        transition.klp_try_complete_transition()
        return 0

    def enabled_store(self, patch: View, *, enabled: bool) -> int:
        """Write a patch's ``enabled`` file: 0 or an error; a disabled patch can't be enabled again."""
        if bool(patch["enabled"]) == enabled:
            return -EINVAL
        if self._transition.is_of(patch):
            self._transition.klp_reverse_transition()
            return 0
        return self.klp_disable_patch(patch) if not enabled else -EINVAL

    def force_store(self, patch: View, *, force: bool) -> int:
        """Write a patch's ``force`` file: 0, or -EINVAL when there is nothing to force."""
        if not force:
            return 0
        if not self._transition.is_of(patch):
            return -EINVAL
        self._transition.klp_force_transition()
        return 0
