"""Livepatching as its user sees it: load, enable, disable, unload patches, and read what sysfs would show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emu.errors import UnknownNameError
from emu.ftrace import Ftrace, TextPoke
from emu.kernel.errno import EAGAIN, EEXIST, ENOENT, ENOMEM
from emu.kernel.guest import Guest, View
from emu.kernel.kallsyms import Kallsyms
from emu.kernel.modules import Module, Modules
from emu.livepatch.announce import Announcer
from emu.livepatch.callbacks import Callbacks
from emu.livepatch.core import Core
from emu.livepatch.flavour import LINUX_6_1, Flavour
from emu.livepatch.graph import (
    LoadedPatch,
    for_each_func,
    for_each_object,
    func_directory,
    func_name,
    load_graph,
    object_directory,
)  # fmt: skip
from emu.livepatch.log import Log
from emu.livepatch.model import Func, Patch
from emu.livepatch.module_objects import ModuleObjects
from emu.livepatch.parts import RIGHT, Parts
from emu.livepatch.relocations import Relocations
from emu.livepatch.replace import Replace
from emu.livepatch.shadow import Shadow
from emu.livepatch.state import States
from emu.livepatch.transition import PatchState, Scheduler, Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectState:
    """What sysfs shows of an object; ``functions`` are its directories, ``name,position``."""

    patched: bool
    functions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchFacts:
    """What sysfs shows of a patch."""

    enabled: bool
    transition: bool
    replace: bool
    stack_order: int
    objects: dict[str, ObjectState]


class Livepatch:
    """The livepatch core of one kernel. Everything that changes the guest is work of the patching CPU.

    Args:
        guest: the patching CPU.
        ftrace: of the same kernel.
        kallsyms, modules: of the same kernel.
        sched: the tasks that switch.
        retry: has a function run about a second later, see `Transition`.
        debug: the log holds the debug lines too.
        save_regs: see `Patcher`.
        flavour: which Linux it behaves like.
        parts: what to put in place of a part of it.
    """

    def __init__(
        self,
        guest: Guest,
        ftrace: Ftrace,
        kallsyms: Kallsyms,
        modules: Modules,
        *,
        sched: Scheduler,
        retry: Callable[[Callable[[], None]], None],
        debug: bool = False,
        save_regs: bool = False,
        flavour: Flavour = LINUX_6_1,
        parts: Parts = RIGHT,
    ) -> None:
        self._guest, self._kallsyms, self._modules = guest, kallsyms, modules
        self.log = Log(guest, debug=debug)
        self._loaded: dict[int, LoadedPatch] = {}
        self._tainted = False
        self.on_settled: Callable[[int], None] = lambda _number: None
        """Told the number of each patch whose transition is complete."""
        patches = guest.alloc(16, "klp_patches")
        assert patches, "no room for klp_patches at boot"
        self.patcher = parts.patcher(guest, ftrace, self.log, save_regs=save_regs)
        replace = Replace(guest, patches, self.patcher, modules)
        self.relocations = Relocations(
            guest, kallsyms, modules, TextPoke(guest, kallsyms), self.log, flavour
        )  # fmt: skip
        self.shadow = Shadow(guest, ftrace.rcu, self.log)
        self.states = States(guest, patches, lambda: self.transition.patch)
        callbacks = Callbacks(guest, modules, self._loaded, Announcer(guest, self.states))
        self.transition = Transition(
            guest, target_state=kallsyms.address_of("klp_target_state"), patcher=self.patcher,
            replace=replace, callbacks=callbacks, rcu=ftrace.rcu, sched=sched, log=self.log,
            mark=self._mark, retry=retry, check_stack=parts.check_stack,
        )  # fmt: skip
        self.core = Core(
            guest, patches=patches, kallsyms=kallsyms, modules=modules, loaded=self._loaded,
            patcher=self.patcher, replace=replace, relocations=self.relocations, callbacks=callbacks,
            transition=self.transition, log=self.log, flavour=flavour, mark=self._mark,
        )  # fmt: skip
        self.objects = ModuleObjects(
            guest, patches, init_object_loaded=self.core.klp_init_object_loaded,
            clear_object_relocs=self.relocations.klp_clear_object_relocs, patcher=self.patcher,
            callbacks=callbacks, transition=self.transition, log=self.log,
        )  # fmt: skip
        guest.list_init(patches)
        guest.list_init(self.patcher.klp_ops)
        self.transition.set_target(PatchState.UNDEFINED)

    def enable(self, patch: Patch, *, number: int = 0) -> int:
        """Load the module of ``patch``, which enables it.

        Args:
            patch: the declaration.
            number: what the ENABLE, DISABLE and SETTLED events of this patch carry.

        Returns:
            The patch's handle, greater than 0; or a negative error, with nothing left behind: -EEXIST (its
            module is loaded already), -ENOMEM, or what `Relocations.apply_relocations` and
            `Core.klp_enable_patch` return.
        """
        if any(loaded.patch.name == patch.name for loaded in self._loaded.values()):
            return -EEXIST
        loaded = load_graph(self._guest, patch, self._resolve)
        if loaded is None:
            return -ENOMEM
        loaded.number = number
        module = self._modules.find(patch.name)
        if module is None:
            module = Module(name=patch.name, livepatch=True)
            self._modules.add(module)
            loaded.own_module = True
        self.taint(patch.name)
        self._loaded[loaded.view.address] = loaded
        ret = self.relocations.apply_relocations(module)
        if not ret:
            ret = self.core.klp_enable_patch(loaded)
        if ret:
            self._forget(loaded)
            return ret
        return loaded.view.address

    def taint(self, name: str) -> None:
        """Say once that a livepatch module comes: before it is linked. Source: check_modinfo_livepatch."""
        if not self._tainted:
            self._tainted = True
            self._guest.log(f"{name}: tainting kernel with TAINT_LIVEPATCH")

    def disable(self, handle: int) -> int:
        """Write 0 to the patch's ``enabled``: 0, -ENOENT when it is not in use, -EINVAL, or -EBUSY."""
        return self.write_enabled(handle, enabled=False)

    def write_enabled(self, handle: int, *, enabled: bool) -> int:
        """Write the patch's ``enabled`` file; see `Core.enabled_store`."""
        in_use = {view.address: view for view in self.core.patches()}
        if handle not in in_use:
            return -ENOENT
        return self.core.enabled_store(in_use[handle], enabled=enabled)

    def unload(self, handle: int) -> int:
        """Unload the patch's module: 0, -ENOENT when it is not loaded, -EAGAIN while it is in use."""
        loaded = self._loaded.get(handle)
        if loaded is None:
            return -ENOENT
        module = self._modules.find(loaded.patch.name)
        if module is not None and module.refs:
            return -EAGAIN
        self._forget(loaded)
        return 0

    def _forget(self, loaded: LoadedPatch) -> None:
        del self._loaded[loaded.view.address]
        if loaded.own_module:
            self._modules.remove(loaded.patch.name)
        self._guest.free(loaded.view.address, f"module {loaded.patch.name}")

    def _mark(self, what: str, view: View, detail: int) -> None:
        if what == "SETTLED":
            self.on_settled(self._loaded[view.address].number)
        self._guest.mark(what, self._loaded[view.address].number, detail)

    def _resolve(self, patch: Patch, func: Func) -> int:
        """Return a replacement's address; a name is looked up in the patch module, then in the kernel."""
        if isinstance(func.new_func, int):
            return func.new_func
        for owner in (patch.name, None):
            found = self._kallsyms.find(owner, func.new_func)
            if found:
                return found[0].address
        raise UnknownNameError(
            "replacement", func.new_func, [symbol.name for symbol in self._kallsyms.symbols(patch.name)]
        )

    def name_of(self, patch: View) -> str:
        """Return the name of a loaded patch."""
        return self._loaded[patch.address].patch.name

    def find(self, name: str) -> int:
        """Return the handle of the loaded patch called ``name``, or -ENOENT."""
        for handle, loaded in self._loaded.items():
            if loaded.patch.name == name:
                return handle
        return -ENOENT

    def patches(self) -> list[str]:
        """Return the names of the patches in use, oldest first."""
        return [self._loaded[view.address].patch.name for view in self.core.patches()]

    def facts(self) -> dict[str, PatchFacts]:
        """Return what /sys/kernel/livepatch would show: a directory per patch in use."""
        return {
            self._loaded[view.address].patch.name: self._facts_of(view, order)
            for order, view in enumerate(self.core.patches(), 1)
        }

    def _facts_of(self, view: View, order: int) -> PatchFacts:
        objects = {
            object_directory(self._guest, obj): ObjectState(
                patched=bool(obj["patched"]),
                functions=tuple(
                    func_directory(func_name(self._guest, func), func["old_sympos"])
                    for func in for_each_func(self._guest, obj)
                ),
            )
            for obj in for_each_object(self._guest, view)
        }
        return PatchFacts(
            enabled=bool(view["enabled"]),
            transition=self.transition.is_of(view),
            replace=bool(view["replace"]),
            stack_order=order,
            objects=objects,
        )
