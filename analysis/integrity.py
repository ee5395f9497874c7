"""Whether a recording still holds what was recorded."""

from dataclasses import dataclass

from emu.trace.digest import digest_of
from emu.trace.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrity:
    """What has become of a recording.

    Args:
        damage: what was lost or changed since, a line each; empty = nothing.
        digest: of the rows that are there.
        verified: whether that is the recorded one; None: a run that is not complete has none.
    """

    damage: tuple[str, ...]
    digest: str
    verified: bool | None


def integrity(run: Run) -> Integrity:
    """Return whether a run's rows are those that were recorded; every row is read."""
    digest = digest_of(run)
    if not run.complete:
        return Integrity(damage=run.damage, digest=digest, verified=None)
    verified = digest == run.meta["digest"]
    changed = () if verified or run.damage else ("rows or parameters were changed after the recording",)
    return Integrity(damage=(*run.damage, *changed), digest=digest, verified=verified)
