"""Is the way from a patched function to its replacement right at every single instruction?

At each instruction of entry site, trampoline and handler, a call is interrupted and another task makes the
same one. The guest checks results, registers and stack. Argument: the port, x86_64 or arm64.
"""

import sys

from emu import Func, Machine, Object, Patch
from emu.machine.state import IRQ_TIMER

arch = sys.argv[1] if len(sys.argv) > 1 else "arm64"
m = Machine(arch=arch, cpus=1, users=0, mode="exact")
patch = m.livepatch.enable(Patch("leaf", (Object(None, (Func("mini_leaf", "lp_mini_leaf"),)),)))
m.run(until=patch.settled)
function = m.kallsyms.address_of("mini_leaf")
replacement = m.kallsyms.find("leaf", "lp_mini_leaf")[0].address
m.offer_calls([call for call in m.manifest.calls if call.fn == "mini_leaf"])


def step_to(address: int) -> int:
    """Run one instruction at a time until the CPU is about to execute ``address``; return how many."""
    steps = 0
    while m.kernel.engine.read_register(0, m.port.registers.pc) != address:
        m.run(instructions=1)
        steps += 1
    return steps


step_to(function)
way = step_to(replacement)
for boundary in range(way + 1):
    step_to(function)
    m.run(instructions=boundary)
    m.kernel.engine.interrupt(0, IRQ_TIMER)  # taken before the next instruction
    report = m.run(calls=5)
    assert report.ok, "\n".join(report.lines())

print(f"{arch}: {way} instructions from mini_leaf to lp_mini_leaf, interrupted before each of them")
print(f"wrong results, registers or stacks: {m.bad_results()}; WARNs: {m.kernel.warnings()}")
