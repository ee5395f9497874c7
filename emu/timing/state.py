"""Making the arrays of the cycle model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.timing.layout import (
    CACHES_AT,
    NONE,
    P_RETURN_STACK,
    RETURNS_AT,
    SH_LLC_AT,
    T_CPUS,
    T_FETCH_LINE,
    T_HEAD_END,
    T_INDEX,
    T_L1_TLB_AT,
    T_L1D_AT,
    T_L1I_AT,
    T_L2_AT,
    T_L2_TLB_AT,
    T_REPEAT_PC,
    T_RETURNS,
    T_RETURNS_KNOWN,
)
from emu.timing.model import CpuModel, parameter_words

_CACHES = (
    ("l1i", T_L1I_AT),
    ("l1d", T_L1D_AT),
    ("l2", T_L2_AT),
    ("l1_tlb", T_L1_TLB_AT),
    ("l2_tlb", T_L2_TLB_AT),
)


_LINE = 64
"""Bytes of a line of the host's caches: a store or a set of tags then is one line, not two halves."""

_LINE_WORDS = _LINE // 8


def zeros(shape: int, dtype: type[np.int32 | np.int64] = np.int64) -> NDArray[Any]:
    """Return a zeroed array of shape ``(shape,)`` that begins with a line of the host's caches."""
    size = np.dtype(dtype).itemsize
    raw = np.zeros(shape + _LINE // size, dtype)
    start = -raw.ctypes.data % _LINE // size
    return raw[start : start + shape]


def _tags(model: CpuModel, cache: str) -> int:
    return model.parameters[f"{cache}_sets"] * model.parameters[f"{cache}_ways"]


def cpu_words(model: CpuModel) -> int:
    """Return how many int64 one CPU of ``model`` takes: whole lines of the host's caches."""
    size = CACHES_AT + sum(_tags(model, cache) for cache, _ in _CACHES)
    return -(-size // _LINE_WORDS) * _LINE_WORDS


def shared_words(model: CpuModel) -> int:
    """Return how many int64 the CPUs of one machine share."""
    return SH_LLC_AT + _tags(model, "llc")


def new_cpu(model: CpuModel, index: int = 0, cpus: int = 1) -> NDArray[np.int64]:
    """Return a CPU with an empty pipeline and cold caches, at cycle 0, shape ``(cpu_words(model),)``, int64.

    Args:
        model: its figures.
        index: its number, from 0.
        cpus: how many there are; 1 leaves coherence out.
    """
    cpu = zeros(cpu_words(model))
    for name, word in parameter_words().items():
        cpu[word] = model.parameters[name]
    at = CACHES_AT
    for cache, word in _CACHES:
        cpu[word] = at
        at += _tags(model, cache)
    cpu[T_INDEX], cpu[T_CPUS] = index, cpus
    cpu[[T_FETCH_LINE, T_HEAD_END, T_REPEAT_PC]] = NONE
    return cpu


def new_shared(model: CpuModel) -> NDArray[np.int64]:
    """Return what the CPUs of one machine share, empty, shape ``(shared_words(model),)``, int64."""
    return zeros(shared_words(model))


def push_return(cpu: NDArray[np.int64], address: int) -> None:
    """Have ``cpu`` predict a return to ``address``, as a call that is not stepped through would."""
    depth, top = int(cpu[P_RETURN_STACK]), int(cpu[T_RETURNS])
    cpu[RETURNS_AT + top] = address
    cpu[T_RETURNS] = (top + 1) % depth
    cpu[T_RETURNS_KNOWN] = min(int(cpu[T_RETURNS_KNOWN]) + 1, depth)
