"""The words that native code and Python share: one control block, one block per CPU, a few tables.

Every block is an int64 array. Python names the fields with the constants below;
native code uses the same constants, which Numba takes as literals.
"""

from __future__ import annotations

from enum import IntEnum

# --- control block ---------------------------------------------------------------------------
CTL_CPUS = 0  # number of CPUs
CTL_CPU_BLOCKS = 1  # host address of the CPU blocks, CPU_WORDS each
CTL_EMU_START = 2
CTL_EMU_STOP = 3
CTL_REG_READ = 4
CTL_REG_WRITE = 5
CTL_UC_CTL = 6
CTL_DATA_HOST = 8  # host address of guest data
CTL_DATA_BASE = 9
CTL_DATA_SIZE = 10
CTL_TEXT_HOST = 11  # host address of coherent text
CTL_TEXT_SIZE = 12
CTL_INSN_INDEX = 13  # int32 per text byte: instructions that start before it
CTL_LENGTH = 14  # uint8 per text byte: length of the instruction that starts there
CTL_CLASS = 15  # uint8 per text byte: CLASS_* bits
CTL_PROBE = 16  # int32 per text byte: row of the probe table, 0 = none
CTL_PROBE_TABLE = 17  # (n, PROBE_WORDS) int64
CTL_FRAMES = 18  # (CTL_FRAME_COUNT, FRAME_WORDS) int64: shadow call frames
CTL_FRAME_COUNT = 19
CTL_FREE_FRAME = 20  # first of the free list
CTL_TASKS = 21  # (tasks, TASK_WORDS) int64
CTL_CALL_ROWS = 22  # (CTL_CALL_CAPACITY, CALL_WORDS) int64
CTL_CALL_COUNT = 23
CTL_CALL_CAPACITY = 24
CTL_EVENT_ROWS = 25  # (CTL_EVENT_CAPACITY, EVENT_WORDS) int64
CTL_EVENT_COUNT = 26
CTL_EVENT_CAPACITY = 27
CTL_SEQUENCE = 28  # numbers entries, dispatches and events in the order they happen
CTL_INTERRUPTIBLE = 29  # 1: the CPU whose turn it is has just landed, so it takes interrupts
CTL_CALLS_DONE = 30
CTL_CALL_BUDGET = 31  # stop when CTL_CALLS_DONE reaches it
CTL_INSNS_DONE = 32  # all CPUs
CTL_INSN_BUDGET = 33  # stop when CTL_INSNS_DONE reaches it
CTL_CYCLE_BUDGET = 34  # stop when every CPU's clock has reached it
CTL_RANDOM = 35  # xorshift64* state
CTL_SCHEDULE = 36  # Schedule
CTL_QUANTUM = 37  # mean instructions of a turn (Schedule.QUANTUM)
CTL_TICK = 38  # cycles between timer interrupts, 0 = none
CTL_PORT = 39  # PORT_*: the hardware's exception entry
CTL_SCRIPT = 40  # (n, 2) int64: (cpu, instructions)
CTL_SCRIPT_SIZE = 41
CTL_SCRIPT_AT = 42
CTL_STOP_REASON = 43  # Stop
CTL_STOP_CPU = 44
CTL_STOP_INFO = 45
CTL_EXACT = 46  # 1: one instruction at a time
CTL_FETCH = 47  # Fetch
CTL_CURRENT = 48  # CPU whose turn it is, -1 = choose
CTL_WAITS = 49  # (n, WAIT_WORDS) int64: what the patching CPU waits for
CTL_WAIT_COUNT = 50
CTL_REG_PC = 52  # Unicorn register numbers
CTL_REG_SP = 53
CTL_REG_RESULT = 54
CTL_REG_FLAGS = 55
CTL_REG_LINK = 56
CTL_REG_ARG0 = 57
CTL_REG_ARG1 = 58
CTL_REG_A = 59  # x86-64: RCX; arm64: ELR_EL1
CTL_REG_B = 60  # x86-64: R11; arm64: CP_REG (SPSR_EL1)
CTL_VECTOR_SYNC = 64
CTL_VECTOR_TIMER = 65
CTL_VECTOR_RESCHEDULE = 66
CTL_VECTOR_BREAKPOINT = 67
CTL_VECTOR_SYSCALL = 68
CTL_USER_BASE = 69
CTL_USER_SIZE = 70
CTL_WINDOWS = 72  # 3 x (base, size, offset)
CTL_ROUND = 84  # CPU that ran last (Schedule.ROUND_ROBIN, LEAST_CLOCK)
CTL_WARNINGS = 87  # WARN and BUG events so far
CTL_ROUND_CLOCK = 88  # clock that this round's CPUs are not ahead of (Schedule.LEAST_CLOCK)
CTL_ORDERING = 89  # Ordering
CTL_SHOWN = 90  # CPU as which memory looks: with its pending stores; -1 = none
CTL_NOW = 91  # stores that have landed so far, which is the time that views are counted in
CTL_ORDER_RANDOM = 92  # xorshift64* state of what memory ordering draws
CTL_LANDED = 93  # (LANDED_ROWS, LANDED_WORDS) int64: the stores that landed last
CTL_LAST_LANDED = 94  # LAST_SLOTS int64: time of the last landing in a granule of that hash
CTL_FENCES = 95  # int32 per text byte: fences that start before it (Ordering.TSO, fast mode)
CTL_TIME = 96  # address of `timed.on_time`, which tells the cycle model; 0 = timing is off
CTL_TIME_SHARED = 97  # host address of what the cycle model's CPUs share
CTL_TIME_ROWS = 98  # host address of its table of rows
CTL_REGIONS = 99  # uint8 per text byte: which part of a call runs there: 1 + PART_*, 0 = it depends
CTL_LEAD = 100  # cycles that a CPU may be ahead of the least clock (Schedule.LEAST_CLOCK, timed)
CTL_TIME_LATENCY = 101  # cycles that an IPI takes to arrive, 0 without a cycle model
CTL_ORDER = 102  # native function that does what Order says
CTL_STACK = 103  # host stack pointer of the loop while a CPU runs on its own stack; see `stacks`
CTL_WORDS = 112

# --- CPU block -------------------------------------------------------------------------------
CPU_CTL = 0  # host address of the control block
CPU_INDEX = 1
CPU_UC = 2  # uc_engine *
CPU_PC = 3
CPU_INSNS = 4  # instructions executed
CPU_CLOCK_OFFSET = 5  # clock = CPU_INSNS + this: time that passed while halted
CPU_PENDING = 6  # IRQ_* bits
CPU_HALTED = 7
CPU_BLOCK_START = 8
CPU_BLOCK_END = 9  # end of the instruction or block that ran last
CPU_TURN_END = 10  # CPU_INSNS at which the turn ends
CPU_EXCEPTION = 11  # Unicorn's exception number + 1, EXCEPTION_SYSCALL, or 0
CPU_TOP = 12  # shadow frame on top, -1 = none
CPU_EXPECTED = 13  # its return address
CPU_TASK = 14  # task index
CPU_TASK_BIAS = 15  # task's instructions = CPU_INSNS + this
CPU_PERCPU = 16  # guest address of its percpu area
CPU_NEXT_TICK = 17
CPU_STOP = 18  # Stop requested by a landing, 0 = none
CPU_STALE = 19  # number of its stale ranges
CPU_STALE_RANGES = 20  # host address, (STALE_MAX, STALE_WORDS) int64
CPU_TEXT_HOST = 21  # host address of its private text
CPU_TASK_STRUCT = 22
CPU_PAUSED = 23  # 1: stopped by the loop's own hook, before CPU_PC
CPU_FAULT_ADDRESS = 24  # of the last refused access
CPU_SHADOW = 25  # 1: the instruction before holds interrupts off for one more
CPU_PAGES = 26  # host address of a byte per data page: 1 = the CPU may access it
CPU_FRESH = 27  # 1: no instruction has run since the engine was entered
CPU_LANDED = 28  # 1: CPU_PC was arrived at by a taken control transfer
CPU_BREAK_AT = 29  # address of the breakpoint that it hit last, 0 = none yet
CPU_SCRATCH = 32  # 4 words that uc_reg_read and uc_reg_write go through
CPU_PENDING_STORES = 36  # number of its stores that have not landed
CPU_STORE_ROWS = 37  # host address, (PENDING_MAX, STORE_WORDS) int64
CPU_VIEWS = 38  # host address, VIEW_WORDS int64 (Ordering.ARM64, or TSO on arm64)
CPU_COHERENCE = 39  # host address, COHERENCE_SLOTS int64
CPU_LATE_PC = 40  # instruction whose store landed in memory that had been freed meanwhile
CPU_FORWARDS = 41  # host address, (COHERENCE_SLOTS, FORWARD_WORDS) int64
CPU_STACK = 42  # host stack pointer of its own stack while it does not run, 0 = it has none; see `stacks`
CPU_REENTER = 43  # 1: its registers or its text were changed while it had a turn under way in Unicorn
CPU_LEFT = 44  # 1: it leaves Unicorn just to enter again
CPU_ERROR = 45  # what uc_emu_start returned last
CPU_ENTRIES = 46  # times it has been called on the CPU's own stack
CPU_TIME = 50  # host address of its cycle model; 0 = timing is off
CPU_ROWS_AT = (
    51  # host address, int32 per text byte: 1 + row of the instruction it fetches there, 0 = not known
)
CPU_ROW = 52  # that of the instruction under way
CPU_LOADED = 53  # address of its first read, -1 = none
CPU_STORED = 54  # address of its first write, -1 = none
CPU_HORIZON = 55  # clock beyond which its turn ends (Schedule.LEAST_CLOCK, timed)
CPU_UNCOVERED = 56  # instruction that it has executed without a row, 0 = none
CPU_ARRIVALS = 57  # 3 words: clock at which a pending IRQ_SYNC, IRQ_TIMER, IRQ_RESCHEDULE has arrived
CPU_SYNCED = 60  # host address of a byte: 1 = Unicorn need not search for the PC; see `program_counter`
CPU_OFFSET = 61  # text offset of the instruction under way, -1 = not in text; as CPU_ROW
CPU_ROW_FLAGS = 62  # flags of its row
CPU_WORDS = 64

LATE_STORE = 1000
"""``CTL_STOP_INFO`` of a fault that no instruction under way made: see ``CPU_LATE_PC``."""

NO_TICK = 1 << 62
"""``CPU_NEXT_TICK`` of a CPU without timer interrupts: no clock comes so far."""

IRQ_SYNC = 1
IRQ_TIMER = 2
IRQ_RESCHEDULE = 4

EXCEPTION_SYSCALL = 1000

# --- probe table -----------------------------------------------------------------------------
PROBE_KIND, PROBE_A, PROBE_B = 0, 1, 2
PROBE_WORDS = 4

CLASS_SERIAL = 1  # the instruction here serialises
CLASS_SERIAL_BEFORE = 2  # the instruction that ends here serialises
CLASS_HALT = 4
CLASS_SHADOW = 8  # no interrupt is taken right behind the instruction here
CLASS_FENCE = 16  # every store before it has landed when it is done

PORT_X86_64, PORT_ARM64 = 0, 1

# --- shadow frames ---------------------------------------------------------------------------
(
    FRAME_KIND, FRAME_BELOW, FRAME_SEQ, FRAME_CPU, FRAME_TASK, FRAME_SITE, FRAME_PARENT, FRAME_SP,
    FRAME_TARGET, FRAME_PATCH, FRAME_STATE, FRAME_DEPTH, FRAME_FLAGS, FRAME_ENTER,
    FRAME_DISPATCHED, FRAME_INSNS, FRAME_DISPATCH_SEQ, FRAME_END, FRAME_IN_BODY, FRAME_PARTS,
) = range(20)  # fmt: skip
FRAME_WORDS = 28
FRAME_CALL, FRAME_INTERRUPT = 0, 1

TASK_TOP, TASK_INSNS, TASK_DEPTH = 0, 1, 2
TASK_WORDS = 4

CALL_WORDS = 16  # emu.trace.schema.CALLS, in its column order
TIMED_CALL_WORDS = 24  # emu.trace.schema.TIMED_CALLS, likewise
EVENT_WORDS = 8  # emu.trace.schema.EVENTS

# --- timing: what a call's cycles went into, and what the cycle model is told ---------------------
(
    PART_SITE, PART_SAVE, PART_HANDLER, PART_WALK, PART_RESTORE, PART_MISPREDICT, PART_BODY,
) = range(7)  # fmt: skip
PARTS = 7

(
    TIME_INSTRUCTION,  # one that has completed: its address, and where it led to
    TIME_WAIT,  # time has passed up to the CPU's clock
    TIME_INTERRUPT,
    TIME_SYSCALL,
    TIME_BREAKPOINT,  # address of the instruction
    TIME_FAULT,  # address of the instruction
    TIME_IPI,  # has been sent
    TIME_SWITCH,
) = range(8)  # fmt: skip

WAIT_ADDRESS, WAIT_VALUE, WAIT_AT_LEAST = 0, 1, 2
WAIT_WORDS = 3

STALE_OFFSET, STALE_SIZE, STALE_STAGE = 0, 1, 2
STALE_WORDS = 3
STALE_MAX = 64
# Stages of one text store on its way to another CPU's fetch (x86-64 starts at STAGE_READY)
STAGE_STORED, STAGE_CLEANING, STAGE_CLEANED, STAGE_INVALIDATING, STAGE_READY = range(5)


# --- memory ordering -------------------------------------------------------------------------
PENDING_MAX = 16
"""Stores of a CPU that can be pending. # assumed: any bound is sound; cores have 40 to 70 entries"""
(
    STORE_ADDRESS, STORE_SIZE, STORE_VALUE, STORE_UNDER, STORE_DUE, STORE_GROUP, STORE_RELEASE, STORE_VIEW,
    STORE_PC, STORE_ATOMIC,
) = range(10)  # fmt: skip
STORE_WORDS = 10

LANDED_ROWS = 1024  # a load never looks further back; a power of two
LANDED_GRANULE, LANDED_MASK, LANDED_OLD, LANDED_BEFORE, LANDED_CPU = range(5)
LANDED_WORDS = 5
LAST_SLOTS = 1024  # a power of two
COHERENCE_SLOTS = 256  # a power of two

# A CPU's store that landed last in a granule of that hash; size 0: one that loads do not forward from
FORWARD_TIME, FORWARD_ADDRESS, FORWARD_SIZE, FORWARD_VIEW, FORWARD_ATOMIC = range(5)
FORWARD_WORDS = 5

# What a CPU has seen, each a time: X0 to X30, then as below
VIEW_ZERO = 31  # XZR, and operands that are no register: always 0
VIEW_SP = 32
VIEW_FLAGS = 33
VIEW_VECTOR = 34  # all of V0 to V31
VIEW_SYSTEM = 36  # VIEW_SYSTEM_SLOTS of them: system registers, by hash
VIEW_SYSTEM_SLOTS = 24
VIEW_READS = 60  # greatest of its loads
VIEW_FLOOR = 61  # what its next loads must have seen
VIEW_WRITES = 62  # its last store that landed
VIEW_RELEASED = 63  # its last store-release that landed
VIEW_LOADED = 64  # greatest load of the instruction under way, -1 = none that was looked at
VIEW_GROUP = 65  # write barriers so far: stores of one group may land in any order
VIEW_MONITOR = 66  # granule of the exclusive monitor, 0 = none
VIEW_MONITOR_TIME = 67
VIEW_FAILED = 68  # 1: the store-exclusive under way was made to fail
VIEW_BORROWED = 69  # values that stand in memory for the instruction under way alone
VIEW_BORROWS = 70  # BORROWS_MAX x (address, size, value to give back)
BORROWS_MAX = 8
VIEW_WORDS = 96


class Ordering(IntEnum):
    """Which outcomes of loads and stores a run can show."""

    SC = 0  # each access takes effect at its instruction
    TSO = 1  # stores wait in order
    ARM64 = 2  # stores wait and land in any order, loads may be early


class Order(IntEnum):
    """What the loop has memory ordering do, see `emu.machine.order_call`; "CPU": the one that runs."""

    SHOW = 0  # let memory look as the CPU sees it
    DRAIN = 1  # land its pending stores
    FENCES = 2  # the same, if a fence is between two text offsets: argument << 32, argument
    RETIRE = 3  # its instruction at CPU_PC has completed
    ABANDON = 4  # it has not
    EXCEPTION = 5  # it takes one
    CATCH_UP = 6  # it is to have seen all that has landed


class ProbeKind(IntEnum):
    """What a landing at a probed address means."""

    NONE = 0
    ENTRY = 1  # a traced function is entered; A = its address
    BODY = 2  # its own code behind the site; A = its address
    VERSION = 3  # a replacement is entered; A = patch index
    STEP = 4  # the patching CPU asks for its next operation
    SEND_IPI = 5
    SWITCH = 6  # current has changed
    FLAG = 7  # A = flags to set in the call that is being dispatched (HOOKED: its trampoline is entered)
    BREAK = 9  # a user's breakpoint
    WARN = 10  # a trap that warns; A = its place
    BUG = 11  # a trap that ends the run; A = its place


class Stop(IntEnum):
    """Why the loop came back."""

    NONE = 0
    CALLS = 1  # call budget reached
    INSTRUCTIONS = 2  # instruction budget reached
    CYCLES = 3
    STEP = 4  # the patching CPU wants its next operation
    FLUSH = 5  # a row buffer is nearly full
    FAULT = 6  # the guest did something impossible; info = Unicorn's error number
    BUG = 7  # a __bug_ place
    BREAK = 8
    IDLE = 9  # nothing can ever run again
    SCRIPT = 10  # the scripted schedule is used up
    FRAMES = 11  # more nested traced calls than there are shadow frames
    EXCEPTION = 12  # an exception the kernel has no vector for; info = its number
    DECODE = 13  # the cycle model does not know the instruction at a CPU's PC yet


class Schedule(IntEnum):
    """Who runs next."""

    QUANTUM = 0  # least clock, turns of about CTL_QUANTUM instructions that end at landings
    RANDOM = 1  # any CPU, one instruction
    ROUND_ROBIN = 2  # one instruction each
    LEAST_CLOCK = 3  # the CPU whose clock is furthest behind, one instruction
    SCRIPT = 4  # (cpu, instructions) pairs


class Fetch(IntEnum):
    """When a CPU's instruction fetch sees another CPU's store to text before it synchronises."""

    RANDOM = 0  # at some time, byte by byte (x86-64) or word by word (arm64)
    STALE = 1  # as late as possible: at its synchronisation
    EAGER = 2  # at once
    HEAD = 3  # first byte of an instruction at once, the rest late
    TAIL = 4  # the rest at once, the first byte late
