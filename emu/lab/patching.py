"""Enabling and disabling patches on a running machine, and their numbers in traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from emu.build.assembly_files import read_units
from emu.build.code_source import AssemblyFolder, Code, CodeSource
from emu.errors import EmuError, UnknownNameError
from emu.ftrace import Sites
from emu.kernel.errno import EBUSY, ENOENT
from emu.kernel.installer import Job
from emu.kernel.kallsyms import Kallsyms
from emu.kernel.kernel import Kernel
from emu.kernel.modules import Module
from emu.lab.declared import declared
from emu.lab.modules import ModuleLoader
from emu.lab.symbols import SymbolBook
from emu.livepatch import Livepatch, Patch, PatchFacts
from emu.trace.meta import PatchEntry

TRANSITION_WORK = "klp_transition_work"
"""Name of the job that tries again to complete a transition."""
REPLACEMENTS = "replacement"
"""Folder of the replacements that ship with klpemu, in ``asm/<port>``."""


class PatchHandle:
    """A patch that was asked for: use it to wait, to disable, and to find its calls in the trace.

    Attributes:
        id: its number in the ``patch`` column of calls.
        reasons: why functions of it can't be patched, when it was refused.
        klp_patch: guest address of its ``klp_patch``, by which `Livepatch` knows it; 0 before it was enabled.
    """

    def __init__(self, patching: Patching, patch: Patch, number: int, job: Job[int]) -> None:
        self.patch, self.id = patch, number
        self._patching, self._job = patching, job
        self.reasons: tuple[str, ...] = ()
        self.klp_patch = 0
        self.settled_at = -1
        """Furthest clock of any CPU, cycles, when the last enabling or disabling was complete; -1 before."""

    def settled(self) -> bool:
        """Whether what was asked for last is complete (or refused): no transition of it is under way."""
        return self._job.done and not self._patching.in_transition(self)

    def answered(self) -> bool:
        """Whether livepatch has answered, be a transition still under way or not: `result` is known."""
        return self._job.done

    @property
    def result(self) -> int:
        """0, or the negative errno that livepatch answered with; a `ValueError` before it is settled."""
        return min(self._job.result(), 0)

    def disable(self) -> PatchHandle:
        """Ask for the patch to be disabled; settled again when that is complete."""
        self._job = self._patching.submit_disable(self)
        return self


class Patching:
    """Livepatch for users of a machine.

    Args:
        kernel, klp, loader, kallsyms, sites, symbols: of the machine.

    Attributes:
        on_patch: told of each patch whose code has been placed, before anything calls it.
        refusals: why functions of a module can't be patched, of those that were refused for it, by name.
    """

    def __init__(
        self,
        kernel: Kernel,
        klp: Livepatch,
        loader: ModuleLoader,
        *,
        kallsyms: Kallsyms,
        sites: Sites,
        symbols: SymbolBook,
    ) -> None:
        self._kernel, self.core, self._loader = kernel, klp, loader
        self._kallsyms, self._sites, self._symbols = kallsyms, sites, symbols
        klp.on_settled = self._note_settled
        self._entries: list[PatchEntry] = [{"index": 0, "name": "original", "functions": {}}]
        self._handles: dict[str, PatchHandle] = {}
        self._numbered: dict[int, PatchHandle] = {}
        self.on_patch: Callable[[], None] = lambda: None
        self.refusals: dict[str, tuple[str, ...]] = {}

    def enable(self, patch: Patch | str) -> PatchHandle:
        """Ask the patching CPU to load and enable a patch.

        Args:
            patch: a patch of the manifest by name, or a `Patch`; one without objects means the manifest's of
                its name. Its code is that of the manifest's patch of its name, else the replacements
                ``lp_<function>`` that ship with klpemu.

        Raises:
            UnknownNameError: there is no such patch or replacement.
            EmuError: its code can't be read or compiled.
        """
        whole, number = self._whole(patch), len(self._entries)
        constants = {"KLP_VERSION": number}
        code = self._loader.code.read(self._source(whole), constants)
        self._entries.append({"index": number, "name": whole.name, "functions": {}})
        handle: PatchHandle

        def body() -> int:
            return self._enable(handle, code, constants)

        job = self._kernel.installer.submit(f"enable {whole.name}", body)
        handle = self._numbered[number] = PatchHandle(self, whole, number, job)
        return handle

    def replacements(self, patch: str, number: int, also: Mapping[str, int]) -> list[str]:
        """Return which replacements the code of a patch of the manifest has; nothing is enabled.

        Args:
            patch: its name.
            number: the one that it would be enabled under.
            also: symbols that its code may refer to besides those that are there.

        Raises:
            EmuError: its code can't be read or compiled.
        """
        source, objects = (
            self._loader.manifest.patches[patch].code,
            self._loader.manifest.patches[patch].objects,
        )
        if source is None:
            return self._shipped()
        constants = {"KLP_VERSION": number}
        code = self._loader.code.read(source, constants)
        image = self._loader.dry_run(
            patch, code, {**also, **constants}, foreign=self._loader.code.foreign(objects), livepatch=True
        )  # fmt: skip
        return [name for name, symbol in image.symbols.items() if symbol.size]

    def disable(self, patch: PatchHandle | str) -> PatchHandle:
        """Ask the patching CPU to disable a patch that was enabled, by handle or name."""
        if isinstance(patch, PatchHandle):
            return patch.disable()
        if patch not in self._handles:
            raise UnknownNameError("enabled patch", patch, sorted(self._handles))
        return self._handles[patch].disable()

    def facts(self) -> dict[str, PatchFacts]:
        """Return what /sys/kernel/livepatch would show."""
        return self.core.facts()

    def table(self) -> list[PatchEntry]:
        """Return the patches table of ``meta.json``."""
        return [entry.copy() for entry in self._entries]

    def name_of(self, number: int) -> str:
        """Return the name of the patch of that number, ``original`` for 0."""
        return self._entries[number]["name"]

    # --- work of the patching CPU ---------------------------------------------------------------

    def _enable(self, handle: PatchHandle, code: Code, constants: dict[str, int]) -> int:
        name, patch = handle.patch.name, handle.patch
        if not self._unload_disabled(name):
            return -EBUSY
        objects = [obj.name for obj in patch.objects if obj.name is not None]
        self.core.taint(name)
        ret = self._loader.place_patch(name, code, constants, self._loader.code.foreign(objects))
        if ret:
            return ret
        try:
            replacements = self._replacements(patch)
            self._note(handle, replacements)
            for _, address in replacements:
                if address in self._text_of(name):
                    place = self._kallsyms.containing(address)
                    size = 0 if place is None else place.symbol.size
                    self._kernel.watch_version(address, handle.id, size)
            ret = self.core.enable(patch, number=handle.id)
        except EmuError:
            self._loader.forget(name)
            raise
        if ret < 0:
            handle.reasons = self._reasons(replacements)
            self._loader.forget(name)
        else:
            handle.klp_patch = ret
            self._handles[name] = handle
        return ret

    def unload(self, name: str) -> Job[int]:
        """Unload a patch's module; the job's result is 0, -ENOENT, or -EAGAIN while it is in use."""

        def body() -> int:
            handle = self._handles.get(name)
            if handle is None:
                return -ENOENT
            ret = self.core.unload(handle.klp_patch)
            if not ret:
                self._loader.forget(name)
                del self._handles[name]
            return ret

        return self._kernel.installer.submit(f"unload {name}", body)

    def write_enabled(self, name: str, *, enabled: bool) -> Job[int]:
        """Write a patch's ``enabled`` file; the job's result is what `Core.enabled_store` returns."""
        return self._kernel.installer.submit(
            f"write {int(enabled)} to {name}/enabled",
            lambda: self.core.write_enabled(self.core.find(name), enabled=enabled),
        )

    def loaded(self) -> list[str]:
        """Return the names of the patches whose modules are loaded, in use or not."""
        return list(self._handles)

    def is_quiet(self) -> bool:
        """Whether no transition is under way and nothing is being done for livepatch."""
        return self.core.transition.patch is None and self._kernel.installer.idle

    def transition(self) -> object | None:
        """Return what tells the transition under way from the one before and after; None without any."""
        patch = self.core.transition.patch
        return None if patch is None else patch.address

    def in_transition(self, handle: PatchHandle) -> bool:
        """Whether a transition of the patch is under way, or what follows it."""
        patch = self.core.transition.patch
        under_way = patch is not None and patch.address == handle.klp_patch
        return under_way or self._kernel.installer.current == TRANSITION_WORK

    def _note_settled(self, number: int) -> None:
        handle = self._numbered.get(number)
        if handle is not None:  # else somebody enabled it without us
            handle.settled_at = self._kernel.furthest_clock()

    def module_coming(self, module: Module) -> int:
        """Have livepatch patch a module that comes, and enter what it patches; 0 or a negative errno."""
        inside = range(module.base, module.base + module.size)
        concerned = []
        for name in self.core.patches():
            handle = self._handles.get(name)
            if handle is not None:
                replacements = self._replacements(handle.patch)
                self._note(handle, replacements)
                concerned += [pair for pair in replacements if pair[0] in inside]
        ret = self.core.objects.klp_module_coming(module)
        self.refusals[module.name] = self._reasons(concerned) if ret else ()
        return ret

    def _note(self, handle: PatchHandle, replacements: list[tuple[int, int]]) -> None:
        """Enter which function the patch replaces by which, for who reads the trace."""
        name_at, functions = self._symbols.name_at, self._entries[handle.id]["functions"]
        functions |= {name_at(old): name_at(new) for old, new in replacements if old}
        if handle.patch.replace:  # what the patches before it cover gets a nop func
            for entry in self._entries[1 : handle.id]:
                for function in entry["functions"] if entry["name"] in self.core.patches() else ():
                    functions.setdefault(function, function)
        self.on_patch()

    def submit_disable(self, handle: PatchHandle) -> Job[int]:
        """Queue the disabling of a patch; the job's result is 0 or a negative errno."""

        def body() -> int:
            return self.core.disable(handle.klp_patch)

        return self._kernel.installer.submit(f"disable {handle.patch.name}", body)

    def _unload_disabled(self, name: str) -> bool:
        """Let go of a patch of that name that was disabled, as one must before it can be loaded again.

        Returns:
            False when a task is still inside it: without a consistency model nobody waits for those.
        """
        old = self._handles.get(name)
        if old is None or name in self.core.patches():
            return True
        if self._loader.occupied(name):
            return False
        if self.core.unload(old.klp_patch) == 0:
            self._loader.forget(name)
            del self._handles[name]
        return True

    def _replacements(self, patch: Patch) -> list[tuple[int, int]]:
        """Return the addresses of each function, 0 if its object is not loaded, and of its replacement.

        Raises:
            UnknownNameError: there is no such replacement.
        """
        image, pairs = self._loader.image(patch.name), []
        for obj in patch.objects:
            for func in obj.funcs:
                found = self._kallsyms.find(obj.name, func.old_name)[max(func.sympos, 1) - 1 :]
                new = func.new_func
                if isinstance(new, str):
                    symbols = {**self._kernel.image.symbols, **image.symbols}
                    if new not in symbols:
                        known = sorted(key for key, symbol in image.symbols.items() if symbol.size)
                        raise UnknownNameError(f"replacement in patch {patch.name}:", new, known)
                    new = symbols[new].address
                pairs.append((found[0].address if found else 0, new))
        return pairs

    def _reasons(self, replacements: list[tuple[int, int]]) -> tuple[str, ...]:
        """Return which of the functions can't be patched, and why."""
        entries = [(old, self._sites.entry_site(old)) for old, _ in replacements if old]
        name_at = self._kallsyms.name_at
        return tuple(f"{name_at(old)}: {entry.reason}" for old, entry in entries if entry.reason)

    def _text_of(self, name: str) -> range:
        base, code = self._loader.image(name).text[0]
        return range(base, base + len(code))

    def _whole(self, patch: Patch | str) -> Patch:
        name = patch if isinstance(patch, str) else patch.name
        if isinstance(patch, Patch) and patch.objects:
            return patch
        patches = self._loader.manifest.patches
        if name not in patches:
            raise UnknownNameError("patch", name, sorted(patches))
        whole = declared(patches[name])
        return replace(patch, objects=whole.objects) if isinstance(patch, Patch) else whole

    def _source(self, patch: Patch) -> CodeSource:
        """Return where the code is: as the manifest's patch of that name says, else with what ships."""
        listed = self._loader.manifest.patches.get(patch.name)
        if listed is not None and listed.code is not None:
            return listed.code
        return AssemblyFolder(folder=REPLACEMENTS, names=self._shipped_names(patch))

    def _shipped_names(self, patch: Patch) -> tuple[str, ...]:
        """Return the files of the replacements that ship with klpemu; others must be kernel symbols."""
        shipped, wanted = self._shipped(), dict[str, None]()
        for func in (func for obj in patch.objects for func in obj.funcs):
            if isinstance(func.new_func, str) and func.new_func not in self._kernel.image.symbols:
                if func.new_func not in shipped:
                    raise UnknownNameError("replacement", func.new_func, shipped)
                wanted[func.new_func.removeprefix("lp_")] = None
        return tuple(wanted)

    def _shipped(self) -> list[str]:
        return [f"lp_{unit.name}" for unit in read_units(self._kernel.port, REPLACEMENTS)]
