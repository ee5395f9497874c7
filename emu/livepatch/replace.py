"""Atomic replace: nop functions for what the new patch leaves out, and the end of the patches before it.

Source: kernel/livepatch/core.c, klp_add_nops, klp_unpatch_replaced_patches, klp_discard_nops and so on (6.1).
"""

from __future__ import annotations

from emu.kernel.bytes import store_string, string_size
from emu.kernel.errno import ENOMEM
from emu.kernel.guest import Guest, View
from emu.kernel.modules import Modules
from emu.livepatch.graph import (
    for_each_func,
    for_each_object,
    for_each_patch,
    func_name,
    object_name,
    patch_name,
)  # fmt: skip
from emu.livepatch.patch import Patcher
from emu.structs import KLP_FUNC, KLP_OBJECT


class Replace:
    """Makes nops and frees patches.

    Args:
        guest: the patching CPU.
        patches: head of ``klp_patches``.
        patcher: takes functions off their stacks.
        modules: whose references patches hold.
    """

    def __init__(self, guest: Guest, patches: int, patcher: Patcher, modules: Modules) -> None:
        self._guest, self._patches, self._patcher, self._modules = guest, patches, patcher, modules

    def klp_add_nops(self, patch: View) -> int:
        """Give ``patch`` a nop for every function that others replace and it does not; 0 or -ENOMEM."""
        for old_patch in for_each_patch(self._guest, self._patches):
            for old_obj in for_each_object(self._guest, old_patch):
                ret = self._add_object_nops(patch, old_obj)
                if ret:
                    return ret
        return 0

    def _add_object_nops(self, patch: View, old_obj: View) -> int:
        guest, name = self._guest, object_name(self._guest, old_obj)
        found = [o for o in for_each_object(guest, patch) if object_name(guest, o) == name]
        obj = found[0] if found else self._alloc_object(patch, name)
        if obj is None:
            return -ENOMEM
        for old_func in for_each_func(guest, old_obj):
            wanted = func_name(guest, old_func), old_func["old_sympos"]
            covered = [(func_name(guest, f), f["old_sympos"]) for f in for_each_func(guest, obj)]
            if wanted not in covered and not self._alloc_nop(obj, *wanted):
                return -ENOMEM
        return 0

    def _alloc_object(self, patch: View, name: str | None) -> View | None:
        text = name or ""
        address = self._guest.alloc(KLP_OBJECT.size + string_size(text), "klp_object dynamic")
        if not address:
            return None
        obj = View(self._guest, KLP_OBJECT, address)
        if name is not None:
            store_string(self._guest, address + KLP_OBJECT.size, name, "object name")
            obj["name"] = address + KLP_OBJECT.size
        obj["dynamic"] = 1
        self._guest.list_init(obj.at("func_list.next"))
        self._guest.list_add_tail(obj.at("node.next"), patch.at("obj_list.next"))
        return obj

    def _alloc_nop(self, obj: View, name: str, sympos: int) -> bool:
        address = self._guest.alloc(KLP_FUNC.size + string_size(name), "klp_func nop")
        if not address:
            return False
        func = View(self._guest, KLP_FUNC, address)
        store_string(self._guest, address + KLP_FUNC.size, name, "function name")
        func["old_name"] = address + KLP_FUNC.size
        self._guest.list_add_tail(func.at("node.next"), obj.at("func_list.next"))
        # new_func becomes old_func once the object is loaded: klp_init_object_loaded
        func["old_sympos"] = sympos
        func["nop"] = 1
        return True

    def klp_unpatch_replaced_patches(self, new_patch: View) -> None:
        """Disable every patch before ``new_patch`` and take its functions off their stacks."""
        for old_patch in for_each_patch(self._guest, self._patches):
            if old_patch.address == new_patch.address:
                return
            old_patch["enabled"] = 0
            self._patcher.klp_unpatch_objects(old_patch)

    def klp_discard_nops(self, patch: View) -> None:
        """Remove the nops of ``patch`` and free them.

        Each is the last of its stack by now, so unregister_ftrace_function has waited for the handlers.
        """
        self._patcher.klp_unpatch_objects_dynamic(patch)
        self.klp_free_objects(patch, nops_only=True)

    def klp_free_objects(self, patch: View, *, nops_only: bool) -> None:
        """Unlink objects and functions of ``patch``, all or those made for nops, and free the latter."""
        guest = self._guest
        for obj in for_each_object(guest, patch):
            for func in for_each_func(guest, obj):
                if nops_only and not func["nop"]:
                    continue
                guest.list_del(func.at("node.next"))
                if func["nop"]:
                    guest.free(func.address, "klp_func nop")
            if nops_only and not obj["dynamic"]:
                continue
            guest.list_del(obj.at("node.next"))
            if obj["dynamic"]:
                guest.free(obj.address, "klp_object dynamic")

    def mark_replaced_forced(self, new_patch: View) -> None:
        """Note of every patch before ``new_patch`` that tasks were forced off it: it can't be unloaded."""
        for old_patch in for_each_patch(self._guest, self._patches):
            if old_patch.address == new_patch.address:
                return
            old_patch["forced"] = 1

    def klp_free_patch(self, patch: View) -> None:
        """Let go of a patch that is in use nowhere, and of its module unless a transition was forced.

        Linux does the second half from a workqueue; here it happens at once.
        """
        self.klp_free_patch_start(patch)
        self.klp_free_patch_finish(patch)

    def klp_free_patch_start(self, patch: View) -> None:
        """Take ``patch`` off ``klp_patches`` and unlink its objects."""
        node = patch.at("list.next")
        if patch["list.next"] != node:  # not empty: klp_init_patch got as far as adding it
            self._guest.list_del(node)
        self.klp_free_objects(patch, nops_only=False)

    def klp_free_patch_finish(self, patch: View) -> None:
        """Put the module reference that klp_enable_patch took."""
        if not patch["forced"]:
            self._modules.put(patch_name(self._guest, patch))

    def klp_free_replaced_patches(self, new_patch: View) -> None:
        """Free every patch before ``new_patch``."""
        for old_patch in for_each_patch(self._guest, self._patches):
            if old_patch.address == new_patch.address:
                return
            self.klp_free_patch(old_patch)
