"""What a listener needs of the system: sockets that are bound, and its certificate."""

from __future__ import annotations

import socket
from typing import Final

from shipper.inputs._certificate import Certificate
from shipper.inputs._sockets import bound_socket
from shipper.inputs.syslog.settings import Address, Settings

BACKLOG: Final = 512


def certificate_of(settings: Settings) -> Certificate | None:
    """Its certificate, None where no address needs one. Raises `ConfigError` where it cannot be used."""
    if settings.cert is None or settings.key is None or not any(one.secure for one in settings.addresses):
        return None
    return Certificate("listen for syslog", settings.cert, settings.key, settings.client_ca)


def bound(address: Address) -> socket.socket:
    """A socket that listens there. Raises `ConfigError`."""
    backlog = None if address.scheme == "udp" else BACKLOG
    return bound_socket("listen for syslog", address.url, address.host, address.port, backlog=backlog)
