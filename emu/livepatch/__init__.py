"""Livepatching: kernel/livepatch/*.c in Python, on guest memory."""

from emu.livepatch.flavour import FLAVOURS, LINUX_6_1, LINUX_6_17, Flavour, flavour_named
from emu.livepatch.graph import for_each_func, for_each_object, func_name
from emu.livepatch.livepatch import Livepatch, ObjectState, PatchFacts
from emu.livepatch.model import Callback, Func, Object, ObjectFacts, Patch, State
from emu.livepatch.parts import RIGHT, CheckStack, Parts
from emu.livepatch.patch import Patcher
from emu.livepatch.procfs import Procfs
from emu.livepatch.shadow import Constructor, Destructor, Shadow
from emu.livepatch.stack_check import klp_check_stack
from emu.livepatch.state import States
from emu.livepatch.sysfs import Sysfs
from emu.livepatch.transition import PatchState

__all__ = [
    "FLAVOURS",
    "LINUX_6_1",
    "LINUX_6_17",
    "RIGHT",
    "Callback",
    "CheckStack",
    "Constructor",
    "Destructor",
    "Flavour",
    "Func",
    "Livepatch",
    "Object",
    "ObjectFacts",
    "ObjectState",
    "Parts",
    "Patch",
    "PatchFacts",
    "PatchState",
    "Patcher",
    "Procfs",
    "Shadow",
    "State",
    "States",
    "Sysfs",
    "flavour_named",
    "for_each_func",
    "for_each_object",
    "func_name",
    "klp_check_stack",
]
