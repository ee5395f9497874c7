"""Compiling native code, and keeping it between runs.

Numba looks only at the file a function stands in when it decides whether cached
code still fits. Our functions share constants across files, so they are cached in a
folder named after a digest of all those files: changed sources never meet old code.

Code is compiled without reference counts (Numba's ``_nrt``): it allocates nothing, and counting
references to views of memory is dozens of calls per simulated instruction. A division by zero gives zero:
nothing looks for errors behind a call.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_decorating = threading.RLock()
"""Held while Numba's folder is ours: the setting is one for all threads."""
_UNCOUNTED: dict[str, Any] = {"_nrt": False, "error_model": "numpy"}
_SOURCES = (
    "compiled.py", "machine/*.py", "ordering/*.py", "struct_layout.py", "structs.py", "timing/*.py",
    "trace/schema.py",
)  # fmt: skip


@cache
def cache_folder() -> Path | None:
    """Return where compiled code is kept; None if there is no place, so that it is compiled each time."""
    digest = hashlib.blake2b(_numba_version().encode(), digest_size=8)
    package = Path(__file__).parent
    for pattern in _SOURCES:
        for source in sorted(package.glob(pattern)):
            digest.update(source.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    folder = Path(home) / "klpemu" / f"native-{digest.hexdigest()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _numba_version() -> str:
    try:
        return version("numba")
    except PackageNotFoundError:  # importing it will say so
        return ""


def is_compiled(function: str = "loop.run_loop") -> bool:
    """Whether ``module.function``, the interleaving loop by default, need not be compiled again."""
    folder = cache_folder()
    return folder is not None and any(folder.rglob(f"{function}*.nbc"))


@contextmanager
def _caching() -> Iterator[bool]:
    """Point Numba at our folder while a function is being decorated; yields whether to cache at all."""
    import numba

    config: Any = numba.config
    folder = cache_folder()
    with _decorating:
        before = config.CACHE_DIR
        if folder is not None:
            config.CACHE_DIR = str(folder)
        try:
            yield folder is not None
        finally:
            config.CACHE_DIR = before


def jit(function: F) -> F:
    """Compile ``function`` when it is first called from Python or from other compiled code."""
    from numba import njit

    with _caching() as keep:
        return cast("F", njit(cache=keep, **_UNCOUNTED)(function))


def jit_once(signature: str) -> Callable[[F], F]:
    """Compile a function for one Numba ``signature`` only, however constant a caller's arguments are."""
    from numba import njit

    def decorate(function: F) -> F:
        with _caching() as keep:
            return cast("F", njit(signature, cache=keep, **_UNCOUNTED)(function))

    return decorate


def inline_jit(function: F) -> F:
    """Compile ``function`` into each of its callers, as if written there; it may return a view."""
    from numba import njit

    with _caching() as keep:
        return cast("F", njit(cache=keep, inline="always", **_UNCOUNTED)(function))


def merged_jit(function: F) -> F:
    """Compile ``function`` into each of its callers, when their code is made: quicker for what is long."""
    from numba import njit

    with _caching() as keep:
        return cast("F", njit(cache=keep, forceinline=True, **_UNCOUNTED)(function))


def callback(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function to a C callback of a Numba ``signature``; its ``address`` is what C is given."""
    from numba import cfunc

    def decorate(function: Callable[..., Any]) -> Any:
        with _caching() as keep:
            return cfunc(signature, cache=keep, forceinline=True, **_UNCOUNTED)(function)

    return decorate


class LateCallback:
    """A C callback that is compiled when its ``address`` is first asked for."""

    def __init__(self, signature: Any, function: Callable[..., Any]) -> None:
        self._signature, self._function = signature, function

    @cached_property
    def _compiled(self) -> Any:
        return callback(self._signature)(self._function)

    @property
    def address(self) -> int:
        """What C is given."""
        return int(self._compiled.address)


def late_callback(signature: Any) -> Callable[[Callable[..., Any]], LateCallback]:
    """As `callback`, for what few runs need: compiled when it is first used."""
    return lambda function: LateCallback(signature, function)
