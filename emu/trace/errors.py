"""Errors of writing and reading a run directory."""

from pathlib import Path

from emu.errors import EmuError


class NotARunError(EmuError):
    """The path does not hold a run."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(
            f"{path} is not a klpemu run: {found}; expected a directory that `klpemu run --out` wrote"
        )
        self.path, self.found = path, found


class RunDirectoryTakenError(EmuError):
    """A run is to be written where something else already is."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(f"will not write a run to {path}: {found}; choose a new or empty directory")
        self.path, self.found = path, found


class RunNotCreatedError(EmuError):
    """The operating system does not let a run begin."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot create {path}: {reason}; choose a directory that you can write to")
        self.path, self.reason = path, reason


class NewerSchemaError(EmuError):
    """The run was written by a later klpemu."""

    def __init__(self, path: Path, schema: str, newest: str) -> None:
        super().__init__(f"{path} has schema {schema!r}, this klpemu reads up to {newest!r}; upgrade klpemu")
        self.path, self.schema, self.newest = path, schema, newest


class RunFileError(EmuError):
    """A file of a run is missing or does not hold what it must."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(f"{path}: {found}; expected {expected}; record the run again or restore the file")
        self.path, self.found, self.expected = path, found, expected


class RunWriteError(EmuError):
    """The operating system refused a write."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot write {path}: {reason}; what was written so far can still be loaded")
        self.path, self.reason = path, reason
