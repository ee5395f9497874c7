"""The words of the cycle model: parameters, one CPU's pipeline, what CPUs share, one row per instruction.

All are int64 arrays, rows int32, so that compiled code finds them by address as it finds the engine's blocks.
"""

from __future__ import annotations

from enum import IntEnum

# --- parameters, copied from the model to the head of every CPU's array ----------------------------
(
    P_WIDTH, P_ROB, P_RETIRE_WIDTH, P_FETCH_WIDTH, P_FETCH_AHEAD, P_ISSUE_DELAY, P_MISPREDICT,
    P_MISPREDICT_RETURN, P_TAKEN, P_CALL, P_RETURN, P_CALL_SHADOW, P_RETURN_SHADOW,
    P_FIRST_WINDOW, P_LATE_WINDOW, P_NEXT_WINDOW, P_MICROCODE_ENTRY, P_RETURN_STACK, P_FUSES_NOPS,
    P_FUSES_BRANCHES, P_STACK_ENGINE,
    P_ELIMINATES_MOVES, P_BRANCH_PORTS, P_FUSED_PORTS, P_LOAD_PORTS, P_STORE_PORTS, P_STORE_DATA_PORTS,
    P_STORE_QUEUE, P_LOAD_QUEUE, P_LOAD_LATENCY, P_VECTOR_LOAD_EXTRA, P_FORWARD, P_FORWARD_RENAMED,
    P_FORWARD_FAIL, P_COMMIT_SAME_LINE, P_COMMIT_FORWARDED, P_RMW_ONE_AGU, P_VECTOR_LOADS, P_LOAD_AFTER_LOCK,
    P_LOCK_WAITS_FOR_OLDER, P_BTB_MISS, P_DECODE_MISS,
    P_L1I_SETS, P_L1I_WAYS, P_L1D_SETS, P_L1D_WAYS, P_L2_SETS, P_L2_WAYS, P_LLC_SETS, P_LLC_WAYS,
    P_L2_LATENCY, P_LLC_LATENCY, P_MEMORY_LATENCY, P_L1_TLB_SETS, P_L1_TLB_WAYS, P_L2_TLB_SETS, P_L2_TLB_WAYS,
    P_L2_TLB_LATENCY, P_WALK_LATENCY, P_LINE_TRANSFER, P_LINE_UPGRADE, P_CROSS_LINE,
    P_BREAKPOINT, P_INTERRUPT, P_SYSCALL, P_FAULT, P_IPI_SEND, P_IPI_DELIVER, P_SWITCH, P_POKE, P_SERIALISE,
    P_DIV_BITS_FREE, P_DIV_BITS_PER_CYCLE, P_REP_BYTES_PER_CYCLE, P_REP_SHORT_BYTES, P_REP_LONG,
    P_SPLIT_STORE, P_FORWARD_CONTAINED_RENAMED, P_FORWARD_SHARE, P_INDEXED_LOAD_EXTRA,
    P_EXTENDED_LOAD_EXTRA, P_DIV_BITS_UNKNOWN, P_SWITCH_CLEARS_RETURNS,
    P_STORE_LATENCY, P_RENAME_DEPTH,
    P_COMMIT_DELAY, P_FORWARD_NEAR, P_BRANCH_SLOTS, P_HISTORY, P_LOOP_EXIT, P_OTHER_TARGET, P_LOCK_MOVED,
    P_FORWARD_OPERAND, P_DIV_OVERLAP, P_STORE_WIDTH, P_LOAD_TO_ADDRESS, P_FORWARD_PAIR,
    P_DISPATCHES_PAIRS, P_FORWARD_FAIL_RETIRED, P_COMMIT_BLOCK_BITS, P_TAKEN_ENDS_DELIVERY,
) = range(101)  # fmt: skip
PARAMETERS = 104

# --- one CPU ----------------------------------------------------------------------------------------
(
    T_CLOCK,  # cycle in which the newest instruction retired: never decreases
    T_INDEX,  # of this CPU
    T_CPUS,  # how many CPUs share LLC and directory
    T_INSTRUCTIONS, T_MISPREDICTS,
    T_FETCH, T_DELIVERY, T_FETCH_SLOTS, T_FETCH_LINE, T_WINDOW_END, T_FETCH_SHADOW, T_FETCH_REASON,
    T_DISPATCH, T_SLOTS, T_BLOCK, T_BLOCK_REASON,
    T_RETIRE, T_RETIRED, T_ROB_COUNT, T_STORE_COUNT, T_LOAD_COUNT,
    T_COMMIT, T_COMMIT_LINE, T_COMMITS, T_COMMIT_RUN, T_FORWARD_SHARE,
    T_ALL_DONE, T_LOADS_DONE, T_LOAD_BARRIER, T_LOCK_DONE,
    T_HISTORY, T_PATH, T_RETURNS,
    T_HEAD_END, T_HEAD_CYCLE, T_HEAD_PORT, T_HEAD_READY, T_NOP_OPEN,
    T_L1I_AT, T_L1D_AT, T_L2_AT, T_L1_TLB_AT, T_L2_TLB_AT, T_POKES_SEEN,
    T_LAST_PORT, T_RETURNS_KNOWN, T_STACK_MOVED, T_REPEAT_PC, T_REPEAT_BYTES, T_REPEAT_START,
    V_FETCH, V_DISPATCH, V_READY, V_ISSUE, V_COMPLETE, V_RETIRE,
    V_DISPATCH_WAIT, V_ISSUE_WAIT, V_MISPREDICTED,
    T_L1D_MISSES, T_L1I_MISSES, T_LINE_TRANSFERS, T_FORWARDS, T_FORWARD_FAILS,
    T_BRANCHES, T_PREDICTED, T_WINDOW_START, T_EXITED, T_LOCK_ADDRESS, T_STORES_IN,
    T_LONG_HISTORY_AT,  # and three more: two foldings each of two histories
) = range(PARAMETERS, PARAMETERS + 71)  # fmt: skip

REGISTERS = 96
ALWAYS_READY = REGISTERS - 2  # stands in a row for "no source": nothing writes it
NEVER_READ = REGISTERS - 1  # stands in a row for "no destination"
X86_STACK_POINTER = 4  # the only register that a stack engine keeps
PORT_TAILS_AT = 184  # by port: the latest cycle in which it is taken
REGISTER_AT = 200
LOADED_AT = REGISTER_AT + REGISTERS  # by register: when the load was complete that wrote it last
ROB_AT, ROB_WORDS = LOADED_AT + REGISTERS, 1024
LOADS_AT, LOADS_WORDS = ROB_AT + ROB_WORDS, 256
DRAINS_AT, DRAINS_WORDS = LOADS_AT + LOADS_WORDS, 128  # store queue: commit times
RETURNS_AT, RETURNS_WORDS = DRAINS_AT + DRAINS_WORDS, 64
PORTS_AT, PORTS_WORDS = RETURNS_AT + RETURNS_WORDS, 1024  # cycle << PORT_BITS | ports taken
PORT_BITS = 16
STORES_AT, STORES = PORTS_AT + PORTS_WORDS, 256  # by 8-byte granule
S_ADDRESS, S_SIZE, S_READY, S_COMMIT, S_COUNT, S_RENAMES, S_OLDER, S_SLOT = range(8)
STORE_WORDS = 8
# Counters, a byte each, eight to a word: bimodal, then with history
DIRECTIONS_AT, DIRECTIONS = STORES_AT + STORES * STORE_WORDS, 4096
INDIRECT_AT, INDIRECTS = DIRECTIONS_AT + 2 * DIRECTIONS // 8, 1024  # (branch, target)
BTB_AT, BTB = INDIRECT_AT + 2 * INDIRECTS, 4096
HISTORY_AT, HISTORY_WORDS = BTB_AT + BTB, 1024  # the last conditional branches
TAGGED_AT, TAGGED = HISTORY_AT + HISTORY_WORDS, 2048  # directions by the first, then the second long history
# By branch and start of its window: an indirect one's target, how often in a row a conditional one was taken
FIRST_AT, FIRSTS = TAGGED_AT + 2 * TAGGED, 1024
CACHES_AT = FIRST_AT + FIRSTS  # L1I, L1D, L2, TLBs, as large as the model says

# --- what CPUs share --------------------------------------------------------------------------------
SH_POKES = 0  # text pokes so far
SH_POKED_AT, SH_POKED = 8, 64  # their lines, a ring
SH_DIRECTORY_AT, SH_DIRECTORY = (
    128,
    1 << 14,
)  # (line + 1, owner + 1, sharers, clock when it arrives) each
DIRECTORY_WORDS = 4
SH_LLC_AT = SH_DIRECTORY_AT + SH_DIRECTORY * DIRECTORY_WORDS

# --- one instruction --------------------------------------------------------------------------------
# In the order in which a step looks at them: what nearly every instruction needs comes first
(
    R_FLAGS, R_LENGTH, R_SLOTS, R_BRANCH, R_LOADS, R_STORES, R_UOPS, R_PORTS, R_LATENCY, R_BUSY,
    R_SOURCE0, R_SOURCE1, R_SOURCE2, R_SOURCE3, R_SOURCE4, R_SOURCE5,
    R_LOAD_ADDRESS0, R_LOAD_ADDRESS1, R_STORE_ADDRESS0, R_STORE_ADDRESS1,
    R_DEST0, R_DEST1, R_DEST2, R_DEST3, R_EXTRA0, R_EXTRA1, R_EXTRA2, R_EXTRA3,
    R_LOAD_SIZE, R_STORE_SIZE, R_LOAD_EXTRA, R_WRITEBACK,
    R_DETAIL, R_BLOCK, R_BLOCK_DATA, R_DRAIN, R_LOCK,
) = range(37)  # fmt: skip
ROW_WORDS = 48  # three lines of a host's cache

NONE = -1
"""As an address: no access."""

F_NOP = 1  # takes part of a slot, never executes
F_ZERO = 1 << 1  # result known at rename: no source, no execution
F_MOVE = 1 << 2  # may be eliminated at rename
F_FUSION_HEAD = 1 << 3  # may fuse with a conditional branch right behind it
F_FUSES = 1 << 4  # that branch
F_LOCK = 1 << 5
F_DRAIN = 1 << 6  # waits until everything before it is complete; nothing after it is dispatched before that
F_RENAMES = 1 << 7  # its load may take a store's register
F_RMW = 1 << 8  # stores where it loads
F_VECTOR = 1 << 9  # its load goes to a vector register
F_LOAD_BARRIER = 1 << 10  # later loads wait for earlier loads
F_DRAIN_STORES = 1 << 11  # with F_DRAIN: stores have to be in the cache, too
F_STACK = 1 << 12  # moves the stack pointer by itself
F_SERIAL = 1 << 13  # fetch starts again behind it
F_MICROCODED = 1 << 14
F_ACQUIRE = 1 << 15  # later loads wait for its own load
F_RELEASE = 1 << 16  # commits after everything before it
F_KEEPS_STORE = 1 << 18  # what it stores can't be taken over at rename
F_USES_STACK = 1 << 19  # names the stack pointer: what the stack engine holds has to be added first
F_STORE_BARRIER = 1 << 20  # later stores commit behind earlier ones, a cycle apart
F_STORE_DATA_ONLY = 1 << 17  # what it stores is its source, not its result
F_HOLDS = 1 << 21  # holds back what comes behind it, in one of the ways of `step.hold_back`
F_DETAIL = 1 << 22  # has a `Detail`
F_TWO_STEPS = 1 << 23  # adds the registers of its address first, then its other sources
F_PAIR = 1 << 24  # loads two registers at once


class Branch(IntEnum):
    """How an instruction leaves the straight line."""

    NONE = 0
    CONDITIONAL = 1
    JUMP = 2
    INDIRECT = 3
    CALL = 4
    INDIRECT_CALL = 5
    RETURN = 6
    OTHER = 7  # exception returns: always a fresh start of fetch


class Detail(IntEnum):
    """What ``detail`` of a step means for an instruction."""

    NONE = 0
    QUOTIENT_BITS = 1  # significant bits of a quotient
    COUNT = 2  # repetitions left of a repeated string instruction, this one included


class Wait(IntEnum):
    """What an instruction waited for."""

    NOTHING = 0
    WIDTH = 1  # dispatch slots
    FETCH = 2  # taken branches, line crossings
    MISPREDICT = 3
    CODE = 4  # code was not in the first cache
    ROB = 5
    QUEUE = 6  # load or store queue
    MICROCODE = 7
    DRAIN = 8  # a serialising instruction
    SOURCE = 9  # a register
    ADDRESS = 10  # a register of an address
    FORWARD = 11  # a store that it loads from
    FORWARD_FAIL = 12  # several stores, or one that holds only a part
    CACHE = 13  # data was not in the first cache
    OTHER_CPU = 14  # the line was another CPU's
    PORT = 15
    LOCK = 16  # a locked operation or a barrier
    SCHEDULER = 17


class Event(IntEnum):
    """What enters a CPU from outside its instruction stream."""

    BREAKPOINT = 0  # INT3, BRK
    INTERRUPT = 1
    SYSCALL = 2
    FAULT = 3
