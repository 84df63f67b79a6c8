"""`validate --connect` for an input of type `syslog`: its certificate, and whether its addresses are free."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from shipper.inputs._sockets import Tried, try_certificate, try_to_listen
from shipper.inputs.syslog._sockets import bound, certificate_of
from shipper.inputs.syslog.settings import Settings


def probe(settings: Settings, *, running: bool) -> Iterator[Tried]:
    """Try each in turn. `running`: the agent runs, so that the addresses are taken by it."""
    if any(address.secure for address in settings.addresses):
        detail = f"{settings.cert}" + (", clients need a certificate" if settings.client_ca else "")
        yield try_certificate(partial(certificate_of, settings), detail)
    for address in settings.addresses:
        yield try_to_listen(partial(bound, address), address.url, running=running)
