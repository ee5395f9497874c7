"""C and assembly source to object file, by the clang inside the ``ziglang`` package; assembly by GNU, too.

ziglang is one wheel on every platform, needs no headers and cross-compiles; measured with 0.17.1:
about 50 ms for a file, its caches included, which live and die with the call.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from emu.arch.port import Port
from emu.build.elf.errors import CompileError, CompileTimeoutError
from emu.build.gnu import gnu_command
from emu.errors import MissingOptionalError, UnknownNameError

TIME_LIMIT_S = 60.0


class EntryScheme(StrEnum):
    """How the compiler marks a function's entry."""

    NONE = "none"
    PATCHABLE = "patchable"
    CALL_OPS = "call-ops"
    FENTRY = "fentry"
    MCOUNT = "mcount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How to compile for one machine.

    Args:
        triple: LLVM target.
        flags: of every file: no SIMD or FP, whose registers the kernel does not save.
        entry: flags of each entry scheme that the machine has.
    """

    triple: str
    flags: tuple[str, ...]
    entry: Mapping[EntryScheme, tuple[str, ...]]


FLAGS = (
    "-ffreestanding",
    "-fno-pic",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",  # else zig still makes .eh_frame
    "-fno-sanitize=undefined",  # zig's default without -O
    "-fno-common",
    "-g0",
    "-O2",
)
"""Of every file on every machine."""

TARGETS: Mapping[str, Target] = {
    "EM_X86_64": Target(
        triple="x86_64-freestanding",
        flags=("-mno-red-zone", "-mcmodel=small", "-mgeneral-regs-only"),
        entry={
            EntryScheme.NONE: (),
            EntryScheme.PATCHABLE: ("-fpatchable-function-entry=5",),
            EntryScheme.FENTRY: ("-pg", "-mfentry"),
            EntryScheme.MCOUNT: ("-pg",),
        },
    ),
    "EM_AARCH64": Target(
        triple="aarch64-freestanding",
        flags=("-mgeneral-regs-only",),
        entry={
            EntryScheme.NONE: (),
            EntryScheme.PATCHABLE: ("-fpatchable-function-entry=2",),
            # =4,2 spelt for the frontend: zig 0.17.1 reads the whole "4,2" as one number and fails
            EntryScheme.CALL_OPS: (
                "-Xclang", "-fpatchable-function-entry=4", "-Xclang", "-fpatchable-function-entry-offset=2",
                "-falign-functions=8",
            ),
            # clang calls the stub "mcount" on -freestanding, but "_mcount", as GCC does, on Linux
            EntryScheme.MCOUNT: ("-target", "aarch64-linux-none", "-mno-outline-atomics", "-pg"),
        },
    ),
}  # fmt: skip
"""By ``Port.machine``."""

_ERROR_LINE = re.compile(
    r"^(?P<file>.+?):(?P<line>\d+):(?:\d+:)? (?:fatal )?[Ee]rror: (?P<message>.*)$", re.MULTILINE
)


def compile_object(
    port: Port,
    source: Path,
    *,
    entry: EntryScheme = EntryScheme.PATCHABLE,
    defines: Mapping[str, int | str] | None = None,
    flags: Sequence[str] = (),
    time_limit_s: float = TIME_LIMIT_S,
) -> bytes:
    """Return the object file that ``source`` (.c, .s or .S) compiles to.

    Args:
        port: what to compile for.
        source: the file; quoted includes are looked up beside it.
        entry: how traced functions begin.
        defines: macros, name -> value.
        flags: more compiler flags, behind ours.
        time_limit_s: how long the compiler may take, seconds of the host.

    Raises:
        MissingOptionalError: ziglang is not installed, nor GNU tools for assembly.
        UnknownNameError: the port has no such entry scheme.
        CompileError: the compiler's first error, with its line.
        CompileTimeoutError: it did not finish; it has been stopped.
    """
    target = TARGETS[port.machine]
    command = [sys.executable, "-m", "ziglang", "cc"]
    arguments = ["-target", target.triple, *FLAGS, *target.flags, *target.entry.get(entry, ()), "-c"]
    arguments += [*(f"-D{name}={value}" for name, value in (defines or {}).items()), *flags]
    if importlib.util.find_spec("ziglang") is None:
        gnu = None if defines else gnu_command(port.machine, source.suffix)
        if gnu is None:
            need = f"compiling {source.name}"
            raise MissingOptionalError("ziglang", need, "pip install 'klpemu[toolchain]'")
        command, arguments = gnu, []
    if entry not in target.entry:
        raise UnknownNameError(f"entry scheme of {port.name}", entry.value, sorted(target.entry))
    if not source.is_file():
        raise CompileError(str(source), None, "no such file; name a .c, .s or .S file")
    with tempfile.TemporaryDirectory(prefix="klpemu-") as scratch:
        result = Path(scratch, "out.o")
        whole = [*command, *arguments, str(source.resolve()), "-o", str(result)]
        code, messages = _run(whole, source, Path(scratch), time_limit_s)
        if code == 0 and result.is_file():
            return result.read_bytes()
    raise _first_error(source, code, messages)


def _run(command: Sequence[str], source: Path, scratch: Path, time_limit_s: float) -> tuple[int, str]:
    """Return exit code and messages of one compiler run that leaves nothing outside ``scratch``."""
    caches = {f"ZIG_{which}_CACHE_DIR": str(scratch / which.lower()) for which in ("GLOBAL", "LOCAL")}
    places = {name: str(scratch) for name in ("TMPDIR", "TEMP", "TMP")}
    with subprocess.Popen(
        command,
        cwd=scratch,
        env={**os.environ, **caches, **places},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            _, messages = process.communicate(timeout=time_limit_s)
        except BaseException as error:
            _stop(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise CompileTimeoutError(str(source), time_limit_s) from error
            raise
    return process.returncode, messages.decode("utf-8", "replace")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill the compiler and what it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # start_new_session made it its group's leader
    else:
        process.kill()
    process.wait()


def _first_error(source: Path, code: int, messages: str) -> CompileError:
    """Return the error made of the compiler's first complaint."""
    found = _ERROR_LINE.search(messages)
    if found:
        return CompileError(found["file"], int(found["line"]), found["message"])
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    complaint = next((line for line in lines if "error" in line), lines[0] if lines else "no message")
    return CompileError(str(source), None, f"the compiler stopped with code {code}: {complaint}")
