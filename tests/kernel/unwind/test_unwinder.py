"""Which code an unwinder knows, and for how long."""

from __future__ import annotations

import pytest

from emu.arch import PORTS, Port, port_named
from emu.build.asm.assembler import Unit
from emu.build.decode import decode
from emu.build.image import Image, build_module
from emu.build.memory_map import MODULE_DATA, MODULES
from emu.kernel.errno import EINVAL
from emu.structs import TASK
from tests.kernel.unwind.watched import Watched

PROLOGUE = {"x86_64": "push rbx", "arm64": "stp x29, x30, [sp, #-0x10]!"}
CALL = {"x86_64": "call elsewhere", "arm64": "bl elsewhere"}
RETURN = {"x86_64": "pop rbx\nret", "arm64": "ldp x29, x30, [sp], #0x10\nret"}


def module(arch: str, source: str, name: str = "fn") -> Image:
    """Return a module of one function."""
    unit = Unit(name=name, text=f".global {name}\n{name}:\n{source}\n", origin="fn.s")
    return build_module(
        port_named(arch), "test", [unit], text_base=MODULES.base, data_base=MODULE_DATA.base,
        externs={"elsewhere": MODULES.base + 0x1000},
    )  # fmt: skip


def behind_call(port: Port, code: bytes, address: int) -> int:
    """Return the address behind the first call of ``code``."""
    return next(i.address + i.size for i in decode(port, code, address) if "call" in i.groups)


def behind_call_of(watched: Watched, name: str) -> int:
    """Return the address behind the first call of a kernel function."""
    symbol = watched.kernel.image.symbols[name]
    code = watched.kernel.engine.memory.read(symbol.address, symbol.size)
    return behind_call(watched.port, code, symbol.address)


def enter_by_hand(watched: Watched, address: int) -> list[int] | int:
    """Let a thread begin in code with `PROLOGUE`, be switched out in a call of it, and return its stack.

    Args:
        address: what that call returns to.
    """
    task = next(task for task in watched.kernel.tasks if task.comm.startswith("worker"))
    memory, frame = watched.kernel.engine.memory, watched.port.switch_frame
    began = behind_call_of(watched, "ret_from_fork")
    top = task.kernel_stack[1] - (0x10 if watched.port.registers.link else 0)  # its final frame record
    memory.store(top - 8, began)
    sp = top - 0x10 - frame.size
    memory.view(frame, sp)[0][watched.port.switch_return] = address
    memory.store(task.struct + TASK.offset("sp"), sp)
    return watched.unwinder.reliable(task)


@pytest.mark.parametrize("arch", PORTS)
class TestImages:
    """An image's functions are known while it is there."""

    def test_a_module_comes_and_goes(self, arch: str) -> None:
        watched, image = Watched(arch), module(arch, f"{PROLOGUE[arch]}\n{CALL[arch]}\n{RETURN[arch]}")
        behind = behind_call(watched.port, image.text[0][1], image.text[0][0])
        assert enter_by_hand(watched, behind) == -EINVAL
        watched.unwinder.add_image(image)
        assert enter_by_hand(watched, behind) == [behind, behind_call_of(watched, "ret_from_fork")]
        assert watched.unwinder.place(behind).endswith(" [test]")
        watched.unwinder.remove_image(image)
        assert enter_by_hand(watched, behind) == -EINVAL
        assert watched.unwinder.place(behind) == f"{behind:#x}"

    def test_a_last_call_returns_behind_all_of_the_text(self, arch: str) -> None:
        watched, image = Watched(arch), module(arch, f"{PROLOGUE[arch]}\n{CALL[arch]}")
        watched.unwinder.add_image(image)
        behind = image.text[0][0] + len(image.text[0][1])
        assert enter_by_hand(watched, behind) == [behind, behind_call_of(watched, "ret_from_fork")]

    @pytest.mark.parametrize(
        "name", ["ret_from_fork", "finish_task_switch", "cpu_idle_loop", "ftrace_caller"]
    )
    def test_names_mean_something_in_the_kernel_only(self, arch: str, name: str) -> None:
        watched, image = Watched(arch), module(arch, f"{PROLOGUE[arch]}\n{CALL[arch]}\n{RETURN[arch]}", name)
        watched.unwinder.add_image(image)
        behind = behind_call(watched.port, image.text[0][1], image.text[0][0])
        assert enter_by_hand(watched, behind) == [behind, behind_call_of(watched, "ret_from_fork")]

    @pytest.mark.parametrize(("label", "goes_on"), [("__warn_here", True), ("__bug_here", False)])
    def test_behind_a_warning_it_goes_on_behind_a_bug_it_does_not(
        self, arch: str, label: str, goes_on: bool
    ) -> None:
        trap = {"x86_64": "ud2", "arm64": "brk #0x800"}[arch]
        watched, image = Watched(arch), module(arch, f".global {label}\n{label}:\n{trap}\nret")
        watched.unwinder.add_image(image)
        base, code = image.text[0]
        names, task = watched.port.registers, watched.kernel.tasks[0]
        registers = dict.fromkeys(names.all, 0) | {names.sp: task.kernel_stack[0]}
        registers[names.pc] = decode(watched.port, code, base)[1].address
        unknown = watched.unwinder.walk(task, registers).problem.startswith("no frame is known at fn+")
        assert unknown is not goes_on


@pytest.mark.parametrize("arch", PORTS)
class TestTexts:
    """So are copies of the kernel's routines, and veneers."""

    @pytest.mark.parametrize("known", [True, False], ids=["template", "no-template"])
    def test_a_copy_comes_and_goes(self, arch: str, known: bool) -> None:
        watched, at = Watched(arch), MODULES.base + 0x2000
        symbol = watched.kernel.image.symbols["schedule"]
        code = watched.kernel.engine.memory.read(symbol.address, symbol.size)
        behind = at + behind_call_of(watched, "schedule") - symbol.address
        assert enter_by_hand(watched, behind) == -EINVAL
        watched.unwinder.add_text("copy", at, code, template=symbol.address if known else 0)
        assert watched.unwinder.place(behind) == f"copy+{behind - at:#x}/{len(code):#x}"
        answer = enter_by_hand(watched, behind)
        # without its template it is taken for a veneer: what it goes back to has not run yet
        assert answer == ([behind, behind_call_of(watched, "ret_from_fork")])
        watched.unwinder.remove_text(at)
        assert enter_by_hand(watched, behind) == -EINVAL
