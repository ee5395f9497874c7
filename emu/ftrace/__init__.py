"""ftrace: sites, text pokes, handlers and their trampolines, on guest memory; and its users in the kernel."""

from emu.ftrace.core import Ftrace
from emu.ftrace.enabled_functions import enabled_functions
from emu.ftrace.flags import OpsFlags, RecordFlags
from emu.ftrace.function_filter import sites_called
from emu.ftrace.function_tracer import FunctionTracer
from emu.ftrace.hash_table import sites_in
from emu.ftrace.kprobes import Kprobes
from emu.ftrace.kprobes_files import KprobesFiles
from emu.ftrace.ops import FtraceOps
from emu.ftrace.sites import Sites
from emu.ftrace.text_poke import TextPoke, step_names
from emu.ftrace.tracefs import Tracefs
from emu.ftrace.trampoline_lines import trampoline_lines

__all__ = [
    "Ftrace",
    "FtraceOps",
    "FunctionTracer",
    "Kprobes",
    "KprobesFiles",
    "OpsFlags",
    "RecordFlags",
    "Sites",
    "TextPoke",
    "Tracefs",
    "enabled_functions",
    "sites_called",
    "sites_in",
    "step_names",
    "trampoline_lines",
]
