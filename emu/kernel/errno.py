"""The error numbers that kernel functions return negated: the guest's, whatever the host's are.

Source: include/uapi/asm-generic/errno-base.h and errno.h (6.1).
"""

from __future__ import annotations

ENOENT = 2
EIO = 5
ENXIO = 6
ENOEXEC = 8
EAGAIN = 11
ENOMEM = 12
EACCES = 13
EBUSY = 16
EEXIST = 17
ENODEV = 19
ENOTDIR = 20
EISDIR = 21
EINVAL = 22
EILSEQ = 84
EADDRINUSE = 98

_NAMES = (
    "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD",
    "EAGAIN", "ENOMEM", "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR",
    "EISDIR", "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE", "EROFS",
    "EMLINK", "EPIPE", "EDOM", "ERANGE",
)  # fmt: skip
"""Of the numbers from 1 on, ten a line."""
_LAST = 133
"""Source: EHWPOISON."""
_FURTHER = {-EILSEQ: "-EILSEQ", -EADDRINUSE: "-EADDRINUSE"}


def error_name(error: int) -> str:
    """Return a negative return code as kernel sources write it.

    >>> [error_name(-error) for error in (ENOENT, EAGAIN, ENOMEM, EBUSY, EEXIST, ENODEV, EINVAL)]
    ['-ENOENT', '-EAGAIN', '-ENOMEM', '-EBUSY', '-EEXIST', '-ENODEV', '-EINVAL']
    >>> error_name(-34), error_name(-35)
    ('-ERANGE', '-35')
    """
    if error in _FURTHER:
        return _FURTHER[error]
    return f"-{_NAMES[-error - 1]}" if -len(_NAMES) <= error < 0 else str(error)


def error_number(name: str) -> int:
    """Return the negative return code that kernel sources write so, 0 if there is none.

    >>> error_number("-EBUSY") == -EBUSY, error_number("-EADDRINUSE") == -EADDRINUSE, error_number("0")
    (True, True, 0)
    """
    return next((-number for number in range(1, _LAST + 1) if error_name(-number) == name), 0)
