"""Writing secrets and the configuration: whole or not at all.

Root may set up what the agent's own user reads, in folders of that user's, who may put a link anywhere in them at any
time. So owners and modes are changed by descriptors only, and no link is followed below the state folder.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from shipper.errors import UsageError

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Undo:
    """Files that were made are removed again where what they were made for did not come about."""

    def __init__(self) -> None:
        self._made: list[tuple[int, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder, name in self._made:
            if kind is not None:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=folder)
            os.close(folder)
        self._made.clear()

    def made(self, folder: int, name: str) -> None:
        """Remove this one, too. `folder`: its descriptor, which stays the caller's."""
        self._made.append((os.dup(folder), name))


def keep_secret(folder: Path, name: str, secret: str, undo: Undo) -> Path:
    """Write a secret to a file of its own (0600) in a folder (0700), never over another; returns its path.

    Both belong to whom the folder above belongs to: root sets up what the agent's own user reads.
    Raises `UsageError`, also where the folder is a link.
    """
    with _telling("write a secret", folder), _opened(folder.parent) as above:
        owner = os.fstat(above)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder.name, 0o700, dir_fd=above)
        with _opened(folder.name, above) as at:
            chosen, number = name, 1
            while True:
                with contextlib.suppress(FileExistsError):
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                    handle = os.open(chosen, flags, 0o600, dir_fd=at)
                    break
                number += 1
                chosen = f"{name}-{number}"
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                undo.made(at, chosen)
                file.write(f"{secret}\n")
                file.flush()
                os.fsync(handle)
                _give(handle, owner)
            _give(at, owner)
    return folder / chosen


def hand_over(folder: Path) -> None:
    """Give a folder that was made here, and its files, to whom the folder above belongs to, where root has made them.

    Raises `UsageError` where the folder, or anything in it, is a link, and where the folder is somebody else's, who
    can have put others' files in it: nothing is given then.
    """
    with _telling("hand over", folder), contextlib.ExitStack() as stack:
        above = stack.enter_context(_opened(folder.parent))
        at = stack.enter_context(_opened(folder.name, above))
        whose, me = os.fstat(at).st_uid, os.geteuid()
        if whose != me:
            raise UsageError(
                "hand over", str(folder), f"belongs to user id {whose}, not to {me}", f"ls -la {folder.parent}"
            )
        handles = []
        for name in os.listdir(at):  # noqa: PTH208 - a Path takes no descriptor
            # O_NONBLOCK: a FIFO is not waited for.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handles.append(os.open(name, flags, dir_fd=at))
            stack.callback(os.close, handles[-1])
        for handle in (*handles, at):
            _give(handle, os.fstat(above))


@contextlib.contextmanager
def _opened(folder: Path | str, above: int | None = None) -> Iterator[int]:
    """The folder's descriptor; below another one it must not be a link."""
    handle = os.open(folder, _FOLDER if above is None else _FOLDER | os.O_NOFOLLOW, dir_fd=above)
    try:
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _telling(op: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = "a symbolic link" if folder.is_symlink() else error.strerror or str(error)
        raise UsageError(op, str(folder), cause, f"ls -la {folder.parent}") from None


def _give(handle: int, owner: os.stat_result) -> None:
    """Give what root has made to the owner; a file of several names may be anybody's, and is left alone."""
    now = os.fstat(handle)
    plain = stat.S_ISDIR(now.st_mode) or (stat.S_ISREG(now.st_mode) and now.st_nlink == 1)
    if os.geteuid() == 0 and owner.st_uid != 0 and now.st_uid == 0 and plain:
        os.fchown(handle, owner.st_uid, owner.st_gid)


def write(path: Path, text: str, *, over: bool) -> None:
    """Write the file as a whole. `over`: in place of the one that is there, with its owner and mode.

    At no time can anybody read it who could not read the one that was there.
    Raises `UsageError` where there is one by now that must not be replaced.
    """
    target = Path(os.path.realpath(path)) if over else path
    beside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        now = _replaced(target) if over else None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(beside, flags, 0o666 if now is None else 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if now is not None:
                if os.geteuid() == 0:
                    os.fchown(handle, now.st_uid, now.st_gid)
                os.fchmod(handle, now.st_mode & 0o777)
            os.fsync(handle)
        if over:
            beside.replace(target)
        else:
            os.link(beside, target)
    except FileExistsError:
        raise UsageError("init", str(path), "already exists", f"fieldtrail validate -c {path}") from None
    except OSError as error:
        raise UsageError("init", str(path), error.strerror or str(error), f"ls -ld {path.parent}") from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def _replaced(target: Path) -> os.stat_result | None:
    """Owner and mode of what is to be replaced; None where there is nothing."""
    try:
        now = target.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(now.st_mode):
        raise UsageError("init", str(target), "not a file", f"ls -ld {target}")
    return now
