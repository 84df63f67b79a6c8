"""urllib3's connections under a total deadline: for a name that is looked up, a handshake, a request, an answer."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError

from shipper.http_client.watch import in_time

if TYPE_CHECKING:
    from shipper.http_client.tls import Contexts
    from shipper.http_client.watch import Watch


class Watched(HTTPConnection):
    """A connection that its `Watch` can end."""

    def __init__(self, *args: Any, watch: Watch, contexts: Contexts | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch, self._contexts = watch, contexts

    def _new_conn(self) -> socket.socket:
        if _is_address(self._dns_host):
            made = super()._new_conn()
        else:
            # Nothing interrupts the look-up of a name, and a name may stand for many addresses.
            try:
                made = in_time(super()._new_conn, self._watch.left(), socket.socket.close)
            except TimeoutError:
                raise ConnectTimeoutError(self, "no connection in time") from None
        self._watch.socket = made
        return made

    def connect(self) -> None:
        super().connect()
        self._watch.socket = self.sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._watch.socket = self.sock
        super().request(*args, **kwargs)


class WatchedTls(Watched, HTTPSConnection):
    """The same with TLS; certificates are those on disk when it connects."""

    def connect(self) -> None:
        assert self._contexts is not None, "a pool of TLS connections has contexts"
        self.ssl_context = self._contexts.current()
        super().connect()


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
