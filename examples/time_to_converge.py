"""How long does a transition take? One scenario under many seeds.

Tasks switch when they leave the kernel, or when livepatch finds them asleep or preempted outside of what is
patched; it looks about once a second. So the time depends on chance, and on how many tasks there are.

    python examples/time_to_converge.py
"""

from emu.lab.converge import converge
from emu.lab.scenario import Scenario, Step

SEEDS = range(1, 9)
STEPS = (Step(after_calls=500, action="enable", subject="livepatch-mini"),)

for workers in (2, 6):
    scenario = Scenario(name="converge", cpus=4, workers=workers, users=1, tick=500, steps=STEPS)
    found = converge(scenario, SEEDS)
    spread = found.percentiles(50, 90, 100)
    assert not found.never
    print(
        f"{workers} kernel threads per CPU: {len(found.cycles)} transitions; "
        f"half within {spread[50]:_} cycles, 90% within {spread[90]:_}, all within {spread[100]:_}"
    )
