"""Going through a scenario before anything runs: every name in it exists, or is told with its key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from emu.build.asm.errors import UndefinedSymbolError
from emu.build.code_source import AssemblyFolder, UnreadableFileError
from emu.build.contents import VMLINUX, function_position
from emu.build.elf.errors import UndefinedSymbolsError
from emu.build.manifest import UNCHECKED
from emu.errors import UnknownNameError
from emu.lab.machine import Machine
from emu.lab.scenario import Scenario
from emu.lab.scenario_error import ScenarioError
from emu.lab.step import Step
from emu.lab.task_source import TaskSource
from emu.livepatch import Sysfs


def rehearse(machine: Machine, scenario: Scenario) -> None:
    """Raise what is wrong with the names of ``scenario``, or with the code that it would load.

    Args:
        machine: as the scenario describes it; nothing is done to it.

    Raises:
        ScenarioError: a name that does not exist, or a file that can't be read.
        EmuError: code that can't be compiled or placed.
    """
    rehearsal = _Rehearsal(machine, scenario)
    for at, step in enumerate(scenario.steps):
        rehearsal.step(step, f"steps[{at}].{step.action}")
    for name, module in scenario.modules.items():
        if isinstance(module.code, AssemblyFolder):  # files were looked for when the scenario was read
            rehearsal.code_of(name)
    for name in scenario.patches:
        rehearsal.patched_functions(name)


class _Rehearsal:
    def __init__(self, machine: Machine, scenario: Scenario) -> None:
        self._machine, self._scenario = machine, scenario
        self._kernel = machine.kernel.image
        self._functions = {VMLINUX: [*self._kernel.sites]}
        self._modules: dict[str, dict[str, int]] = {}  # symbols of each module that is loaded
        self._enabled: list[str] = []

    def _loaded(self) -> dict[str, int]:
        return {name: place for symbols in self._modules.values() for name, place in symbols.items()}

    def step(self, step: Step, key: str) -> None:
        name, manifest = step.subject, self._machine.manifest
        match step.action:
            case "load":
                self._known("module", name, manifest.modules, key)
                self._load(name, key)
            case "unload":
                self._known("module", name, [*manifest.modules, *self._enabled], key)
                self._modules.pop(name, None)
            case "enable":
                self._known("patch", name, manifest.patches, key)
                self._enabled.append(name)
                self._replacements(name, key)
            case "disable":
                self._known("enabled patch", name, self._enabled, key)
            case "write" | "read":
                self._file(name, key)
            case "start":
                self._known("task", name, self._scenario.tasks, key)
                self._start(self._scenario.tasks[name])
            case _:
                if name not in self._kernel.symbols:
                    self._known("function", name, [*self._functions[VMLINUX], *self._loaded()], key)

    def _file(self, path: str, key: str) -> None:
        with self._at(key):
            tree = self._machine.files.tree(path)
        if isinstance(tree, Sysfs) and path != tree.mounted_at:
            patch = path.removeprefix(f"{tree.mounted_at}/").partition("/")[0]
            self._known("patch", patch, self._machine.manifest.patches, key)

    def _load(self, name: str, key: str) -> None:
        own = name in self._scenario.modules
        with self._at(f"modules.{name}" if own else key):
            loader = self._machine.loader
            self._modules.pop(name, None)  # a second one beside it is refused, but not for its symbols
            try:
                image = loader.dry_run(name, loader.code.of_module(name), self._loaded())
            except (UndefinedSymbolError, UndefinedSymbolsError) as error:
                self._has_its_module(error)
                return
        sized = {key: symbol.name for key, symbol in image.symbols.items() if symbol.size}
        self._functions[name] = [*{*sized, *sized.values()}]
        for at, call in enumerate(self._machine.manifest.modules[name].calls):
            if call.fn not in self._kernel.symbols:
                where = f"modules.{name}.calls[{at}].fn" if own else key
                self._known("function", call.fn, self._functions[name], where)
        self._modules[name] = {symbol: place.address for symbol, place in image.symbols.items()}

    def _has_its_module(self, error: UndefinedSymbolError | UndefinedSymbolsError) -> None:
        """Raise ``error`` unless each symbol's module is only not loaded: the step tells what Linux says."""
        names = [error.name] if isinstance(error, UndefinedSymbolError) else error.names
        if not self._machine.loader.code.is_defined(names):
            raise error

    def _start(self, task: TaskSource) -> None:
        for at, call in enumerate(task.calls):
            for name in call.names():
                known = [*self._kernel.symbols, *self._loaded()]
                if name not in known:
                    self._known("symbol", name, known, f"tasks.{task.name}.calls[{at}]")

    def _replacements(self, name: str, key: str) -> None:
        own = name in self._scenario.patches
        with self._at(f"patches.{name}" if own else key):
            try:
                known = self._machine.livepatch.replacements(name, len(self._enabled), self._loaded())
            except (UndefinedSymbolError, UndefinedSymbolsError) as error:
                self._has_its_module(error)
                return
        for obj, functions in self._machine.manifest.patches[name].objects.items():
            for function, replacement in functions.items():
                if replacement and replacement not in self._kernel.symbols:
                    where = f"patches.{name}.objects.{obj}.{function}" if own else key
                    self._known("replacement", replacement, known, where)

    def code_of(self, name: str) -> None:
        """Check that a module's code is there."""
        with self._at(f"modules.{name}"):
            self._machine.loader.code.of_module(name)

    def patched_functions(self, name: str) -> None:
        """Check a patch's objects, and their functions where these are known without compiling anything."""
        patch = self._scenario.patches[name]
        for obj, functions in patch.objects.items() if not patch.unchecked else ():
            where = f"patches.{name}.objects.{obj}"
            self._known("object", obj, [VMLINUX, *self._machine.manifest.modules], where, UNCHECKED)
            for spelled in functions if obj in self._functions else ():
                function, _ = function_position(spelled)
                if obj != VMLINUX or function not in self._kernel.symbols:
                    key, known = f"{where}.{spelled}", self._functions[obj]
                    self._known("function", function, known, key, UNCHECKED)

    def _known(self, kind: str, name: str, known: Iterable[str], key: str, remedy: str = "") -> None:
        names = sorted(known)
        if name not in names:
            problem = str(UnknownNameError(kind, name, names)) + (f" ({remedy})" if remedy else "")
            raise ScenarioError(self._scenario.origin, key, problem)

    @contextmanager
    def _at(self, key: str) -> Iterator[None]:
        try:
            yield
        except (UnknownNameError, UnreadableFileError) as error:
            raise ScenarioError(self._scenario.origin, key, str(error)) from error
