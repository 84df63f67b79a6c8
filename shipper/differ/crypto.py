"""Snapshots at rest: AES-256-GCM with a key of its own in the state folder.

A snapshot is a copy of what the source holds of a person, so it lies encrypted: who gets hold of an input's database
without the key reads ids and sizes. A sealed blob is bound to its source, type and id: one that is put in another's
place is refused.

    blob = 01 || nonce (12 bytes, random) || AES-256-GCM(plain, associated data)
    associated data = "fieldtrail snapshot 1" || JSON [source, type, id]

The key is 32 random bytes in `<state>/keys/snapshots.key` (0600). It is not derived from the identity key, so that
changing one never costs the other. A blob can be read only with it: whoever loses it loses the snapshots, and says so
to the agent by removing the input's database; changes begin at a new baseline then.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shipper.errors import ConfigError, CorruptError
from shipper.seal.keys import create_private, read_private

KEY_FILE: Final = "snapshots.key"
_KEY: Final = 32
_NONCE: Final = 12
_VERSION: Final = b"\x01"
_BOUND: Final = b"fieldtrail snapshot 1"
_OP: Final = "read the key of the snapshots"


class Cipher:
    """Seals and opens blobs of one source. `random_bytes`: as `os.urandom`."""

    __slots__ = ("_aes", "_random", "mark")

    def __init__(self, key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self._aes, self._random = AESGCM(key), random_bytes
        self.mark = sha256(b"fieldtrail snapshot key 1" + key).digest()[:16]
        """Tells keys apart and nothing about them: it lies beside the blobs."""

    def seal(self, plain: bytes, source: str, kind: str, identity: str) -> bytes:
        """`plain` as a blob that only opens for the same record."""
        nonce = self._random(_NONCE)
        return _VERSION + nonce + self._aes.encrypt(nonce, plain, _bound(source, kind, identity))

    def open(self, blob: bytes, source: str, kind: str, identity: str) -> bytes:
        """What was sealed; `CorruptError` for a blob that was damaged, or sealed for another record or key."""
        if blob[:1] == _VERSION:
            with suppress(InvalidTag, ValueError):  # a ValueError: too short for a nonce
                nonce, sealed = blob[1 : 1 + _NONCE], blob[1 + _NONCE :]
                return self._aes.decrypt(nonce, sealed, _bound(source, kind, identity))
        hint = "move the input's database away: its snapshots begin anew"
        raise CorruptError("open snapshot", f"{source}:{kind}/{identity}", "not what was sealed", hint)


def _bound(source: str, kind: str, identity: str) -> bytes:
    return _BOUND + orjson.dumps([source, kind, identity])


def cipher_of(folder: Path, mark: bytes | None, place: str, random_bytes: Callable[[int], bytes]) -> Cipher:
    """The cipher with the key in `folder`; the key is made where no snapshot needs another.

    `mark`: what the database at `place` says of the key of its snapshots, None where it has none yet. `ConfigError`
    where that key is gone, another one is there, or others can read it.
    """
    path = folder / KEY_FILE
    anew = f"restore {path} from your backup of the keys, or move {place} away: its snapshots begin anew"
    if mark is None and not path.exists():
        with suppress(FileExistsError):  # another input was quicker, and made it for all
            create_private(folder, KEY_FILE, random_bytes(_KEY), "create the key of the snapshots")
    elif not path.exists():
        raise ConfigError(_OP, str(path), f"no such file, and the snapshots in {place} need it", anew)
    key = read_private(folder, KEY_FILE, _OP)
    if len(key) != _KEY:
        raise ConfigError(_OP, str(path), f"not {_KEY} bytes", anew)
    cipher = Cipher(key, random_bytes)
    if mark is not None and mark != cipher.mark:
        raise ConfigError(_OP, str(path), f"not the key of the snapshots in {place}", anew)
    return cipher
