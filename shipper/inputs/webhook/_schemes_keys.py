"""The secrets of an endpoint: out of the configuration and out of files, which are read again when they change."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from shipper._webhook_auth import SHORTEST_OWN, Credential, HighLevelAuth, KeapAuth, Scheme
from shipper.errors import ConfigError

LOOK_AGAIN: Final = 1.0
"""Seconds between two looks at the files."""
_OP: Final = "read a webhook's secrets"


class Keys:
    """The secrets that are good at the moment, for `schemes.verify`.

    `place` names the endpoint in errors. Raises `ConfigError` where a secret cannot be used at the start. Later a file
    that is gone, empty or wrong leaves the secrets before it in use; `problem` says so in words. `monotonic`: s.
    """

    def __init__(self, scheme: Scheme, place: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._scheme, self._place, self._monotonic = scheme, place, monotonic
        self.problem = ""
        self._inline: tuple[bytes, ...] = ()
        self._files: tuple[Path, ...] = ()
        if not isinstance(scheme, KeapAuth):
            self._inline = tuple(_usable(scheme, one.get_secret_value(), place) for one in scheme.inline)
            self._files = scheme.files
        self._seen = self._stamps()
        self._looked = monotonic()
        self._secrets = self._read()

    @property
    def secrets(self) -> Sequence[bytes]:
        """All of them, as they were at the last look; for any thread."""
        return self._secrets

    def look(self) -> None:
        """Look at the files, once a second at the most. For the agent's thread, whose rights are those of now."""
        now = self._monotonic()
        if self._files and now - self._looked >= LOOK_AGAIN:
            self._looked = now
            stamps = self._stamps()
            if stamps != self._seen:
                try:
                    self._secrets = self._read()
                except ConfigError as error:
                    # The same files are read again at the next look: an exchange may be half done.
                    self.problem = f"{error.place}: {error.cause}; the secret before it stays in use"
                else:
                    self._seen, self.problem = stamps, ""

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        found: list[tuple[int, int, int] | None] = []
        for file in self._files:
            try:
                stat = file.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return found

    def _read(self) -> tuple[bytes, ...]:
        read = []
        for file in self._files:
            try:
                text = file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                cause = error.strerror or "cannot be read" if isinstance(error, OSError) else "not UTF-8"
                raise ConfigError(_OP, str(file), cause, "name a readable file with one secret") from None
            read.append(_usable(self._scheme, text.rstrip("\r\n"), str(file)))
        return (*self._inline, *read)


def _usable(scheme: Scheme, text: str, place: str) -> bytes:
    """A secret as `verify` takes it."""
    if not text.strip():
        raise ConfigError(_OP, place, "the secret is empty: it would let everybody in", "write the secret into it")
    if isinstance(scheme, HighLevelAuth):
        key = public_key(text)
        if key is None:
            raise ConfigError(
                _OP, place, "not a public key", "give PEM, or base64 of the 32 or 44 bytes of an Ed25519 key"
            )
        return key
    if isinstance(scheme, Credential) and scheme.own and len(text) < SHORTEST_OWN:
        raise ConfigError(
            _OP, place, f"fewer than {SHORTEST_OWN} characters: it can be guessed", "make one: openssl rand -hex 32"
        )
    return text.encode("utf-8", "surrogatepass")


def public_key(text: str) -> bytes | None:
    """An Ed25519 key as its 32 bytes, an RSA key as DER; None for anything else."""
    try:
        if "-----BEGIN" in text:
            key = load_pem_public_key(text.strip().replace("\\n", "\n").encode())
        else:
            raw = base64.b64decode("".join(text.split()), validate=True)
            if len(raw) == 32:
                return raw
            key = load_der_public_key(raw)
    except (ValueError, UnicodeEncodeError, binascii.Error, UnsupportedAlgorithm):
        return None
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    if isinstance(key, RSAPublicKey):
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return None
