"""The state folder: made with the right mode, held by one agent at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from shipper.errors import ConfigError, UnavailableError
from shipper.seal.keys import IDENTITY

_HINT = "set agent.state_dir, or check its owner"


def prepare_folder(folder: Path) -> bool:
    """Create the state folder (0700); True when it holds nothing yet, so that a first key may be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # `lost+found`: the folder is a file system of its own.
        names = {item.name for item in folder.iterdir()} - {"lock", "lost+found"}
        if names == {"keys"} and not (folder / "keys" / IDENTITY).exists():
            names.clear()  # the first start was killed before it had a key
    except OSError as error:
        cause = "not a directory" if isinstance(error, FileExistsError) else error.strerror or str(error)
        raise ConfigError("open the state folder", str(folder), cause, _HINT) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError("open the state folder", str(folder), "not writable", f"ls -ld {folder}")
    return not names


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """One agent per state folder (flock, released by the kernel whatever happens)."""
    path = folder / "lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError("open the state folder", str(path), error.strerror or str(error), f"ls -l {path}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip()
            raise UnavailableError(
                "open the state folder",
                str(folder),
                f"in use by another agent{f' (pid {owner})' if owner else ''}",
                "fieldtrail status",
            ) from None
        with contextlib.suppress(OSError):  # on a full disk the number is missing, the lock holds all the same
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
