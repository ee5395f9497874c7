"""Makes litmus tests: from cycles of relations, and at random."""

from emu.ordering.generate.cycles import Cycle, cycle, litmus
from emu.ordering.generate.edges import Edge, EdgeError, edge
from emu.ordering.generate.programs import FEATURES, random_test

__all__ = ["FEATURES", "Cycle", "Edge", "EdgeError", "cycle", "edge", "litmus", "random_test"]
