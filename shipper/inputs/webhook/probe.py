"""`validate --connect` for an input of type `webhook`: secrets, certificate, and whether its address is free."""

from __future__ import annotations

from collections.abc import Iterator

from shipper._webhook_auth import Scheme
from shipper.errors import ConfigError
from shipper.inputs.webhook._listener import bound, certificate_of
from shipper.inputs.webhook._schemes_keys import Keys
from shipper.inputs.webhook.settings import Settings

Tried = tuple[str, bool, str, str]
"""What was tried, whether it worked, the detail, and a hint."""


def probe(settings: Settings, scheme: Scheme, path: str, *, running: bool) -> Iterator[Tried]:
    """Try each in turn. `running`: the agent runs, so that the address is taken by it."""
    try:
        count = len(Keys(scheme, path).secrets)
    except ConfigError as error:
        yield "keys", False, f"{error.place}: {error.cause}", error.hint
    else:
        said = "no secret: what is posted is a reason to read, no more"
        yield "keys", True, f"{count} secret{'s' if count != 1 else ''}" if count else said, ""
    if settings.cert is not None:
        try:
            certificate_of(settings)
        except ConfigError as error:
            yield "TLS", False, f"{error.place}: {error.cause}", error.hint
        else:
            yield "TLS", True, str(settings.cert), ""
    address = f"{settings.place}{path}"
    if running:
        yield "listen", True, f"{address}: not tried, the agent is running", ""
        return
    try:
        bound(settings).close()
    except ConfigError as error:
        yield "listen", False, f"{address}: {error.cause}", error.hint
    else:
        yield "listen", True, address, ""
