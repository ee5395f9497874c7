"""Loading and unloading modules and patch modules on a running machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emu.build.code_source import Code
from emu.build.contents import Call, Manifest
from emu.build.image import Image
from emu.build.klp import Foreign
from emu.build.memory_map import MODULE_DATA, Area
from emu.errors import UnknownNameError
from emu.ftrace import Ftrace
from emu.kernel.errno import EAGAIN, EBUSY, EEXIST, ENOENT, ENOMEM
from emu.kernel.heap import Heap
from emu.kernel.kallsyms import Kallsyms
from emu.kernel.kernel import Kernel
from emu.kernel.modules import KlpInfo, Module, Modules, ModuleState
from emu.kernel.symbols import kernel_symbols
from emu.kernel.text_area import TextArea
from emu.lab.calls import check_room
from emu.lab.module_code import NOTHING_FOREIGN, ModuleCode, Wanted
from emu.lab.module_work import NO_WORK, ModuleWork, Parameters
from emu.units import page_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A module in memory.

    Args:
        image: it.
        area: whose text it is in.
        base, data: start of its text and data; data 0 = none.
        calls: what workers call in it, with addresses.
    """

    image: Image
    area: TextArea
    base: int
    data: int
    calls: tuple[tuple[Call, int], ...]


class ModuleLoader:
    """insmod and rmmod of one machine.

    Args:
        kernel, ftrace, kallsyms, modules: of the machine.
        manifest: which modules there are.
        near: where patch modules go, and modules unless ``far``.
        far: where modules go when they shall be out of reach of a direct call; None = near.

    Attributes:
        manifest: may be exchanged for one that has more modules.
        data: where modules' data is.
        on_module: told of each module that appears, before any CPU can call it.
        apply_relocations, klp_module_coming, klp_module_going: livepatch's part.
        module_going: the notifier of a module that goes, called before livepatch's.
        works: what modules do when they are loaded and unloaded, by name.
        code: reads and builds what they consist of.
    """

    def __init__(
        self,
        kernel: Kernel,
        ftrace: Ftrace,
        kallsyms: Kallsyms,
        modules: Modules,
        *,
        manifest: Manifest,
        near: TextArea,
        far: TextArea | None,
    ) -> None:
        self._kernel, self._ftrace, self._kallsyms, self._modules = kernel, ftrace, kallsyms, modules
        self.manifest, self._near, self._far = manifest, near, far
        self.data = Heap(kernel.engine, MODULE_DATA)
        self.on_module: Callable[[Module, Image], None] = lambda _module, _image: None
        self.apply_relocations: Callable[[Module], int] = lambda _module: 0
        self.klp_module_coming: Callable[[Module], int] = lambda _module: 0
        self.klp_module_going: Callable[[Module], None] = lambda _module: None
        self.module_going: Callable[[Module], None] = lambda _module: None
        self.works: Mapping[str, ModuleWork] = {}
        self._loaded: dict[str, Loaded] = {}
        self.code = ModuleCode(
            kernel, manifest=lambda: self.manifest, images=self._exporting,
            call_ops=lambda: ftrace.trampolines.call_ops,
        )  # fmt: skip

    # --- asking ---------------------------------------------------------------------------------

    def image(self, name: str) -> Image:
        """Return the image of a loaded module."""
        return self._loaded[name].image

    def _exporting(self) -> dict[str, Image]:
        """Return the images of modules that others may refer to: nobody refers to patches."""
        found = {}
        for name, loaded in self._loaded.items():
            module = self._modules.find(name)
            if module is not None and not module.livepatch:
                found[name] = loaded.image
        return found

    def dry_run(
        self,
        name: str,
        code: Code,
        also: Mapping[str, int],
        *,
        foreign: Mapping[str, Foreign] = NOTHING_FOREIGN,
        livepatch: bool = False,
    ) -> Image:
        """Return the image of a module without putting it anywhere.

        Args:
            name, code, foreign, livepatch: as for `place`.
            also: symbols that it may refer to besides those that are there.

        Raises:
            EmuError: the code is no good, or refers to what is not there.
        """
        area = self._near if livepatch else self._far or self._near
        wanted = Wanted(name=name, code=code, constants=also, foreign=foreign)
        return self.code.build(wanted, area.area, MODULE_DATA)

    # --- insmod ---------------------------------------------------------------------------------

    def load(self, name: str, code: Code, parameters: Parameters) -> int:
        """insmod, as work of the patching CPU.

        Returns:
            0; what `place`, a patch that refuses the module, or its init function returned.

        Raises:
            EmuError: see `place`; or a call names a function that is not there.
        """
        calls = self.manifest.modules[name].calls
        ret = self.place(name, code, area=self._far or self._near, calls=calls)
        if ret:
            return ret
        module = self._module(name)
        ret = self.apply_relocations(module) or self.klp_module_coming(module)
        if not ret:
            ret = self.works.get(name, NO_WORK).init(parameters)
            if ret:
                module.state = ModuleState.GOING
                self._kernel.guest.synchronize_rcu("a module whose init failed")
                self._going(module)
        if ret:
            self.forget(name)
            return ret
        module.state = ModuleState.LIVE
        self.offer_calls()
        return 0

    def _going(self, module: Module) -> None:
        self.module_going(module)  # in this order. Source: kernel/module/main.c, delete_module (6.1)
        self.klp_module_going(module)

    def _module(self, name: str) -> Module:
        module = self._modules.find(name)
        assert module is not None, f"{name} has just been added"
        return module

    def place_patch(
        self, name: str, code: Code, constants: Mapping[str, int], foreign: Mapping[str, Foreign]
    ) -> int:
        """Place a patch module, live at once: 0, or what `place` returns."""
        ret = self.place(name, code, area=self._near, constants=constants, foreign=foreign, livepatch=True)
        if not ret:
            self._module(name).state = ModuleState.LIVE
        return ret

    def place(
        self,
        name: str,
        code: Code,
        *,
        area: TextArea,
        constants: Mapping[str, int] | None = None,
        calls: Sequence[Call] = (),
        foreign: Mapping[str, Foreign] = NOTHING_FOREIGN,
        livepatch: bool = False,
    ) -> int:
        """Put a module in memory, and enter its symbols and sites.

        Args:
            name, code: of it.
            area: where its text goes.
            constants: further equates.
            calls: what workers call in it.
            foreign: symbols of other modules that livepatch looks up once these are there.
            livepatch: it is a patch module.

        Returns:
            0, -EEXIST, -ENOMEM, -ENOENT when it refers to what is not there, which the log then names, or
            -EINVAL when a site is not what the module's table says; after an error nothing is left.

        Raises:
            EmuError: the code is no good.
        """
        if name in self._loaded:
            return -EEXIST
        wanted = Wanted(name=name, code=code, constants=constants or {}, foreign=foreign)
        trial, unknown = self.code.try_out(wanted, area.area, MODULE_DATA)
        for symbol in unknown:  # Source: kernel/module/main.c, simplify_symbols (6.1)
            self._kernel.guest.log(f"{name}: Unknown symbol {symbol} (err {-ENOENT})")
        if unknown:
            return -ENOENT
        self._calls_of(name, trial, calls)
        plt_size = self._ftrace.trampolines.plt_size()
        room, data_room = len(trial.text[0][1]) + 16 + plt_size, _data_size(trial)
        base = area.allocate(room)
        data = self.data.allocate(page_up(data_room), f"data of module {name}") if base and data_room else 0
        if not base or (data_room and not data):
            self._give_back(area, base, data)
            return -ENOMEM
        text = Area(name=name, base=base, size=room, kind="text")
        data_area = Area(name=name, base=data or MODULE_DATA.base, size=page_up(data_room), kind="data")
        image = self.code.build(wanted, text, data_area)
        self._loaded[name] = Loaded(
            image=image, area=area, base=base, data=data, calls=self._calls_of(name, image, calls)
        )
        plt = base + -(-len(image.text[0][1]) // 16) * 16 if plt_size else 0
        return self._enter(
            Module(
                name=name,
                base=base,
                size=room,
                plt=plt,
                state=ModuleState.COMING,
                livepatch=livepatch,
                klp_info=KlpInfo(sections=image.klp_sections),
                uses=self.code.uses(wanted, image),
            )
        )

    def _calls_of(self, name: str, image: Image, calls: Sequence[Call]) -> tuple[tuple[Call, int], ...]:
        others = [call for other, loaded in self._loaded.items() if other != name for call, _ in loaded.calls]
        check_room([*self.manifest.calls, *others, *calls])
        symbols = {**self._kernel.image.symbols, **image.symbols}
        for call in calls:
            if call.fn not in symbols:
                known = sorted(key for key, symbol in image.symbols.items() if symbol.size)
                raise UnknownNameError(f"function in modules.{name}.calls", call.fn, known)
        return tuple((call, symbols[call.fn].address) for call in calls)

    def _enter(self, module: Module) -> int:
        """Let a placed module appear: its memory, then its symbols, then its sites."""
        kernel, name = self._kernel, module.name
        image = self._loaded[name].image

        def appear() -> int:
            kernel.load_image(image)
            self._modules.add(module)
            self._kallsyms.add(name, kernel_symbols(image, name))
            kernel.event_module(module.base, module.size, loaded=True)
            self.on_module(module, image)
            return 0

        kernel.guest.callback("module text", appear)
        ret = self._ftrace.ftrace_module_init(name, kernel.mcount_locations(image))
        if ret:
            self.forget(name)
        elif not module.livepatch:
            for function, site in image.sites.items():
                if function in image.symbols:
                    symbol = image.symbols[function]
                    kernel.watch_function(symbol.address, self._ftrace.sites.behind(site), symbol.size)
        return ret

    # --- rmmod ----------------------------------------------------------------------------------

    def unload(self, name: str) -> int:
        """rmmod, as work of the patching CPU: 0, -ENOENT, -EAGAIN while held, or -EBUSY while occupied."""
        module = self._modules.find(name)
        if module is None or name not in self._loaded:
            return -ENOENT
        if module.refs:  # by modules that use it, among others
            return -EAGAIN
        module.state = ModuleState.GOING
        self.offer_calls()
        text = range(module.base, module.base + module.size)
        self._kernel.guest.wait_for(
            lambda: self._kernel.grace_periods.out_of(text), "tasks out of the module"
        )
        if self.occupied(name):
            module.state = ModuleState.LIVE
            self.offer_calls()
            return -EBUSY
        self.works.get(name, NO_WORK).exit()
        self._going(module)
        self.forget(name)
        return 0

    def occupied(self, name: str) -> bool:
        """Whether a task is inside a traced function of the module, asleep say; the log then names it."""
        engine, base = self._kernel.engine, self._loaded[name].base
        calls = engine.open_calls()
        size = sum(len(code) for _, code in self._loaded[name].image.text)
        inside = calls[(calls["target"] >= base) & (calls["target"] < base + size)]
        if len(inside):
            task = self._kernel.tasks[int(inside["task"][0])]
            self._kernel.guest.log(
                f"klpemu: can't unload module '{name}': {task.comm} (pid {task.pid}) is inside it"
            )
        return bool(len(inside))

    def forget(self, name: str) -> None:
        """Let go of everything a module brought; no CPU may run its text any more."""
        kernel, loaded = self._kernel, self._loaded.pop(name)

        def disappear() -> int:
            self._ftrace.ftrace_release_mod(name)
            self._kallsyms.remove(name)
            self._modules.remove(name)
            kernel.unload_image(loaded.image)
            self._give_back(loaded.area, loaded.base, loaded.data)
            kernel.event_module(loaded.base, len(loaded.image.text[0][1]), loaded=False)
            return 0

        kernel.guest.callback("module gone", disappear)

    def _give_back(self, area: TextArea, base: int, data: int) -> None:
        if base:
            area.free(base)
        if data:
            self.data.free(data)

    def offer_calls(self) -> None:
        """Let workers call what the manifest says: of the kernel, and of modules that are loaded and stay."""
        kernel = self._kernel
        calls = [(call, kernel.image.address(call.fn)) for call in self.manifest.calls]
        for name in sorted(self._loaded):
            module = self._modules.find(name)
            if module is not None and module.state is ModuleState.LIVE:
                calls += self._loaded[name].calls
        kernel.offer_calls(calls)


def _data_size(image: Image) -> int:
    """Return the bytes from the start of the data area to the end of the image's data."""
    return max((at + len(content) for at, content in image.data), default=MODULE_DATA.base) - MODULE_DATA.base
