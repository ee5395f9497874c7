"""Exit codes, a contract with scripts that call klpemu."""

DONE = 0
NO = 1
"""The answer is no: a guest went wrong, a run is inconsistent."""
BAD_INPUT = 2
SKIPPED = 4
"""Something optional is missing."""
INTERRUPTED = 130
