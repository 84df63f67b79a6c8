"""`validate --connect` for an input of type `webhook`: secrets, certificate, and whether its address is free."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from shipper._webhook_auth import Scheme
from shipper.errors import ConfigError
from shipper.inputs._sockets import Tried, try_certificate, try_to_listen
from shipper.inputs.webhook._listener import bound, certificate_of
from shipper.inputs.webhook._schemes_keys import Keys
from shipper.inputs.webhook.settings import Settings


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
        yield try_certificate(partial(certificate_of, settings), str(settings.cert))
    yield try_to_listen(partial(bound, settings), f"{settings.place}{path}", running=running)
