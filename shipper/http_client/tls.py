"""The TLS settings of a client, apart from any client library: they are checked at every start."""

from __future__ import annotations

import contextlib
import ssl
import threading
from pathlib import Path

from shipper.errors import ConfigError
from shipper.output_sections import TlsSection


def tls_context(tls: TlsSection) -> ssl.SSLContext:
    """One context for all hosts: TLS 1.2 or newer, the given authorities (or the system's), our own certificate.

    Raises `ConfigError` for files that cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ValueError) as error:
        raise ConfigError("read certificates", str(tls.ca), str(error), f"openssl x509 -in {tls.ca} -noout") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert is not None:
        try:
            context.load_cert_chain(tls.cert, tls.key, password=lambda: "")  # else OpenSSL would ask on the terminal
        except (OSError, ValueError) as error:
            hint = f"openssl x509 -in {tls.cert} -noout -subject; the key must belong to it and carry no password"
            raise ConfigError("read certificates", str(tls.cert), str(error), hint) from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Contexts:
    """The context for the next connection: made anew when our certificate or its key was replaced on disk.

    A pair of files that does not fit together is one that is being replaced just now: the old one stays. For any number
    of threads.
    """

    def __init__(self, tls: TlsSection) -> None:
        self._tls = tls
        self._seen = self._stamp()
        self._context = tls_context(tls)
        self._changing = threading.Lock()

    def current(self) -> ssl.SSLContext:
        """The context to connect with now."""
        with self._changing:
            seen = self._stamp()
            if seen != self._seen:
                with contextlib.suppress(ConfigError):
                    self._context = tls_context(self._tls)
                    self._seen = seen
            return self._context

    def _stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in (self._tls.cert, self._tls.key) if path is not None)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_ino, told.st_mtime_ns, told.st_size
