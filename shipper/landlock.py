"""Landlock: Linux holds a thread, and all that it starts from then on, to the files that it named (landlock(7)).

By ctypes, since neither the C library nor Python wraps the three system calls; their numbers are the same on every
architecture. Only the file system is confined: files that are open stay so, and the network is left alone. What a
thread has given up it cannot get back, not by execve(2) either; its process's other threads keep what they had.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Container, Iterable, Iterator, Mapping
from enum import IntFlag
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_NO_NEW_PRIVS: Final = 38
"""PR_SET_NO_NEW_PRIVS of prctl(2): without it only root may confine itself."""
_MISSING: Final = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
"""No such call, turned off at boot, or kept from us by a filter of system calls."""


class Right(IntFlag):
    """What may be done with a file, or with what lies beneath a directory (LANDLOCK_ACCESS_FS_…)."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


READ: Final = Right.READ_FILE | Right.READ_DIR
RUN: Final = READ | Right.EXECUTE
WRITE: Final = (
    READ
    | Right.WRITE_FILE
    | Right.TRUNCATE
    | Right.MAKE_REG
    | Right.MAKE_DIR
    | Right.MAKE_SOCK
    | Right.REMOVE_FILE
    | Right.REMOVE_DIR
    | Right.REFER
)
"""The rights that are granted: to look; to look and to start programs; to look and to change. Never a device node."""

_OF_FILES: Final = Right.EXECUTE | Right.WRITE_FILE | Right.READ_FILE | Right.TRUNCATE | Right.IOCTL_DEV
"""What makes sense for what is not a directory; the kernel refuses the rest."""
_BY_VERSION: Final = ((1, Right.MAKE_SYM), (2, Right.REFER), (3, Right.TRUNCATE), (5, Right.IOCTL_DEV))
"""The version of the interface that first knows the rights up to one."""

Held = dict[str, tuple[int, int]]
"""Path -> (device, inode): what a right hangs on. A file that takes its place later has none."""


class _Attributes(ctypes.Structure):
    """struct landlock_ruleset_attr, as its first version has it."""

    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _Beneath(ctypes.Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def version() -> int:
    """The version of the kernel's interface; 0 where there is none, or where it is turned off."""
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    except OSError as error:
        if error.errno in _MISSING:
            return 0
        raise


def restrict(rights: Mapping[str, Right], exact: Container[str] = ()) -> Held:
    """Confine the calling thread, and all that it starts, to these paths, each with what lies beneath it.

    Returns those that were there: a path at which there is nothing now is passed over, whatever comes to be there
    later. A symbolic link stands for what it leads to; but of `exact` no path is granted that leads over one by now, as
    when somebody replaced a directory after it was looked at. Raises OSError where the kernel cannot (`version` tells
    before).
    """
    known = version()
    handled = Right(0)
    for since, last in _BY_VERSION:
        if known >= since:
            handled = Right((last << 1) - 1)
    ruleset = _call(
        _CREATE_RULESET,
        ctypes.byref(_Attributes(handled)),
        ctypes.c_size_t(ctypes.sizeof(_Attributes)),
        ctypes.c_uint32(0),
    )
    try:
        held = {
            path: place
            for path, right in rights.items()
            for place in _grant(ruleset, path, right & handled, exact=path in exact)
        }
        _checked(_library().prctl(_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))))
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return held


def places(paths: Iterable[str]) -> Held:
    """What is at these paths now, as `restrict` tells it."""
    found: Held = {}
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.stat(path)  # noqa: PTH116 - called every few seconds
            found[path] = status.st_dev, status.st_ino
    return found


def _grant(ruleset: int, path: str, right: Right, *, exact: bool) -> Iterator[tuple[int, int]]:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if exact and not _is_at(place, path):
            return
        status = os.fstat(place)
        if not stat.S_ISDIR(status.st_mode):
            right &= _OF_FILES
        beneath = _Beneath(right, place)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), ctypes.byref(beneath), ctypes.c_uint32(0))
        yield status.st_dev, status.st_ino
    finally:
        os.close(place)


def _is_at(place: int, path: str) -> bool:
    """Whether an open file is the one at this very path, without a link on the way; not where /proc cannot tell."""
    try:
        return os.readlink(f"/proc/self/fd/{place}") == path  # noqa: PTH115 - a plain string is compared
    except OSError:
        return False


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    return _checked(_library().syscall(ctypes.c_long(number), *arguments))


def _checked(answer: int) -> int:
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(answer)
