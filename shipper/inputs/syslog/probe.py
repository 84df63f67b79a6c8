"""`validate --connect` for an input of type `syslog`: its certificate, and whether its addresses are free."""

from __future__ import annotations

from collections.abc import Iterator

from shipper.errors import ConfigError
from shipper.inputs.syslog._sockets import bound, certificate_of
from shipper.inputs.syslog.settings import Settings

Tried = tuple[str, bool, str, str]
"""What was tried, whether it worked, the detail, and a hint."""


def probe(settings: Settings, *, running: bool) -> Iterator[Tried]:
    """Try each in turn. `running`: the agent runs, so that the addresses are taken by it."""
    if any(address.secure for address in settings.addresses):
        try:
            certificate_of(settings)
        except ConfigError as error:
            yield "TLS", False, f"{error.place}: {error.cause}", error.hint
        else:
            yield "TLS", True, f"{settings.cert}" + (", clients need a certificate" if settings.client_ca else ""), ""
    for address in settings.addresses:
        if running:
            yield "listen", True, f"{address.url}: not tried, the agent is running", ""
            continue
        try:
            bound(address).close()
        except ConfigError as error:
            yield "listen", False, f"{address.url}: {error.cause}", error.hint
        else:
            yield "listen", True, address.url, ""
