"""The code of modules: read or compiled, and built for a place with what is there to refer to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from emu.build.asm.errors import UndefinedSymbolError
from emu.build.code_source import Code, CodeSource, ElfCode, SourceFile, read_code
from emu.build.contents import Manifest
from emu.build.elf.errors import UndefinedSymbolsError
from emu.build.elf_image import build_elf_module
from emu.build.foreign import foreign_symbols
from emu.build.image import Image, build_module
from emu.build.imports import imports, whole_name
from emu.build.klp import Foreign
from emu.build.memory_map import Area
from emu.build.toolchain import EntryScheme
from emu.errors import UnknownNameError
from emu.kernel.kernel import Kernel

NOTHING_FOREIGN: Mapping[str, Foreign] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be built.

    Args:
        name, code: of the module.
        constants: further equates.
        foreign: symbols of other modules that livepatch looks up once these are there.
    """

    name: str
    code: Code
    constants: Mapping[str, int]
    foreign: Mapping[str, Foreign] = field(default_factory=dict)


class ModuleCode:
    """Reads and builds the code of one machine's modules.

    Args:
        kernel: of the machine.
        manifest: gives what modules there are.
        images: gives the images of the loaded modules that others may refer to, by name: not of patches.
        call_ops: tells whether compiled functions call through their ops.
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        manifest: Callable[[], Manifest],
        images: Callable[[], Mapping[str, Image]],
        call_ops: Callable[[], bool],
    ) -> None:
        self._kernel, self._manifest, self._images, self._call_ops = kernel, manifest, images, call_ops
        self._read: dict[tuple[int, tuple[tuple[str, int], ...]], tuple[CodeSource, Code]] = {}

    # --- reading --------------------------------------------------------------------------------

    def of_module(self, name: str) -> Code:
        """Return the code of the module that the manifest calls ``name``.

        Raises:
            UnknownNameError: it has no such module.
            EmuError: the code can't be read or compiled.
        """
        modules = self._manifest().modules
        if name not in modules:
            raise UnknownNameError("module", name, sorted(modules))
        return self.read(modules[name].code, {})

    def read(self, source: CodeSource, constants: Mapping[str, int]) -> Code:
        """Return the code that ``source`` means, see `read_code`; compiled once."""
        if not isinstance(source, SourceFile):
            return self._read_now(source, constants)
        key = id(source), tuple(constants.items())
        if key not in self._read:
            self._read[key] = source, self._read_now(source, constants)
        return self._read[key][1]

    def _read_now(self, source: CodeSource, constants: Mapping[str, int]) -> Code:
        entry = EntryScheme.CALL_OPS if self._call_ops() else EntryScheme.PATCHABLE
        exchanged = self._manifest().sources
        return read_code(self._kernel.port, source, constants, entry=entry, exchanged=exchanged)

    def foreign(self, objects: Iterable[str]) -> dict[str, Foreign]:
        """Return the symbols that a patch may use of the modules that it patches, loaded or not.

        Names that the kernel defines, too, are not among them.

        Args:
            objects: names of modules; the manifest need not have them.
        """
        found: dict[str, Foreign] = {}
        for name in objects:
            if name in self._manifest().modules:
                found = {**foreign_symbols(self._kernel.port, name, self.of_module(name)), **found}
        return {key: row for key, row in found.items() if key not in self._kernel.image.symbols}

    def is_defined(self, symbols: Iterable[str]) -> bool:
        """Whether each of ``symbols`` is some module's of the manifest, loaded or not."""
        known = {symbol for name in self._manifest().modules for symbol in self.foreign([name])}
        return known.issuperset(map(whole_name, symbols))

    # --- building -------------------------------------------------------------------------------

    def build(self, wanted: Wanted, text: Area, data: Area) -> Image:
        """Return a module as it is in memory at a place.

        Raises:
            EmuError: the code is no good, or refers to what is not there.
        """
        port, externs = self._kernel.port, self._externs()
        if isinstance(wanted.code, ElfCode):
            return build_elf_module(
                port, wanted.name, wanted.code, text=text, data=data,
                externs={**externs, **wanted.constants}, foreign=wanted.foreign,
            )  # fmt: skip
        source = self._manifest().modules.get(wanted.name)
        return build_module(
            port, wanted.name, list(wanted.code), text_base=text.base, data_base=data.base,
            externs=externs, constants=wanted.constants, variables=source.variables if source else {},
            foreign=wanted.foreign,
        )  # fmt: skip

    def try_out(self, wanted: Wanted, text: Area, data: Area) -> tuple[Image, tuple[str, ...]]:
        """Return what `build` does, and the symbols that nobody defines, which stand for the text's start.

        Raises:
            EmuError: the code is no good otherwise.
        """
        unknown: dict[str, int] = {}
        while True:
            also = {**wanted.constants, **unknown}
            trial = Wanted(name=wanted.name, code=wanted.code, constants=also, foreign=wanted.foreign)
            try:
                return self.build(trial, text, data), tuple(unknown)
            except UndefinedSymbolError as error:
                name = whole_name(error.name)
                if name in unknown:  # a half, on a port that has none
                    raise
                unknown[name] = text.base
            except UndefinedSymbolsError as error:
                unknown |= dict.fromkeys(error.names, text.base)

    def uses(self, wanted: Wanted, image: Image) -> tuple[str, ...]:
        """Return the loaded modules whose symbols the module with that image refers to."""
        names = imports(self._kernel.port, wanted.code) - wanted.foreign.keys() - wanted.constants.keys()
        names -= self._kernel.image.symbols.keys() | image.symbols.keys()
        return tuple(other for other, image in self._images().items() if names & image.symbols.keys())

    def _externs(self) -> dict[str, int]:
        """Return what a module may refer to: symbols of the kernel and of modules, not of other patches."""
        names: dict[str, int] = {}
        for image in self._images().values():
            names |= {key: symbol.address for key, symbol in image.symbols.items()}
        names |= {key: symbol.address for key, symbol in self._kernel.image.symbols.items()}
        stubs = [names[stub] for stub in self._kernel.port.stub_names if stub in names]
        # compilers spell the old-style stub with and without the underscore
        return {**dict.fromkeys(self._kernel.port.stub_names, stubs[-1]), **names}
