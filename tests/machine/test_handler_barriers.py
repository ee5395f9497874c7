"""Barriers of the handler and its partner, by the shipped handler itself: runs show which carry weight."""

from __future__ import annotations

import pytest

from emu.arch import PORTS, Port
from emu.build.asm.assembler import assemble
from emu.build.assembly_files import read_units
from emu.build.image import port_equates
from emu.build.memory_map import KERNEL_TEXT
from emu.machine.programs import SHARED_WORDS, Program, Thread, code_address
from emu.machine.state import Ordering
from emu.structs import CONSTANTS, KLP_FUNC, KLP_OPS, PERCPU, TASK
from tests.machine.shapes import code_of

DMB_ISHLD, NOP = bytes.fromhex("bf3903d5"), bytes.fromhex("1f2003d5")
AREA, TASK_AT, OPS_AT, FUNC_AT, REGS_AT = (SHARED_WORDS + 0x200 * at for at in (0, 1, 3, 4, 5))
PUBLISH = "str xzr, [x1]; dmb ishst; strb w20, [x2]"
"""What klp_init_transition does to a task and a func: patch_state = UNPATCHED; smp_wmb; transition = 1."""
IDLE = CONSTANTS["KLP_IDLE"] & (1 << 64) - 1


def handler(port: Port) -> bytes:
    """Return the shipped klp_ftrace_handler; all its jumps are relative."""
    (unit,) = (unit for unit in read_units(port, "") if unit.name == "klp_ftrace_handler")
    return assemble(port, [unit], base=KERNEL_TEXT.base, equates=port_equates(port)).code


def idle_states(code: bytes, publish: str, *, seeds: int) -> int:
    """Return in how many runs the handler saw a transition, yet a task that is in none: it warns by a BRK."""
    port = PORTS["arm64"]
    node = FUNC_AT + KLP_FUNC.offset("stack_node.next")
    enter = code_of("arm64", "msr tpidr_el1, x9")
    installer = Thread(
        code=code_of("arm64", publish),
        registers={
            "x1": TASK_AT + TASK.offset("patch_state"), "x2": FUNC_AT + KLP_FUNC.offset("transition"),
            "x20": 1,
        },
    )  # fmt: skip
    caller = Thread(
        code=enter + code,
        registers={
            "x9": AREA, "x2": OPS_AT + KLP_OPS.offset("fops"), "x3": REGS_AT,
            "x30": code_address(PORTS["arm64"], 1) + len(enter + code),
        },
    )  # fmt: skip
    memory = {
        AREA + PERCPU.offset("current_task"): TASK_AT,
        TASK_AT + TASK.offset("patch_state"): IDLE,
        OPS_AT + KLP_OPS.offset("func_stack.next"): node,
        node: OPS_AT + KLP_OPS.offset("func_stack.next"),
    }
    program = Program(port, [installer, caller], Ordering.ARM64, observed=["x16"])
    return sum(not program.run(seed, memory).complete for seed in range(seeds))


class TestSmpRmb2:
    """func->transition before current->patch_state; pairs with the write barrier of klp_init_transition."""

    def test_as_shipped_a_transition_is_never_seen_without_the_task_being_in_it(self) -> None:
        assert idle_states(handler(PORTS["arm64"]), PUBLISH, seeds=3000) == 0

    def test_without_it_a_run_shows_a_task_that_is_in_none(self) -> None:
        code = handler(PORTS["arm64"])
        second = code.rindex(DMB_ISHLD)
        assert idle_states(code[:second] + NOP + code[second + 4 :], PUBLISH, seeds=3000) > 0

    def test_without_its_partner_likewise(self) -> None:
        assert idle_states(handler(PORTS["arm64"]), PUBLISH.replace("dmb ishst", "nop"), seeds=3000) > 0

    @pytest.mark.parametrize("publish", [PUBLISH], ids=["shipped"])
    def test_number_1_is_not_needed_for_that(self, publish: str) -> None:
        code = handler(PORTS["arm64"])
        first = code.index(DMB_ISHLD)
        assert idle_states(code[:first] + NOP + code[first + 4 :], publish, seeds=3000) == 0
