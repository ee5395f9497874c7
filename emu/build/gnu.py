"""Assembly to object file by GNU tools of the machine, for whoever has these and not the toolchain extra."""

from __future__ import annotations

import platform
import shutil

_HOSTS = {"EM_X86_64": ("x86_64", "AMD64"), "EM_AARCH64": ("aarch64", "arm64")}
_PREFIXES = {"EM_X86_64": "x86_64-linux-gnu-", "EM_AARCH64": "aarch64-linux-gnu-"}
_TOOLS = {".s": "as", ".S": "gcc"}
_ARCHITECTURE = {"EM_X86_64": (), "EM_AARCH64": ("-march=armv8.5-a",)}


def gnu_command(machine: str, suffix: str) -> list[str] | None:
    """Return the command that makes an object of a source, but for ``SOURCE -o RESULT``; None: there is none.

    Args:
        machine: ``Port.machine``.
        suffix: of the source: ``.s`` goes to the assembler, ``.S`` to GCC, which runs the preprocessor.
    """
    tool = _TOOLS.get(suffix)
    if tool is None:
        return None
    names = [_PREFIXES[machine] + tool]
    if platform.machine() in _HOSTS[machine]:
        names.append(tool)
    found = next((name for name in names if shutil.which(name)), None)
    if found is None:
        return None
    return [found, *_ARCHITECTURE[machine], *(["-c"] if tool == "gcc" else [])]
