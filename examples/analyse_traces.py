"""What did calls cost, by the version that ran and by CPU? A trace is NumPy tables, one row per call.

python examples/analyse_traces.py
"""

import numpy as np

from emu import Machine

m = Machine(arch="x86_64", cpus=4, seed=7)
m.run(calls=5_000)
patch = m.livepatch.enable("livepatch-mini")
m.run(until=patch.settled)
m.run(calls=5_000)

run = m.finish()
leaf = run.calls[run.calls["site"] == m.kallsyms.address_of("mini_leaf")]
leaf = leaf[leaf["exit"] > 0]  # calls that were complete when the run ended
cycles = leaf["exit"] - leaf["enter"]

print("mini_leaf       calls  median     p99")
for version in run.meta["patches"]:
    own = cycles[leaf["patch"] == version["index"]]
    median, p99 = np.percentile(own, [50, 99], method="nearest")
    print(f"{version['name']:15}{len(own):6_}  {median:6_}  {p99:6_}")

for cpu in range(4):
    here = leaf["cpu"] == cpu
    share = np.mean(leaf["patch"][here] == patch.id)
    print(f"CPU{cpu}: {np.count_nonzero(here):_} calls, {share:.0%} patched")

print(f"same seed, same trace: {run.meta['digest']}")
