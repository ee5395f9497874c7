"""``klpemu disasm``: annotated code of an image, or of a run with what is patched in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emu.cli.exits import DONE
from emu.units import counted

if TYPE_CHECKING:
    from emu.lab.disassembly import Disassembly, Function

SCHEMA = "klpemu.disasm/1"
DEFAULT_ARCH = "x86_64"

_KINDS = {"entry": "traced at entry", "mcount": "old-style mcount", "none": "no site"}


@click.command(name="disasm")
@click.argument("what", metavar="IMAGE|RUN")
@click.option("--arch", help=f"Port to build an image for: x86_64 or arm64; {DEFAULT_ARCH} if not given.")
@click.option(
    "--function", "functions", multiple=True, metavar="NAME", help="Only this one; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(what: str, arch: str | None, functions: tuple[str, ...], as_json: bool) -> int:
    """Show the code of IMAGE (see 'klpemu list images'), or of the recording in directory RUN.

    An image is shown as the linker made it. A run is shown as its text stood when it ended, with the
    modules, replacements, trampolines and PLT entries that came into it: what is traced and patched is
    marked, with the name of what is called and of what runs instead.
    """
    found = _disassemble(what, arch, functions)
    if as_json:
        print(json.dumps(_document(found), indent=2))
        return DONE
    click.echo(click.style(_headline(found), bold=True))
    for note in found.notes:
        click.echo(f"note: {note}")
    for function in found.functions:
        click.echo()
        _print_function(function)
    return DONE


def _disassemble(what: str, arch: str | None, functions: tuple[str, ...]) -> Disassembly:
    from emu.build.manifest import image_names
    from emu.errors import UnknownNameError
    from emu.lab.disassembly import disassemble_image, disassemble_run

    if what in image_names():
        return disassemble_image(what, arch or DEFAULT_ARCH, functions)
    if not what or not Path(what).exists():
        raise UnknownNameError("image", what, [*image_names(), "or the directory of a run"])
    from emu.trace.reader import load_run

    run = load_run(what)
    if arch not in (None, run.meta["arch"]):
        raise click.UsageError(f"--arch {arch}: the run is one of {run.meta['arch']}; leave the option out")
    return disassemble_run(run, functions)


def _headline(found: Disassembly) -> str:
    when = "as it stood when the run ended" if found.is_run else "as linked"
    return f"{found.image} for {found.arch}, {when}: {counted(len(found.functions), 'function')}"


def _print_function(function: Function) -> None:
    parts = [counted(function.size, "byte"), _whose(function), function.source]
    if function.kind in ("kernel", "module", "patch"):
        parts.append(_KINDS[function.site])
    if function.calls:
        parts.append(f"calls {function.calls}")
    header = f"{function.address:#x} <{function.name}>  {', '.join(filter(None, parts))}"
    click.echo(click.style(header, bold=True))
    for line in function.lines:
        for label in line.labels:
            click.echo(f"{label}:")
        code, source = line.code.hex(" "), Path(line.source).name
        notes = f"; {', '.join(line.notes)}" if line.notes else ""
        text = f"  {line.address:#x}  {code:<29}  {line.text:<44}  {source:<28}  {notes}"
        click.echo(click.style(text.rstrip(), fg="yellow" if line.is_site else None))


def _whose(function: Function) -> str:
    """Return what code other than the kernel's is part of."""
    gone = ", unloaded by then" if function.is_gone else ""
    match function.kind:
        case "kernel":
            return ""
        case "trampoline":
            return "trampoline"
        case "plt":
            return f"PLT of {function.object}{gone}"
        case _:
            return f"{function.kind} {function.object}{gone}"


def _document(found: Disassembly) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "arch": found.arch,
        "image": found.image,
        "run": found.is_run,
        "notes": list(found.notes),
        "functions": [
            {
                "name": function.name,
                "address": function.address,
                "size": function.size,
                "kind": function.kind,
                "object": function.object,
                "gone": function.is_gone,
                "source": function.source,
                "site": function.site.value,
                "state": function.state.value,
                "calls": function.calls or None,
                "versions": [
                    {
                        "patch": version.patch,
                        "replacement": version.replacement,
                        "in_transition": version.in_transition,
                    }
                    for version in function.versions
                ],
                "instructions": [
                    {
                        "address": line.address,
                        "bytes": line.code.hex(),
                        "text": line.text,
                        "source": line.source,
                        "labels": list(line.labels),
                        "target": line.target,
                        "site": line.is_site,
                        "notes": list(line.notes),
                    }
                    for line in function.lines
                ],
            }
            for function in found.functions
        ],
    }
