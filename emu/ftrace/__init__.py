"""ftrace: sites, text pokes, handlers and their trampolines, on guest memory."""

from emu.ftrace.core import Ftrace
from emu.ftrace.enabled_functions import enabled_functions
from emu.ftrace.flags import OpsFlags, RecordFlags
from emu.ftrace.ops import FtraceOps
from emu.ftrace.sites import Sites
from emu.ftrace.text_poke import step_names

__all__ = ["Ftrace", "FtraceOps", "OpsFlags", "RecordFlags", "Sites", "enabled_functions", "step_names"]
