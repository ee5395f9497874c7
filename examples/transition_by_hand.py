"""A task sleeps in what a patch changes: who holds the transition up, and what sysfs does about it.

python examples/transition_by_hand.py
"""

from emu import Machine
from emu.lab.userland import Userland

PATCH = "/sys/kernel/livepatch/lp_w1"

machine = Machine("reference", arch="arm64", cpus=2, workers=0, users=0, spare_tasks=4)
shell = Userland(machine)  # root's shell: insmod, rmmod, files, processes, time
for module in ("viccore", "victim"):
    assert shell.insmod(module) == 0

sleeper = shell.process("sleeper", cpu=1)  # it makes calls when it is told to
sleeper.call(shell.address("vic_show"), shell.address("vic_wait"), 3)  # sleeps until gate 3 is open
shell.settle()

shell.insmod("lp_w1")
print("transition ends within 3 s:", shell.wait_for_transition(3))
stuck = machine.why_stuck()
print(*(stuck.lines() if stuck else []), sep="\n")

shell.write(f"{PATCH}/enabled", "0")  # reverse it: the sleeper is where it may be
print("reversed:", shell.wait_for_transition(3), "patches in use:", [*machine.livepatch.facts()])
assert shell.rmmod("lp_w1") == 0

shell.insmod("lp_w1")
shell.write(f"{PATCH}/force", "1")  # whoever sleeps there will return into the old version
print("forced:", shell.wait_for_transition(3), "rmmod:", shell.rmmod("lp_w1"))

shell.set_gate(3, is_open=True)
print("the sleeper was answered by version", shell.finish(sleeper))
print(*machine.log[-3:], sep="\n")
