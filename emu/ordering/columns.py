"""Columns of the tables that the compiled search reads and writes.

An *event* is one memory access, instruction fetch or cache operation of one CPU. A *choice
tree* holds everything one CPU may do: a node is a run of events with no choice in it, its
children are the alternatives for what follows (each value that the next read may return,
a store-exclusive that succeeds or fails, ...), a leaf is the end of the CPU's program.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int64]

# Kinds of events, one bit each.
READ = 1
"""Data read."""
WRITE = 2
"""Data write, or a write to code."""
FETCH = 4
"""Read of an instruction that some CPU may write."""
CLEAN = 8
"""Arm DC CVAU: clean to the point of unification."""
INVALIDATE = 16
"""Arm IC: invalidate instruction caches."""
SERIALISE = 32
"""x86 serialising instruction: later fetches see what was visible then."""
ENTRY = 64
"""Before all pieces of one single-copy atomic access that is made in pieces."""
HAZARD = 128
"""Behind an entry: after the reads that must not be later than what the pieces of this read missed."""

# Event table, int64, one row per event of a choice tree.
KIND = 0
LOCATION = 1
"""Number of the location, or ``EVERYWHERE``."""
VALUE = 2
"""Number of the value read or written."""
PAIR = 3
"""Number of the pair (location, value)."""
PARTNER = 4
"""Index in its CPU of the read that makes one atomic access with this write; -1: none."""
ACCESS = 5
"""Index in its CPU of the entry of the single-copy atomic access that this is a piece of; else of itself."""
RESTRICTED = 6
"""1: the instruction read or written may not be modified while it is executed (CMODX)."""
TAG = 7
"""The front end's own number, kept in witnesses."""
EVENT_COLUMNS = 8

EVERYWHERE = -2
"""Location of a cache operation on all lines."""

# Node table, int64.
FIRST_EVENT = 0
EVENTS = 1
FIRST_CHILD = 2
CHILDREN = 3
LEAF = 4
"""Number of the ending; -1: no leaf."""
WAITS = 5
"""Location of the read that the node waits for; -1: none."""
NODE_COLUMNS = 6

# Table of placed events, int64.
ROW = 0
"""Row in the event table."""
CPU_OF = 1
READS_FROM = 2
RANK = 3
"""Of a write: place in the coherence order of its location, from 1; the initial value has 0."""
BASE = 4
"""The first placed event of the same CPU."""
PLACED_COLUMNS = 5

# What a placed read reads from, where that is not the index of a placed write.
INITIAL = -1
LATER = -2
"""From a write of a CPU that is not placed yet."""

# Rules that differ between models, one bit each.
ARM_ATOMIC = 1
"""A write of the same CPU between the halves of an atomic access excuses one of another CPU."""
GUESS_CACHES = 2
"""Arm instruction fetch: order cache operations against writes and fetches both ways."""
CACHE_IDC = 4
"""No data cache clean is needed (CTR_EL0.IDC)."""
CACHE_DIC = 8
"""No instruction cache invalidation is needed (CTR_EL0.DIC)."""
SERIAL_FETCH = 16
"""x86 instruction fetch: stale until the CPU's next serialising instruction."""

# Flags of an execution.
CMODX = 1
"""A racing fetch and write of an instruction that is not free to be modified."""

# Words of the control block.
DEPTH = 0
STEPS = 1
EXECUTIONS = 2
USED = 3
"""Slots of the outcome table that are taken."""
ASKED = 4
"""1: values are wanted that no child stands for yet."""
LEAVES = 5
"""Here and after: per CPU the node that its program ended in."""

# What the search knows of a node and a pair.
UNKNOWN = 0
WANTED = 1
"""A read that waits there could return it, and no child stands for that."""
PRESENT = 2

# Outcome table, int64: an open hash table.
HITS = 0
"""Executions with this outcome; 0: slot is free."""
FLAGS = 1
OUTCOME_KEY = 2
"""Here and after: per CPU its ending, then per location its last value (-1: not observed)."""

# Why the search returned.
DONE = 0
PAUSED = 1
FULL = 2
"""The outcome table has no room left."""
LIMIT = 3
"""As many executions as asked for."""
