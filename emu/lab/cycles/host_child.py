"""Runs machine code on the host CPU and prints its times.

It is a process of its own, because the code may do anything.

Started as a script with a JSON request on stdin; imports nothing of this project.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import statistics
import sys

PAGE = 4096
SCRATCH_SIZE = 64 << 10
CHAIN_ADDS = 64
WIDTH_MOVES = 96
CALIBRATION_CYCLES = 16_000  # the TSC may step by 26, so that shorter ones are not exact
SAMPLE_CYCLES = 40_000  # of one timed run: 15 us, short enough to fall between timer ticks most times
MAX_ITERATIONS = 1 << 22

_TIMER = bytes.fromhex(
    "53554154415541564157"  # push rbx, rbp, r12 to r15
    "4989fc4889f74889d6"  # mov r12, rdi ; mov rdi, rsi ; mov rsi, rdx
    "0faee80f310faee8"  # lfence ; rdtsc ; lfence
    "48c1e2204809d04989c5"  # shl rdx, 32 ; or rax, rdx ; mov r13, rax
    "4989e6"  # mov r14, rsp
    "4881e400f0ffff"  # and rsp, -4096: the same place in a page each time
    "4883ec10"  # sub rsp, 16
    "4c892c24"  # mov [rsp], r13
    "4c89742408"  # mov [rsp + 8], r14
    "41ffd4"  # call r12
    "4c8b2c24"  # mov r13, [rsp]
    "488b642408"  # mov rsp, [rsp + 8]
    "0f01f90faee8"  # rdtscp ; lfence
    "48c1e2204809d04c29e8"  # shl rdx, 32 ; or rax, rdx ; sub rax, r13
    "fc"  # cld
    "415f415e415d415c5d5bc3"  # pop r15 to rbx ; ret
)
"""uint64 timer(code, iterations, scratch): TSC ticks of one call. The code finds rsp 24 below a page."""


def _calibration(body: bytes) -> bytes:
    """Return a function that runs ``body`` rdi times."""
    loop = body + bytes.fromhex("48ffcf")  # dec rdi
    return loop + b"\x0f\x85" + (-(len(loop) + 6)).to_bytes(4, "little", signed=True) + b"\xc3"


class Host:
    """Code mapped executable, and how to time it."""

    def __init__(self, segments: list[tuple[int, bytes]], entry: int) -> None:
        pieces = [
            _TIMER,
            b"\xc3",
            _calibration(bytes.fromhex("4883c001") * CHAIN_ADDS),  # add rax, 1
            _calibration(
                bytes.fromhex("89c889d1") * (WIDTH_MOVES // 2)
            ),  # mov eax, ecx ; mov ecx, edx: eliminated
        ]
        starts, at = [], 0
        for piece in pieces:
            starts.append(at)
            at += -(-len(piece) // PAGE) * PAGE
        low = min(address for address, _ in segments) & -PAGE
        room = max(address + len(content) for address, content in segments) - low
        self.area = mmap.mmap(-1, at + room + PAGE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        for start, piece in zip(starts, pieces, strict=True):
            self.area[start : start + len(piece)] = piece
        for address, content in segments:  # distances stay, so relative addresses are right
            self.area[at + address - low : at + address - low + len(content)] = content
        self.scratch = mmap.mmap(-1, SCRATCH_SIZE)
        host = ctypes.addressof(ctypes.c_char.from_buffer(self.area))
        self.scratch_at = ctypes.addressof(ctypes.c_char.from_buffer(self.scratch))
        self.call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64)(host)
        self.empty, self.chain, self.width = (host + start for start in starts[1:])
        self.code = host + at + entry - low

    def ticks(self, function: int, iterations: int) -> int:
        """Return TSC ticks of one call."""
        return int(self.call(function, iterations, self.scratch_at))

    def timed(self, function: int, iterations: int) -> int:
        """Return TSC ticks of ``iterations`` alone, without call, loop exit and time stamp."""
        return self.ticks(function, iterations + 8) - self.ticks(function, 8)

    def clear(self) -> None:
        """Zero the scratch area: the code is promised one."""
        ctypes.memset(self.scratch_at, 0, SCRATCH_SIZE)


def measure(host: Host, samples: int, once: bool) -> dict[str, float | int | str]:
    """Return cycles per iteration: the median of the samples that nothing disturbed, and their spread."""
    few, many = (1, 1) if once else _iterations(host)
    chain_runs = CALIBRATION_CYCLES // CHAIN_ADDS
    rows = []
    for _ in range(samples):
        empty = min(host.ticks(host.empty, 1) for _ in range(3))
        chain0 = host.timed(host.chain, chain_runs)
        width0 = host.timed(host.width, 3 * chain_runs)
        host.clear()
        short = host.ticks(host.code, few)
        host.clear()
        long = empty + short if once else host.ticks(host.code, many)
        width1 = host.timed(host.width, 3 * chain_runs)
        chain1 = host.timed(host.chain, chain_runs)
        rows.append((chain0, chain1, width0, width1, long - short if not once else short - empty))
    per_tick = [
        (2 * chain_runs * CHAIN_ADDS / (a + b), w / a, x / b, abs(a - b) / a, ticks)
        for a, b, w, x, ticks in rows
        if min(a, b, w, x) > 0
    ]
    best = sorted(min(row[1], row[2]) for row in per_tick)[len(per_tick) // 10]
    calm = [
        row[0] * row[4] / (1 if once else many - few)
        for row in per_tick
        if row[3] <= 0.01 and max(row[1], row[2]) <= 1.03 * best
    ]
    if len(calm) < 8:
        return {"error": f"only {len(calm)} of {samples} samples were undisturbed; the host is too busy"}
    calm.sort()
    half = calm[: max(len(calm) // 2, 4)]
    return {
        "cycles_per_iteration": statistics.median(half),
        "p10": calm[len(calm) // 10],
        "p90": calm[(9 * len(calm)) // 10],
        "samples": len(calm),
        "rejected": samples - len(calm),
        "tsc_ratio": statistics.median(row[0] for row in per_tick),
    }


def _iterations(host: Host) -> tuple[int, int]:
    """Return two iteration counts, the difference of whose times is long enough to be exact."""
    few, count = 16, 64

    def shortest(iterations: int) -> int:
        """Return the least of some runs: the first meets page faults and cold caches."""
        times = []
        for _ in range(4):
            host.clear()
            times.append(host.ticks(host.code, iterations))
        return min(times)

    while count < MAX_ITERATIONS and shortest(count) < SAMPLE_CYCLES // 2:
        count *= 2
    while count > 4 * few and shortest(count) - shortest(few) >= 3 * SAMPLE_CYCLES // 2:
        count //= 2  # the loop costs far more than what comes before it
    return max(few, count // 4), count


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    host = Host([(at, bytes.fromhex(content)) for at, content in request["segments"]], request["entry"])
    print(json.dumps(measure(host, request["samples"], request["once"])))


if __name__ == "__main__":
    main()
