"""The identity key on disk.

The key is an Ed25519 key as PKCS#8 PEM in `<state>/keys/identity.pem`: mode 0600, in a folder of mode 0700, both owned
by the user that the agent runs as. A key that anybody else could have read or replaced is refused, not repaired: only a
person can decide whether it is still good. All problems are `ConfigError`s with a hint.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shipper.errors import ConfigError
from shipper.seal.trust import Generation, Trust, fingerprint, read_trust, trust_json, write_trust

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "IDENTITY",
    "Generation",
    "Trust",
    "create_identity",
    "create_private",
    "custody_key",
    "fingerprint",
    "load_identity",
    "read_private",
    "read_trust",
    "trust_json",
    "write_trust",
]

IDENTITY: Final = "identity.pem"
_MAX_FILE: Final = 10_000


def create_identity(folder: Path) -> Ed25519PrivateKey:
    """Make and store a new identity key in `folder` (created 0700); an existing key is never replaced."""
    op = "create the identity key"
    key = Ed25519PrivateKey.generate()
    try:
        create_private(folder, IDENTITY, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), op)
    except FileExistsError:
        raise ConfigError(op, str(folder / IDENTITY), "there is a key already", "fieldtrail keys show") from None
    return key


def create_private(folder: Path, name: str, data: bytes, op: str) -> None:
    """Store `data` as a file of mode 0600 in `folder` (created 0700); `FileExistsError` where there is one.

    The key takes its name only when it is durable: half a key would be refused at every later start.
    """
    unfinished = f"{name}.{os.getpid()}.tmp"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = _open_folder(folder, op)
    except OSError as error:
        raise _refused(op, str(folder), error, f"ls -ld {folder}") from None
    try:
        with suppress(FileNotFoundError):  # from a start that was killed
            os.unlink(unfinished, dir_fd=directory)
        handle = os.open(
            unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory
        )
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link does not take the place of a key that is there.
            os.link(unfinished, name, src_dir_fd=directory, dst_dir_fd=directory)
        finally:
            with suppress(OSError):
                os.unlink(unfinished, dir_fd=directory)
        os.fsync(directory)
    except FileExistsError:
        raise
    except OSError as error:
        raise _refused(op, str(folder / name), error, f"ls -ld {folder}") from None
    finally:
        os.close(directory)


def load_identity(folder: Path) -> Ed25519PrivateKey:
    """The identity key of `folder`; `ConfigError` when it is missing, open to others, or not an Ed25519 key."""
    op, path = "read the identity key", folder / IDENTITY
    pem = read_private(folder, IDENTITY, op)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            op, str(path), "not an unencrypted PKCS#8 key in PEM form", "restore the file from your backup of the keys"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(op, str(path), "not an Ed25519 key", "restore the file from your backup of the keys")
    return key


def custody_key(folder: Path) -> bytes:
    """The 32 bytes that key the custody MACs in `batch` leaves: derived from the identity key, so never shipped."""
    seed = load_identity(folder).private_bytes_raw()
    return HKDF(SHA256(), 32, salt=None, info=b"fieldtrail custody key v1").derive(seed)


def _refused(op: str, place: str, error: OSError, hint: str) -> ConfigError:
    return ConfigError(op, place, error.strerror or type(error).__name__, hint)


def _open_folder(folder: Path, op: str) -> int:
    """A descriptor of the folder, so that what is checked is what is used."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_mode(os.fstat(directory), str(folder), op, f"chmod 700 {folder}")
    except BaseException:
        os.close(directory)
        raise
    return directory


def _check_mode(status: os.stat_result, place: str, op: str, hint: str) -> None:
    if status.st_uid != os.geteuid():
        # Never to change the owner: root would take the key from the service by that.
        whose = f"sudo -u '#{status.st_uid}' fieldtrail ..., as the user that it belongs to"
        raise ConfigError(op, place, f"belongs to user id {status.st_uid}, not to {os.geteuid()}", whose)
    if status.st_mode & 0o077:
        raise ConfigError(op, place, f"open to group or others (mode {stat.S_IMODE(status.st_mode):04o})", hint)


def read_private(folder: Path, name: str, op: str) -> bytes:
    """What a private file holds, as `create_private` wrote it; `ConfigError` when it is missing or open to others."""
    path = folder / name
    try:
        directory = _open_folder(folder, op)
    except FileNotFoundError:
        raise ConfigError(op, str(path), "no such file", "fieldtrail keys init") from None
    except OSError as error:
        raise _refused(op, str(folder), error, f"ls -ld {folder}") from None
    try:
        # O_NONBLOCK: a FIFO in the key's place must be an error, not a wait.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        raise ConfigError(op, str(path), "no such file", "fieldtrail keys init") from None
    except OSError as error:
        if path.is_symlink():
            raise ConfigError(op, str(path), "a symbolic link", f"ls -l {path}") from None
        raise _refused(op, str(path), error, f"chmod 600 {path}") from None
    finally:
        os.close(directory)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_FILE:
            raise ConfigError(op, str(path), "not a key file", f"ls -l {path}")
        _check_mode(status, str(path), op, f"chmod 600 {path}")
        return os.read(handle, _MAX_FILE)
    except OSError as error:
        raise _refused(op, str(path), error, f"ls -l {path}") from None
    finally:
        os.close(handle)
