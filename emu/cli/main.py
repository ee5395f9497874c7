"""The command: verbs, exit codes, and one clear line for every mistake."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import Any

import click

from emu import __version__
from emu.cli.complaints import complain
from emu.cli.exits import BAD_INPUT, DONE, INTERRUPTED, SKIPPED
from emu.errors import EmuError, SkippedError

_VERBS = {
    "analyze": "Say what a recorded run holds: versions, costs, consistency.",
    "cycles": "Predict the cycles of a piece of code, and measure them on this CPU.",
    "disasm": "Show annotated code of an image, or of a run with what is patched in it.",
    "doctor": "Check this installation: versions, compiled code, optional parts.",
    "explore": "Explore every outcome of a patching scenario that the hardware allows.",
    "list": "List images, scenarios, explorations, incidents, defects, ports, CPU models ...",
    "litmus": "Print every outcome that a memory model allows litmus tests.",
    "run": "Run a scenario and say which version of each function ran, and what it cost.",
}


class _Verbs(click.Group):
    """Verbs that are imported when they are used, so that help starts at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs, sorted."""
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in _VERBS:
            return None
        command: click.Command = importlib.import_module(f"emu.cli.{cmd_name}_verb").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(_VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a verb; an unknown one is answered with those there are."""
        if args[0] not in _VERBS and not args[0].startswith("-"):
            ctx.fail(f"no verb {args[0]!r}; known: {', '.join(sorted(_VERBS))}")
        return super().resolve_command(ctx, args)


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@click.version_option(__version__, prog_name="klpemu", message="%(prog)s %(version)s")
def klpemu() -> None:
    """Emulate live-patched function dispatch: ftrace stubs, trampolines, livepatch, on simulated CPUs."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with one of the codes in `emu.cli.exits`."""
    sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    try:
        with klpemu.make_context("klpemu", arguments or ["--help"]) as context:
            result: Any = klpemu.invoke(context)
        sys.stdout.flush()
        return int(result or DONE)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return _complain(error.format_message(), BAD_INPUT)
    except SkippedError as error:
        return _complain(str(error), SKIPPED)
    except EmuError as error:
        return _complain(str(error), BAD_INPUT)
    except (click.Abort, KeyboardInterrupt) as error:
        return _complain(str(error) or "interrupted", INTERRUPTED)
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
        return _complain(f"{error.filename or 'output'}: {error.strerror}", BAD_INPUT)


def _complain(message: str, code: int) -> int:
    complain(message)
    return code
