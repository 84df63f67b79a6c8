"""HTTP requests to one address, each under one total deadline, with an answer that is read up to a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from shipper.http_client.connections import Watched, WatchedTls
from shipper.http_client.errors import no_answer
from shipper.http_client.tls import Contexts
from shipper.http_client.watch import Watch
from shipper.outputs._bulk import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipper.output_sections import HttpSection

LONGEST_ANSWER: Final = 65_536
"""Bytes of an answer that are read; what is longer costs the connection."""


def origin_of(url: str) -> str:
    """Scheme, host and port: what may be said of a URL, since the path of a webhook is often its secret."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{parts.port}" if parts.port else "")


class Wire:
    """Connections to the section's `url`. Used by one thread at a time. Raises `ConfigError` for bad certificates.

    Redirects are not followed: where the events go is for the configuration to say. The proxies of the environment are
    not used, for the same reason.
    """

    def __init__(self, section: HttpSection) -> None:
        parts = urlsplit(section.address)
        self.place = origin_of(section.address)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout = section.timeout
        self._watch = Watch()
        host, secure, tls = parts.hostname or "", parts.scheme == "https", section.tls
        self._pool: Any
        if secure:
            contexts = Contexts(tls)
            self._pool = urllib3.HTTPSConnectionPool(
                host, parts.port or 443, maxsize=1, ssl_context=contexts.current(), assert_hostname=tls.server_name
            )
            self._pool.ConnectionCls = WatchedTls
            if tls.server_name:
                self._pool.conn_kw["server_hostname"] = tls.server_name
        else:
            contexts = None
            self._pool = urllib3.HTTPConnectionPool(host, parts.port or 80, maxsize=1)
            self._pool.ConnectionCls = Watched
        self._pool.conn_kw["watch"] = self._watch
        self._pool.conn_kw["contexts"] = contexts

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer to a POST of `body`, whatever its status; `NoAnswerError` when there is none."""
        watch, timeout = self._watch, self._timeout
        failure: Exception | None = None
        answer: Answer | None = None
        with watch.limit(timeout):
            try:
                response = self._pool.urlopen(
                    "POST",
                    self._target,
                    body=body,
                    headers=headers,
                    retries=False,
                    redirect=False,
                    assert_same_host=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=urllib3.Timeout(timeout),
                )
                text = response.read(LONGEST_ANSWER + 1, decode_content=False)
                if len(text) > LONGEST_ANSWER:
                    response.close()
                response.release_conn()
                received = {name.lower(): value for name, value in response.headers.items()}
                answer = Answer(response.status, received, text[:LONGEST_ANSWER])
            except (HTTPError, OSError, ValueError) as error:
                failure = error
        if answer is not None and not watch.expired:
            return answer
        connected = watch.socket is not None
        raise no_answer(
            "send over HTTP", self.place, failure, timeout, expired=watch.expired, connected=connected
        ) from None

    def close(self) -> None:
        """Close all connections; may be called twice."""
        self._watch.close()
        self._pool.close()
