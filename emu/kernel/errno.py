"""The error numbers that kernel functions return negated: the guest's, whatever the host's are.

Source: include/uapi/asm-generic/errno-base.h (6.1).
"""

from __future__ import annotations

ENOENT = 2
EAGAIN = 11
ENOMEM = 12
EBUSY = 16
EEXIST = 17
ENODEV = 19
EINVAL = 22

_NAMES = (
    "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD",
    "EAGAIN", "ENOMEM", "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR",
    "EISDIR", "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE", "EROFS",
    "EMLINK", "EPIPE", "EDOM", "ERANGE",
)  # fmt: skip
"""Of the numbers from 1 on, ten a line."""


def error_name(error: int) -> str:
    """Return a negative return code as kernel sources write it.

    >>> [error_name(-error) for error in (ENOENT, EAGAIN, ENOMEM, EBUSY, EEXIST, ENODEV, EINVAL)]
    ['-ENOENT', '-EAGAIN', '-ENOMEM', '-EBUSY', '-EEXIST', '-ENODEV', '-EINVAL']
    >>> error_name(-34), error_name(-35)
    ('-ERANGE', '-35')
    """
    return f"-{_NAMES[-error - 1]}" if -len(_NAMES) <= error < 0 else str(error)
