"""The certificate of a listener, and those of its clients, read again when their files change."""

from __future__ import annotations

import ssl
from pathlib import Path

from shipper.errors import ConfigError

LOOK_EVERY = 10.0
"""Seconds between two looks at the files."""


class Certificate:
    """The context for new connections. Raises `ConfigError` where the files cannot be used.

    `operation`: what fails then, in the infinitive. `client_ca`: only clients with a certificate of this authority get
    in. All are PEM files.
    """

    def __init__(self, operation: str, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        self._operation, self._cert, self._key, self._client_ca = operation, cert, key, client_ca
        self._files = [path for path in (cert, key, client_ca) if path is not None]
        self.problem = ""
        """Why the files that are there now are not in use; empty when they are."""
        self._looked = float("-inf")
        self._seen = [_stamp(path) for path in self._files]
        self.context = self._read()

    def look(self, now: float) -> None:
        """Take files that were renewed; where they cannot be used, those before them stay in use. `now`: monotonic s.

        For the agent's thread: a listener's own outlives a reload, and then its rights (Landlock) are those of before.
        """
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        stamps = [_stamp(path) for path in self._files]
        if stamps == self._seen:
            return
        try:
            self.context = self._read()
        except ConfigError as error:
            # Looked at again: certificate and key are two files, of which one may be renewed already.
            self.problem = f"{error.place}: {error.cause}; the certificate before it stays in use"
        else:
            self._seen, self.problem = stamps, ""

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        place = self._cert
        try:
            context.load_cert_chain(self._cert, self._key)
            if self._client_ca is not None:
                place = self._client_ca
                context.load_verify_locations(self._client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            cause = getattr(error, "reason", None) or error.strerror or str(error)
            hint = f"openssl x509 -noout -subject -in {place}"
            raise ConfigError(self._operation, str(place), str(cause), hint) from None
        return context


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
