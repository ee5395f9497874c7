"""The cycle model: when each instruction of a CPU is fetched, dispatched, executed and retired.

Pure Numba over int64 arrays; it knows nothing of the engine that produces the instruction stream.
The rules are told in docs/cycle-model.md. How to use it:

1. ``model = load_cpu_model("zen4")`` reads a data file: parameters, each with its source.
2. ``rows = RowTable(model)`` decodes instructions once: ``rows.index(code)`` gives the number of the row of
   the instruction whose bytes are ``code`` (equal bytes share a row), ``rows.array`` is the flat int32 table.
   An instruction that the role tables or the model do not cover raises `UncoveredInstructionError`, which
   names it. The array may move when a row is added: take its address anew after each `RowTable.index`.
3. ``shared = new_shared(model)`` and, for each CPU, ``cpu = new_cpu(model, index, cpus)``: int64 arrays.
4. For each instruction, once it has executed::

       clock = step(cpu, shared, rows, row, pc, next_pc, loaded, stored, detail)

   ``rows`` is the flat table and ``row`` a number of `RowTable.index`; ``next_pc`` is the address that
   is executed next, however it was reached; ``loaded`` and ``stored`` are the addresses of the first read and
   of the first write of the instruction, -1 if there was none; ``detail`` is the number that the latency
   of some instructions depends on (`Detail`: significant bits of a quotient), -1 if not known. A repeated
   string instruction is one step per repetition, all at the same pc.
   The result, also ``cpu[T_CLOCK]``, is the cycle in which the instruction retired: it never decreases.
5. What comes from outside the stream, each returns the clock after it:

   - ``enter_exception(cpu, shared, event)``: before the first instruction of the handler (`Event`);
     the return is the row of IRETQ or ERET itself;
   - ``send_ipi(cpu)``: the clock at which it arrives at another CPU; that CPU calls
     ``wait_until(cpu, clock)`` if it was halted, then ``enter_exception(cpu, shared, Event.INTERRUPT)``;
   - ``wait_until(cpu, clock)``: a halted CPU is woken not before ``clock``;
   - ``switch_context(cpu)``: another task's stack is current;
   - ``poke_text(cpu, shared, address, size)``: this CPU has written text: every CPU fetches those lines anew;
   - ``drain(cpu)``: the CPU serialises (SYNC_CORE, ISB): fetch starts again when all is retired.

``step`` and the events are plain compiled functions: call them from compiled code with views of raw addresses
(``carray``), or from Python. ``cpu`` is ``cpu_words(model)`` int64 long, ``shared``
``shared_words(model)``.
Nothing allocates, and a CPU's arrays can be copied to snapshot it.

Several CPUs: lines last written by another CPU cost a transfer, locked and plain accesses alike; the LLC is
shared. CPUs should be stepped in the order of their clocks. One that runs alone (``cpus=1``) skips that.
"""

from emu.timing.events import drain, enter_exception, poke_text, send_ipi, switch_context, wait_until
from emu.timing.layout import NONE, ROW_WORDS, T_CLOCK, Branch, Detail, Event, Wait
from emu.timing.model import MODEL_FILE, CpuModel, cpu_model_names, load_cpu_model
from emu.timing.rows import RowTable, UncoveredInstructionError
from emu.timing.state import cpu_words, new_cpu, new_shared, push_return, shared_words, zeros
from emu.timing.step import step

__all__ = [
    "MODEL_FILE",
    "NONE",
    "ROW_WORDS",
    "T_CLOCK",
    "Branch",
    "CpuModel",
    "Detail",
    "Event",
    "RowTable",
    "UncoveredInstructionError",
    "Wait",
    "cpu_model_names",
    "cpu_words",
    "drain",
    "enter_exception",
    "load_cpu_model",
    "new_cpu",
    "new_shared",
    "poke_text",
    "push_return",
    "send_ipi",
    "shared_words",
    "step",
    "switch_context",
    "wait_until",
    "zeros",
]
