"""``klpemu doctor``: checks this installation."""

from __future__ import annotations

import importlib
import json
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from emu.cli.exits import DONE, NO

SCHEMA = "klpemu.doctor/1"

OLDEST_PYTHON = (3, 11)

PACKAGES = {
    "capstone": ("capstone", "5.0.3", "6"),
    "click": ("click", "8.1", ""),
    "greenlet": ("greenlet", "3.1", ""),
    "keystone-engine": ("keystone", "0.9.2", "0.10"),
    "numba": ("numba", "0.61", ""),
    "numpy": ("numpy", "2.0", ""),
    "pyelftools": ("elftools", "0.31", ""),
    "rich": ("rich", "13.7", ""),
    "unicorn": ("unicorn", "2.1.3", "3"),
}
"""Package -> (module, lowest version, first version too high or empty), as in pyproject.toml."""

SAMPLES = {
    "x86_64": ("mov eax, 0x2a", "b82a000000"),
    "arm64": ("movz w0, #0x2a", "40058052"),
}
"""Per port: an instruction that puts 42 into the result register, and its bytes."""

_GNU_AS = {"x86_64": "as", "arm64": "aarch64-linux-gnu-as"}
_REINSTALL = "reinstall klpemu: pip install --force-reinstall klpemu"
_TOOLCHAIN = "pip install 'klpemu[toolchain]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was found of one thing.

    Args:
        name: of it.
        status: ``ok``, ``missing`` or ``problem``.
        detail: what was found.
        remedy: what to do; empty if nothing needs doing.
        needed: whether klpemu can't do its work without it.
    """

    name: str
    status: str = "ok"
    detail: str
    remedy: str = ""
    needed: bool = True


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> int:
    """Check this installation: versions, engines, compiled code, images, optional parts.

    Exits with 1 when something that klpemu needs does not work.
    """
    checks = []
    for check in _checks():
        checks.append(check)
        if not as_json:
            print(_line(check), flush=True)
    healthy = all(check.status == "ok" for check in checks if check.needed)
    if as_json:
        document = {"schema": SCHEMA, "ok": healthy, "checks": [asdict(check) for check in checks]}
        print(json.dumps(document, indent=2))
    else:
        print("everything needed works" if healthy else "NOT OK: see the lines that do not say ok")
    return DONE if healthy else NO


def _line(check: Check) -> str:
    optional = "" if check.needed else " (optional)"
    remedy = f"; {check.remedy}" if check.remedy else ""
    return f"{check.status:<8} {check.name + optional:<26} {check.detail}{remedy}"


def _checks() -> Iterator[Check]:
    yield _python()
    yield _klpemu()
    for package in PACKAGES:
        yield _guarded(package, partial(_package, package), f"pip install '{requirement(package)}'")
    for port, (text, code) in SAMPLES.items():
        for name, check, remedy in (
            ("assembler", _assembles, f"pip install --force-reinstall '{requirement('keystone-engine')}'"),
            ("decoder", _decodes, f"pip install --force-reinstall '{requirement('capstone')}'"),
            ("engine", _runs, f"pip install --force-reinstall '{requirement('unicorn')}'"),
        ):
            yield _guarded(f"{name} {port}", partial(check, port, text, bytes.fromhex(code)), remedy)
    for port in SAMPLES:
        yield _guarded(f"images {port}", partial(_images, port), _REINSTALL)
    yield _guarded("CPU models", _cpu_models, _REINSTALL)
    yield replace(
        _guarded("compiled code", _compiled, "set XDG_CACHE_HOME to a writable folder"), needed=False
    )
    yield replace(_guarded("ziglang", _ziglang, _TOOLCHAIN), needed=False)
    for port, program in _GNU_AS.items():
        yield _gnu_as(port, program)


def requirement(package: str) -> str:
    """Return what pip is to be asked for.

    >>> requirement("unicorn"), requirement("numba")
    ('unicorn>=2.1.3,<3', 'numba>=0.61')
    """
    _, lowest, too_high = PACKAGES[package]
    return f"{package}>={lowest}" + (f",<{too_high}" if too_high else "")


def _guarded(name: str, check: Callable[[], str | Check], remedy: str) -> Check:
    """Return the result of ``check``, or what kept it from one: a doctor outlives what it finds."""
    try:
        result = check()
    except PackageNotFoundError:
        return Check(name=name, status="missing", detail="not installed", remedy=remedy)
    except (Exception, SystemExit) as error:  # whatever a broken library may raise
        missing = isinstance(error, ModuleNotFoundError)
        detail = " ".join(f"{type(error).__name__}: {error}".split())
        return Check(name=name, status="missing" if missing else "problem", detail=detail, remedy=remedy)
    return Check(name=name, detail=result) if isinstance(result, str) else result


def _python() -> Check:
    lowest = ".".join(map(str, OLDEST_PYTHON))
    detail = f"{platform.python_version()} ({platform.python_implementation()}, {platform.machine()})"
    if sys.version_info < OLDEST_PYTHON:
        return Check(name="python", status="problem", detail=detail, remedy=f"use Python {lowest} or later")
    return Check(name="python", detail=detail)


def _klpemu() -> Check:
    import emu

    place = Path(emu.__file__).parent
    try:
        installed = version("klpemu")
    except PackageNotFoundError:
        return Check(name="klpemu", detail=f"{emu.__version__} from {place}, not installed as a package")
    if installed != emu.__version__:
        detail = f"{emu.__version__} from {place}, but {installed} is installed"
        return Check(name="klpemu", status="problem", detail=detail, remedy="remove one of the two")
    return Check(name="klpemu", detail=f"{installed} from {place}")


def _package(package: str) -> str | Check:
    module, lowest, too_high = PACKAGES[package]
    found = version(package)
    importlib.import_module(module)
    if _number(found) < _number(lowest) or (too_high and _number(found) >= _number(too_high)):
        detail = f"{found} is not {requirement(package).removeprefix(package)}"
        remedy = f"pip install '{requirement(package)}'"
        return Check(name=package, status="problem", detail=detail, remedy=remedy)
    return found


def _number(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


class _WrongResultError(Exception):
    """A library answered, and wrongly."""


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise _WrongResultError(f"gives {found}, expected {expected}")


def _assembles(port: str, text: str, code: bytes) -> str:
    from emu.arch import port_named
    from emu.build.asm.assembler import Unit, assemble

    unit = Unit(name="doctor", text=f"{text}\n", origin="doctor")
    _expect(assemble(port_named(port), [unit], base=0x1000, equates={}).code.hex(), code.hex())
    return f"Keystone assembles {text!r}"


def _decodes(port: str, text: str, code: bytes) -> str:
    from emu.arch import port_named
    from emu.build.decode import decode

    found = decode(port_named(port), code, 0x1000)
    _expect([instruction.size for instruction in found], [len(code)])
    _expect(found[0].text.split(",")[1].strip(" #"), text.split(",")[1].strip(" #"))
    return f"Capstone decodes {found[0].text!r}"


def _runs(port: str, text: str, code: bytes) -> str:
    from emu.arch import port_named
    from emu.machine.registers import new_cpu, register_number

    uc, at = new_cpu(port_named(port)), 0x1000
    uc.mem_map(at, 0x1000)
    uc.mem_write(at, code)
    uc.emu_start(at, at + len(code), count=1)
    _expect(uc.reg_read(register_number(port_named(port), port_named(port).registers.result)), 0x2A)
    return f"Unicorn runs {text!r}"


def _images(port: str) -> str:
    from emu.arch import port_named
    from emu.build.image import build_kernel
    from emu.build.manifest import image_names, load_manifest

    sizes = []
    for name in image_names():
        image = build_kernel(port_named(port), load_manifest(name))
        size = sum(len(code) for _, code in image.text)
        sizes.append(f"{name} ({size:_} bytes of text, {len(image.sites)} sites)")
    _expect(bool(sizes), True)
    return f"builds {', '.join(sizes)}"


def _cpu_models() -> str:
    from emu.timing.model import cpu_model_names, load_cpu_model

    models = [load_cpu_model(name) for name in cpu_model_names()]
    return f"{len(models)} read: {', '.join(model.name for model in models)}"


def _compiled() -> str | Check:
    from emu.compiled import cache_folder, is_compiled

    folder = cache_folder()
    if folder is None:
        return Check(
            name="compiled code", status="problem", remedy="set XDG_CACHE_HOME to a writable folder",
            detail="no folder to keep it in: every run compiles anew, about 10 s",
        )  # fmt: skip
    if is_compiled():
        return f"kept in {folder}"
    return f"not there yet: the first run compiles, about 10 s, and keeps it in {folder}"


def _ziglang() -> str:
    from emu.arch import port_named
    from emu.build.toolchain import compile_object

    found = version("ziglang")
    with tempfile.TemporaryDirectory(prefix="klpemu-") as scratch:
        source = Path(scratch, "doctor.c")
        source.write_text("int answer(void) { return 42; }\n", encoding="utf-8")
        for port in SAMPLES:
            compile_object(port_named(port), source)
    return f"{found} compiles C for {' and '.join(SAMPLES)}"


def _gnu_as(port: str, program: str) -> Check:
    name, path = f"GNU as {port}", shutil.which(program)
    if path is None:
        detail, remedy = f"no {program}; only klpemu's own tests use it", "install binutils for this target"
        return Check(name=name, status="missing", detail=detail, remedy=remedy, needed=False)
    return Check(name=name, detail=path, needed=False)
