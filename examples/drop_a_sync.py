"""What is each step of a text poke for? Leave one out, and read what goes wrong.

x86-64 puts an INT3 over the first byte, lets every CPU serialise, writes the tail, lets every CPU serialise,
writes the first byte. Here the first sync is left out: a CPU may meet the old first byte with the new tail.

    python examples/drop_a_sync.py
"""

from emu import Func, Machine, Object, Patch
from emu.ftrace import step_names

STEP = "sync after int3"
LEAF = Patch("leaf", (Object(None, (Func("mini_leaf", "lp_mini_leaf"),)),))


def run(seed: int, drop: tuple[str, ...]) -> list[str]:
    """Enable and disable a patch a few times; return the report of what went wrong, empty if nothing did."""
    m = Machine(arch="x86_64", cpus=4, seed=seed, mode="exact", fetch="tail", tick=1_500, drop=drop)
    calls = {call.fn: call for call in m.manifest.calls}
    m.offer_calls([calls["mini_leaf"]] * 20 + [calls["mini_sleep"]])
    for _ in range(4):
        patch = m.livepatch.enable(LEAF)
        report = m.run(until=patch.settled)
        if report.ok:
            patch.disable()
            report = m.run(until=patch.settled)
        if not report.ok:
            return report.lines()
    return []


print(f"{STEP!r}: {step_names(Machine().port)[STEP]}")
reports = ((seed, run(seed, (STEP,))) for seed in range(1, 50))
seed, report = next((seed, lines) for seed, lines in reports if "has not synchronised" in "".join(lines))
print("\n".join(line for at, line in enumerate(report) if at == 0 or "has not synchronised" in line))
print(f"seed {seed}, nothing left out: {run(seed, ()) or 'all is well'}")
