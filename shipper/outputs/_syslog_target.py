"""Where a syslog or RELP receiver is, how it is reached, and what went wrong in words.

The certificates are read again for every connection, so one that was renewed on disk counts from the next connection
on.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import TYPE_CHECKING

from shipper.errors import ConfigError
from shipper.outputs._stream import Stream

if TYPE_CHECKING:
    from shipper.output_sections import SyslogSection, TlsSection

_ADDRESS = re.compile(r"(udp|tcp|tls|relps?)://(?:\[([0-9A-Fa-f:.]+)\]|([^\s/:\[\]]+)):(\d{1,5})")
SECURE = frozenset({"tls", "relps"})


class Target:
    """One receiver: `transport` is the scheme of its address; `host` and `port` as configured."""

    def __init__(self, section: SyslogSection) -> None:
        self.address = section.address
        self.transport, self.host, self.port = split_address(section)
        self._output = section.id
        self._timeout = section.timeout
        self._tls = section.tls if self.transport in SECURE else None

    def context(self) -> ssl.SSLContext | None:
        """The TLS settings with the certificates as they are on disk now, None without TLS. Raises `ConfigError`."""
        return None if self._tls is None else tls_context(self._tls, self._output)

    def connect(self) -> Stream:
        """A new connection. Raises `OSError`, also for certificates that cannot be read now."""
        try:
            context = self.context()
        except ConfigError as error:
            # They could be read at the start: somebody is at it, and the next try may find them whole.
            raise OSError(errno.EIO, f"{error.cause} (hint: {error.hint})") from None
        name = (self._tls.server_name if self._tls is not None else None) or self.host
        return Stream.connect(self.host, self.port, self._timeout, context, name)

    def said(self, error: OSError) -> str:
        """One line on `error` with the address."""
        return f"syslog {self.address}: {explain(error)}"


def explain(error: OSError) -> str:
    """One line on what went wrong, with what to set where a setting is wrong."""
    if isinstance(error, ssl.SSLCertVerificationError):
        told = error.verify_message or str(error)
        if "mismatch" in told or "not valid for" in told:
            return f"TLS: {told} (hint: tls.server_name: the name in the receiver's certificate)"
        if "expired" in told:
            return f"TLS: the receiver's {told} (hint: it needs a new one; is the clock here right? date -u)"
        return f"TLS: the receiver's certificate is not trusted: {told} (hint: tls.ca: the authority that signed it)"
    if isinstance(error, ssl.SSLError):
        return (
            f"TLS: {error.reason or error} (hint: does the receiver speak TLS on this port, and ask for a certificate?)"
        )
    if isinstance(error, socket.gaierror):
        return f"cannot resolve the host name: {error.strerror}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error)


def split_address(section: SyslogSection) -> tuple[str, str, int]:
    """(transport, host, port) of a configured address; `ConfigError` for a port that is none."""
    match = _ADDRESS.fullmatch(section.address)
    if match is None or not 0 < int(match[4]) < 65536:
        raise ConfigError(
            "read configuration", f"outputs: {section.id}: address", section.address, "tls://soc.example:6514"
        )
    return match[1], match[2] or match[3], int(match[4])


def tls_context(section: TlsSection, output: str) -> ssl.SSLContext:
    """The client's TLS settings: own authorities, own certificate, at least TLS 1.2. Raises `ConfigError`."""
    where, used = f"outputs: {output}: tls.ca", section.ca
    try:
        context = ssl.create_default_context(cafile=None if section.ca is None else str(section.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not section.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if section.cert is not None:
            where, used = f"outputs: {output}: tls.cert", section.cert
            key = None if section.key is None else str(section.key)
            context.load_cert_chain(str(section.cert), key, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        cause = f"{used}: {getattr(error, 'reason', None) or getattr(error, 'strerror', None) or error}"
        raise ConfigError("read certificates", where, cause, f"openssl x509 -in {used} -noout -subject") from None
    return context
