"""The same bytes on the host's CPU: its own clock, calibrated, with what disturbed it left out."""

from __future__ import annotations

import json
import platform
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from emu.errors import EmuError, SkippedError
from emu.lab.cycles.piece import Piece

SAMPLES, MORE_SAMPLES = 200, 1200
TIME_LIMIT_S = 60.0
_CHILD = Path(__file__).with_name("host_child.py")
_HOSTS = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_MEASURABLE = ("x86_64",)


class ForeignHostError(SkippedError):
    """The host's CPU can't run or can't time the code."""

    def __init__(self, arch: str, host: str) -> None:
        why = "has another architecture" if arch != host else "is one that klpemu has no timer for"
        super().__init__(
            f"--native: this host is {host}, the code {arch}: it {why}; "
            f"run it on an x86_64 host, or leave --native out"
        )
        self.arch, self.host = arch, host


class HostRunError(EmuError):
    """The code did not come back on the host, or could not be timed."""

    def __init__(self, piece: Piece, what: str) -> None:
        super().__init__(f"{piece.path}: on the host: {what}")
        self.what = what


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Cycles per iteration on the host.

    Args:
        cycles: median of the faster half of the undisturbed samples.
        low, high: tenth and ninetieth percentile of all undisturbed ones.
        samples, rejected: how many were kept, and not.
        cpu: what the host calls its CPU.
    """

    cycles: float
    low: float
    high: float
    samples: int
    rejected: int
    cpu: str


def measure(piece: Piece, *, once: bool) -> Measured:
    """Run ``piece`` on the host in a process of its own.

    Args:
        piece: what to run; it is trusted: it can do what any program of the user can.
        once: it ignores its number of iterations: time whole calls.

    Raises:
        ForeignHostError: this host can't.
        HostRunError: it crashed, did not end, or the host is too busy.
    """
    host = _HOSTS.get(platform.machine(), platform.machine())
    if host != piece.port.name or host not in _MEASURABLE:
        raise ForeignHostError(piece.port.name, host)
    answer: dict[str, float | str] = {}
    for samples in (SAMPLES, MORE_SAMPLES):
        answer = _ask(piece, samples, once)
        if "error" not in answer:
            break
    if "error" in answer:
        raise HostRunError(piece, str(answer["error"]))
    return Measured(
        cycles=float(answer["cycles_per_iteration"]), low=float(answer["p10"]), high=float(answer["p90"]),
        samples=int(answer["samples"]), rejected=int(answer["rejected"]), cpu=cpu_name(),
    )  # fmt: skip


def _ask(piece: Piece, samples: int, once: bool) -> dict[str, float | str]:
    request = {
        "segments": [[at, content.hex()] for at, content in piece.segments.items()], "entry": piece.entry,
        "samples": samples, "once": once,
    }  # fmt: skip
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(_CHILD)], input=json.dumps(request), capture_output=True, text=True,
            timeout=TIME_LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise HostRunError(piece, f"it has not returned after {TIME_LIMIT_S:.0f} s") from error
    if done.returncode < 0:
        raise HostRunError(piece, f"it ended with {signal.Signals(-done.returncode).name}")
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise HostRunError(piece, f"it could not be mapped: {lines[-1] if lines else 'no message'}")
    answer: dict[str, float | str] = json.loads(done.stdout)
    return answer


def cpu_name() -> str:
    """Return what the host calls its CPU, with family and model where it tells them."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    facts: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    name = facts.get("model name", platform.machine())
    if "cpu family" in facts and "model" in facts:
        name += f" (family {facts['cpu family']} model {facts['model']})"
    return name


def host_model() -> str | None:
    """Return the CPU model that describes the host, or None.

    Zen 4 is family 25, models 16-31, 96-111, 120-127, 160-175.

    Source: Linux, arch/x86/kernel/cpu/amd.c, init of X86_FEATURE_ZEN4.
    """
    name = cpu_name()
    if "AMD" not in name or "(family 25 model " not in name:
        return None
    model = int(name.rpartition(" ")[2].rstrip(")"))
    known = any(
        low <= model <= high for low, high in ((0x10, 0x1F), (0x60, 0x6F), (0x78, 0x7F), (0xA0, 0xAF))
    )
    return "zen4" if known else None
