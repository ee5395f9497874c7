"""`Machine`: a booted kernel in miniature to run, patch, trace and ask questions of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from emu.arch import port_named
from emu.build.code_source import GivenCode, code_source
from emu.build.contents import Call, Manifest, ModuleSource
from emu.build.image import build_kernel
from emu.build.manifest import load_manifest
from emu.build.memory_map import FAR_MODULES, MODULES, TRAMPOLINES
from emu.errors import UnknownNameError
from emu.ftrace import Ftrace
from emu.kernel.installer import Job
from emu.kernel.kallsyms import Kallsyms
from emu.kernel.kernel import Kernel, Timing
from emu.kernel.modules import Modules
from emu.kernel.rcu import Rcu
from emu.kernel.sched import HZ, Sched
from emu.kernel.symbols import kernel_symbols
from emu.kernel.text_area import TextArea
from emu.lab.calls import check_calls
from emu.lab.declared import patch_source
from emu.lab.defects import defect_named
from emu.lab.dropped import known_steps
from emu.lab.faults import Faults
from emu.lab.files import Files
from emu.lab.forks import Forks
from emu.lab.ftrace_users import FtraceUsers
from emu.lab.helper_modules import helper_works
from emu.lab.modules import ModuleLoader
from emu.lab.patching import TRANSITION_WORK, Patching
from emu.lab.recording import Recording
from emu.lab.report import GuestStoppedError, Reporter, StopReport
from emu.lab.runner import Runner
from emu.lab.scenario import Scenario
from emu.lab.scenario_values import FETCHES, OFF, ORDERINGS, SCHEDULES
from emu.lab.stuck import Stuck, WhyStuck
from emu.lab.symbols import SymbolBook
from emu.lab.tracing import Tracing
from emu.lab.trampoline_text import TrampolineText
from emu.lab.whereabouts import Whereabouts
from emu.lab.wrong_results import WrongResults
from emu.livepatch import LINUX_6_1, Livepatch, Procfs, Sysfs, flavour_named
from emu.structs import PERCPU
from emu.timing import load_cpu_model
from emu.trace.run import Run


class Machine:
    """A kernel in miniature on simulated CPUs, that can be live-patched while it runs.

    Args:
        image: name of a shipped image, or a manifest.
        arch: port, ``"x86_64"`` or ``"arm64"``.
        cpus: 1 to 64.
        workers, users: kernel threads and user tasks per CPU that call traced functions.
        spare_tasks: room for tasks that are started later, see `spawn`.
        flavour: which Linux livepatch behaves like, a key of `emu.livepatch.flavour.FLAVOURS`.
        seed: of everything that is drawn; same arguments and seed, same trace.
        mode: ``"fast"`` or ``"exact"`` (a switch at any instruction); None: ``"exact"`` with a cycle model,
            else ``"fast"``.
        timing: CPU model that tells how long instructions take, one of the port's or a .toml file;
            ``"off"``: one cycle each.
        schedule: ``"quantum"``, ``"least-clock"``, ``"random"`` or ``"round-robin"``; exact mode takes all.
            None: ``"quantum"`` in fast mode, ``"least-clock"`` with a cycle model, else ``"random"``.
        fetch: when a text poke reaches other CPUs before they synchronise: ``"random"``, ``"stale"``,
            ``"eager"``, ``"head"``, ``"tail"``.
        ordering: which outcomes of loads and stores there can be: ``"sc"``, ``"tso"``, ``"arm64"``; None: the
            port's own in exact mode, ``"sc"`` in fast mode.
        quantum: mean instructions of a turn (schedule ``"quantum"``).
        tick: cycles between a CPU's timer interrupts, 0 = none.
        tickless: CPUs that have none.
        patience: seconds of the guest that a transition may take while `run` waits for something.
        call_ops: arm64: sites call through the ops pointer before the function.
        far_modules: arm64: modules go where a direct BL does not reach.
        out: directory to record to; None: in memory.
        drop: names of installation steps to leave out, see ``emu.ftrace.text_poke.step_names``.
        defect: what is wrong with it, a key of `emu.lab.defects.DEFECTS`; "" = nothing.

    Raises:
        EmuError: an argument names something that does not exist or is impossible.
    """

    def __init__(
        self,
        image: str | Manifest = "mini",
        *,
        arch: str = "x86_64",
        cpus: int = 4,
        workers: int = 2,
        users: int = 1,
        spare_tasks: int = 0,
        flavour: str = LINUX_6_1.name,
        seed: int = 1,
        mode: str | None = None,
        timing: str = "off",
        schedule: str | None = None,
        fetch: str = "random",
        ordering: str | None = None,
        quantum: int = 500,
        tick: int = 5_000,
        tickless: Sequence[int] = (),
        patience: int = 20,
        call_ops: bool = False,
        far_modules: bool = False,
        out: Path | str | None = None,
        drop: tuple[str, ...] = (),
        defect: str = "",
    ) -> None:
        flaw = defect_named(defect)
        manifest = load_manifest(image) if isinstance(image, str) else image
        manifest = dataclasses.replace(manifest, sources={**manifest.sources, **flaw.sources})
        options = {
            "image": manifest.name, "arch": arch, "cpus": cpus, "workers": workers, "users": users,
            "seed": seed, "mode": mode, "timing": timing, "schedule": schedule, "fetch": fetch,
            "ordering": ordering, "quantum": quantum, "tick": tick, "tickless": tuple(tickless),
            "patience": patience, "defect": defect, "call_ops": call_ops, "far_modules": far_modules,
            "flavour": flavour_named(flavour).name,
        }  # fmt: skip
        self.scenario = Scenario(name="machine", spare_tasks=spare_tasks).with_options(options)
        self.port = port = port_named(arch)
        self.kernel = kernel = Kernel(
            port, build_kernel(port, manifest), calls=manifest.calls, cpus=cpus, workers=workers, users=users,
            spares=spare_tasks, timing=self._timing(),
        )  # fmt: skip
        self.kallsyms, self.modules = Kallsyms(), Modules()
        self.kallsyms.add(None, kernel_symbols(kernel.image, None))
        trampolines = TextArea(kernel.engine, TRAMPOLINES)
        near, far = TextArea(kernel.engine, MODULES), TextArea(kernel.engine, FAR_MODULES)
        self.text_areas, trampoline_text = (trampolines, near, far), TrampolineText(kernel, trampolines)
        self.ftrace = Ftrace(
            kernel.guest, self.kallsyms, self.modules, Rcu(kernel.guest),
            text_alloc=trampoline_text.allocate, text_free=trampoline_text.free, call_ops=call_ops,
        )  # fmt: skip
        ret = self.ftrace.ftrace_init(kernel.mcount_locations(kernel.image))
        assert ret == 0, "the kernel's own sites are what its table says"
        for function, site in kernel.image.sites.items():
            symbol = kernel.image.symbols[function]
            kernel.watch_function(symbol.address, self.ftrace.sites.behind(site), symbol.size)
        like = flavour_named(flavour)
        self.sched = sched = Sched(
            kernel.guest, kernel.engine, kernel.tasks, percpu=kernel.percpu, unwind=kernel.stack,
            tasklist=kernel.tasklist.held,
        )  # fmt: skip
        klp = Livepatch(
            kernel.guest, self.ftrace, self.kallsyms, self.modules, sched=sched,
            retry=self._retry_transition, flavour=like, parts=flaw.parts,
        )  # fmt: skip
        self.loader = ModuleLoader(
            kernel, self.ftrace, self.kallsyms, self.modules, manifest=manifest, near=near,
            far=far if far_modules else None,
        )  # fmt: skip
        self.loader.apply_relocations = klp.relocations.apply_relocations
        self.loader.klp_module_going = klp.objects.klp_module_going
        self.symbols = SymbolBook(kernel.image)
        self.ftrace_users = FtraceUsers(
            kernel, self.ftrace, self.modules, text=trampolines, modified_column=like.modified_column,
            kprobe_warns=like.kprobe_warns,
        )  # fmt: skip
        trees = (
            Sysfs(kernel.guest, klp.core, klp.transition, flavour=like),
            Procfs(
                kernel.guest,
                sched.processes,
                self.modules,
                self.ftrace,
                reader=lambda: next((task for task in kernel.tasks if task.is_driver), None),
                warnings=kernel.warnings,
            ),
            *self.ftrace_users.trees,
        )
        self.files = Files(trees, kernel.installer)
        self.livepatch = Patching(
            kernel, klp, self.loader, kallsyms=self.kallsyms, sites=self.ftrace.sites, symbols=self.symbols
        )
        self.loader.klp_module_coming = self.livepatch.module_coming
        self.loader.module_going = self.ftrace_users.kprobes.module_going
        self.loader.works = helper_works(
            kernel.guest, self.loader, ftrace=self.ftrace, kprobes=self.ftrace_users.kprobes,
            shadow=klp.shadow, patch_name=self.livepatch.name_of,
        )  # fmt: skip
        self.tracing = Tracing(kernel, self.ftrace)
        whereabouts = Whereabouts(kernel, self.kallsyms)
        self.forks = Forks(kernel, whereabouts)
        self._why_stuck = WhyStuck(kernel, sched, klp, self.kallsyms, self.forks)
        faults = Faults(
            kernel, whereabouts, text=[trampolines, near, far], data=[kernel.heap, self.loader.data]
        )
        kernel.installer.dropped = known_steps((*drop, *flaw.drop), port)
        self.recording = recording = Recording(
            kernel, self.kallsyms, self.symbols, scenario=self.scenario, patches=self.livepatch.table,
            out=None if out is None else Path(out),
        )  # fmt: skip
        self.loader.on_module, self.livepatch.on_patch = recording.add_module, recording.publish
        kernel.on_task = recording.publish_tasks
        trampoline_text.follow(self.ftrace, recording)
        self.wrong_results = WrongResults(kernel, whereabouts, self.symbols, recording)
        self.runner = Runner(
            kernel, self.scenario, transition=self.livepatch.transition, why_stuck=self._why_stuck,
            reporter=Reporter(kernel, whereabouts, faults), watchers=(self.wrong_results, self.forks),
            on_stop=recording.flush,
        )  # fmt: skip
        self.stopped: StopReport | None = None

    def _timing(self) -> Timing:
        scenario = self.scenario
        return Timing(
            exact=scenario.mode == "exact",
            schedule=SCHEDULES[scenario.schedule],
            fetch=FETCHES[scenario.fetch],
            ordering=ORDERINGS[scenario.memory_ordering],
            seed=scenario.seed,
            quantum=scenario.quantum,
            tick=scenario.tick,
            tickless=frozenset(scenario.tickless),
            cpu_model=None if scenario.timing == OFF else load_cpu_model(scenario.timing),
        )

    def _retry_transition(self, work: Callable[[], None]) -> None:
        self.kernel.installer.submit_delayed(HZ, TRANSITION_WORK, work)

    def record_to(self, directory: Path | str) -> None:
        """Record to a directory instead of memory; nothing may have run yet.

        Raises:
            EmuError: it can't be written to, or holds something else.
        """
        self.recording.move_to(Path(directory))

    # --- running ------------------------------------------------------------------------------

    def run(
        self,
        *,
        calls: int | None = None,
        until: Callable[[], bool] | None = None,
        instructions: int | None = None,
        cycles: int | None = None,
    ) -> StopReport:
        """Run on until one of the given limits, and say why the machine stopped.

        Args:
            calls: so many further traced calls have completed.
            until: this is true. It is asked only where the machine comes back to Python anyway: at each step
                of the patching CPU, and every `patience.SLICE` instructions. So the guest may be well past
                where it became true; with ``calls`` or ``instructions`` a run stops at that very one.
            instructions: so many further ones have been executed, by all CPUs together.
            cycles: every CPU's clock has advanced so far beyond the furthest one now.

        Returns:
            The report; ``ok`` is False when the guest went wrong, or got nowhere for long: see `Patience`.

        Raises:
            ValueError: no limit is given.
        """
        if calls is None and until is None and instructions is None and cycles is None:
            raise ValueError("say how far to run: calls, until, instructions or cycles")
        self.stopped = self.runner.run(calls=calls, until=until, instructions=instructions, cycles=cycles)
        return self.stopped

    def wait(self, job: Job[int]) -> int:
        """Run until ``job`` is done and return its result.

        Raises:
            GuestStoppedError: the machine stopped before.
        """
        report = self.run(until=lambda: job.done)
        if not job.done:
            raise GuestStoppedError(job.name, report)
        return job.result()

    @property
    def manifest(self) -> Manifest:
        """What the image consists of, with what has been added to it."""
        return self.loader.manifest

    def add_module(self, name: str, code: GivenCode, *, calls: Sequence[Call] = ()) -> None:
        """Make a module known, for `load`.

        Args:
            name: of it; a module of that name in the image is replaced.
            code: a path, bytes or assembly, see `code_source`.
            calls: what workers call while it is loaded.

        Raises:
            ValueError: a call has too many arguments, or a value that is not of its size.
        """
        check_calls(calls)
        module = ModuleSource(name=name, code=code_source(name, code), calls=tuple(calls))
        self.loader.manifest = self.manifest.extended({name: module}, {})

    def offer_calls(self, calls: Sequence[Call]) -> None:
        """Let workers make these calls of the kernel in turn, instead of the image's, from now on.

        Those of a module come and go with it, see `add_module`.

        Raises:
            UnknownNameError: the kernel has no function of that name.
            ValueError: there is no call, one has too many arguments, or a value that is not of its size.
            EmuError: there are too many.
        """
        check_calls(calls)
        if not calls:
            raise ValueError("workers need at least one call to make")
        functions = self.kernel.image.symbols
        for call in calls:
            if call.fn not in functions:
                raise UnknownNameError("function", call.fn, sorted(self.kernel.image.sites))
        self.loader.manifest = dataclasses.replace(self.manifest, calls=tuple(calls))
        self.loader.offer_calls()

    def add_patch(
        self,
        name: str,
        code: GivenCode | None = None,
        *,
        objects: Mapping[str, Mapping[str, str]],
        replace: bool = False,
        states: Sequence[tuple[int, int]] = (),
        callbacks: Mapping[str, Sequence[str]] | None = None,
        pre_patch_returns: Mapping[str, int] | None = None,
    ) -> None:
        """Make a patch known, for ``livepatch.enable``; malformed ones are for the kernel to refuse.

        Args:
            name: of it; a patch of that name in the image is replaced.
            code: as in `add_module`; it is given its number as ``KLP_VERSION``, a macro and a symbol. None:
                the replacements ``lp_<function>`` that ship with klpemu.
            objects: object ("vmlinux" or a module) -> function, or "function,position" -> replacement; an
                empty replacement is NULL.
            replace: it takes the place of every patch before it.
            states: (id, version) of the system states that it changes.
            callbacks: object -> those it has, of `emu.build.contents.CALLBACKS`, that tell the log that they
                run. With others, written in Python, enable a `Patch`.
            pre_patch_returns: object -> the negative errno with which its pre_patch refuses the patch.

        Raises:
            ValueError: there is no such callback, no pre_patch to return that, or a state has the id 0.
        """
        patch = patch_source(
            name, code, objects, replace=replace, states=states, callbacks=callbacks or {},
            pre_patch_returns=pre_patch_returns or {},
        )  # fmt: skip
        self.loader.manifest = self.manifest.extended({}, {name: patch})

    def load(self, module: str, parameters: Mapping[str, str] | None = None) -> Job[int]:
        """Have the patching CPU load a module; the job's result is 0 or a negative errno.

        Args:
            module: its name in the manifest.
            parameters: for its init function.

        Raises:
            UnknownNameError: there is no such module.
            EmuError: its code can't be read or compiled.
        """
        code = self.loader.code.of_module(module)
        return self.kernel.installer.submit(
            f"load {module}", lambda: self.loader.load(module, code, parameters or {})
        )

    def unload(self, module: str) -> Job[int]:
        """Have the patching CPU unload a module; the job's result is 0 or a negative errno."""
        if module not in self.manifest.modules:
            raise UnknownNameError("module", module, sorted(self.manifest.modules))
        return self.kernel.installer.submit(f"unload {module}", lambda: self.loader.unload(module))

    # --- looking ------------------------------------------------------------------------------

    @property
    def trace(self) -> Run:
        """What has been recorded so far."""
        return self.recording.run()

    def why_stuck(self) -> Stuck | None:
        """Return what the livepatch transition under way waits for; None if there is none."""
        return self._why_stuck.ask()

    @property
    def log(self) -> list[str]:
        """The kernel log so far."""
        return list(self.kernel.log)

    @property
    def calls_done(self) -> int:
        """How many traced calls have completed."""
        return self.kernel.engine.calls_done()

    def furthest_clock(self) -> int:
        """Return the clock of the CPU that is furthest ahead, cycles."""
        return self.kernel.furthest_clock()

    def bad_results(self) -> int:
        """Return how many calls came back with a wrong result, callee-saved register or stack pointer.

        ``wrong_results.noted`` tells which the first ones were.
        """
        offset = PERCPU.offset("bad_results")
        return sum(self.kernel.engine.memory.load(area + offset) for area in self.kernel.percpu)

    def site_bytes(self, function: str) -> bytes:
        """Return the first bytes at a traced function's entry site, as text memory holds them now.

        Raises:
            UnknownNameError: there is no symbol of that name.
        """
        address = self.kallsyms.address_of(function)
        site = self.ftrace.sites.locate(address) or address
        return self.kernel.engine.memory.read(site, self.port.site.poke_size)

    def finish(self) -> Run:
        """Complete the recording and return it; the machine can't run on after that."""
        run = self.recording.finish()
        self.close()
        return run

    def close(self) -> None:
        """Give files and a job under way back; a recording that was not finished stays an incomplete one."""
        self.recording.close()
        self.kernel.installer.abandon()

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
