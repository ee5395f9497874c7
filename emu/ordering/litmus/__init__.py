"""Litmus tests: small concurrent programs and a question about their final states."""

from emu.ordering.litmus.errors import LitmusError, UnsupportedTestError
from emu.ordering.litmus.run import Result, run_text

__all__ = ["LitmusError", "Result", "UnsupportedTestError", "run_text"]
