"""What a listener needs of the system: sockets that are bound, and its certificate."""

from __future__ import annotations

import errno
import socket
from typing import Final

from shipper.errors import ConfigError
from shipper.inputs._certificate import Certificate
from shipper.inputs.syslog.settings import Address, Settings

BACKLOG: Final = 512


def certificate_of(settings: Settings) -> Certificate | None:
    """Its certificate, None where no address needs one. Raises `ConfigError` where it cannot be used."""
    if settings.cert is None or settings.key is None or not any(one.secure for one in settings.addresses):
        return None
    return Certificate("listen for syslog", settings.cert, settings.key, settings.client_ca)


def bound(address: Address) -> socket.socket:
    """A socket that listens there. Raises `ConfigError`."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    datagrams = address.scheme == "udp"
    kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    sock = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    try:
        if not datagrams:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address.host, address.port))
        if not datagrams:
            sock.listen(BACKLOG)
            sock.setblocking(False)
    except OSError as error:
        sock.close()
        flags = "-lunp" if datagrams else "-ltnp"
        hint = f"ss {flags} 'sport = :{address.port}', or another address in listen"
        if error.errno in {errno.EACCES, errno.EPERM}:
            hint = "a port from 1024 on, or AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit"
        raise ConfigError("listen for syslog", address.url, error.strerror or str(error), hint) from None
    return sock
