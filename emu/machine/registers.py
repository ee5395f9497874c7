"""Unicorn's CPUs and their register numbers, by the names that ports use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from unicorn import arm64_const, unicorn_const, x86_const
from unicorn.unicorn_py3.unicorn import Uc

from emu.arch.port import Port
from emu.machine.state import EXCEPTION_SYSCALL, PORT_ARM64, PORT_X86_64


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCpu:
    """How Unicorn is asked for a CPU of a port.

    Args:
        arch, mode, model: Unicorn constants; ``model`` None = the default.
        hardware: which exception entry the loop performs.
        flags: register that holds the interrupt mask.
        link: return address register, or -1 where it is on the stack.
        entry_a, entry_b: registers that exception entry writes (see ``state.CTL_REG_A``).
        prefix: of Unicorn's register constants.
        halt: code of the instruction that stops it.
        exceptions: what the numbers mean that its interrupt hook brings.
    """

    arch: int
    mode: int
    model: int | None
    hardware: int
    flags: int
    link: int
    entry_a: int
    entry_b: int
    prefix: str
    halt: bytes
    exceptions: Mapping[int, str]


_CPUS = {
    "x86_64": EngineCpu(
        arch=unicorn_const.UC_ARCH_X86,
        mode=unicorn_const.UC_MODE_64,
        model=None,
        hardware=PORT_X86_64,
        flags=x86_const.UC_X86_REG_EFLAGS,
        link=-1,
        entry_a=x86_const.UC_X86_REG_RCX,
        entry_b=x86_const.UC_X86_REG_R11,
        prefix="UC_X86_REG_",
        halt=b"\xf4",  # HLT
        exceptions={  # Source: Intel SDM vol. 3A, table 6-1
            0: "division by zero, or its quotient does not fit",
            1: "debug exception",
            3: "breakpoint",
            4: "overflow",
            5: "bound range exceeded",
            6: "undefined instruction",
            7: "no floating point",
            8: "double fault",
            10: "invalid TSS",
            11: "segment not present",
            12: "stack-segment fault",
            13: "general protection",
            14: "page fault",
            16: "floating-point error",
            17: "unaligned access",
            19: "SIMD floating-point exception",
            EXCEPTION_SYSCALL - 1: "a system call from kernel text",
        },
    ),
    "arm64": EngineCpu(
        arch=unicorn_const.UC_ARCH_ARM64,
        mode=unicorn_const.UC_MODE_ARM,
        model=arm64_const.UC_CPU_ARM64_MAX,
        hardware=PORT_ARM64,
        flags=arm64_const.UC_ARM64_REG_PSTATE,
        link=arm64_const.UC_ARM64_REG_X30,
        entry_a=arm64_const.UC_ARM64_REG_ELR_EL1,
        entry_b=arm64_const.UC_ARM64_REG_CP_REG,
        prefix="UC_ARM64_REG_",
        halt=bytes.fromhex("7f2003d5"),  # WFI
        exceptions={  # Source: QEMU 5.0, target/arm/cpu.h, EXCP_*
            1: "undefined instruction",
            2: "a system call from kernel text",
            3: "address beyond memory executed",
            4: "unaligned exclusive, acquire or release access, or an address beyond memory",
            7: "breakpoint",
            11: "hypervisor call",
            13: "secure monitor call",
            18: "no floating point",
            19: "illegal execution state",
        },
    ),
}


def engine_cpu(port: Port) -> EngineCpu:
    """Return how Unicorn is asked for a CPU of ``port``."""
    return _CPUS[port.name]


def new_cpu(port: Port) -> Uc:
    """Return a CPU of ``port`` with nothing mapped."""
    kind = engine_cpu(port)
    uc = Uc(kind.arch, kind.mode)
    if kind.model is not None:
        uc.ctl_set_cpu_model(kind.model)
    return uc


def register_number(port: Port, name: str) -> int:
    """Return Unicorn's number of the register that ``port`` calls ``name``."""
    module = x86_const if engine_cpu(port).hardware == PORT_X86_64 else arm64_const
    return int(getattr(module, engine_cpu(port).prefix + name.upper()))
