"""Requests to an API, each under one total deadline, with an answer that is read up to a bound.

Redirects are not followed: a token goes where the configuration says, and nowhere else. The proxies of the environment
are not used, for the same reason.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from shipper import __version__
from shipper.http_client.connections import Watched, WatchedTls
from shipper.http_client.errors import no_answer
from shipper.http_client.tls import Contexts
from shipper.http_client.watch import Watch
from shipper.inputs.poll.pages import UnusableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipper.output_sections import TlsSection

_PART: Final = 256 * 1024
_AGENT: Final = f"fieldtrail/{__version__}"


class Answer(NamedTuple):
    """An HTTP response: header names in lower case, the body decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Connections to the hosts of one API. Used by one thread at a time. Raises `ConfigError` for bad certificates."""

    def __init__(self, timeout: float, longest: int, tls: TlsSection) -> None:
        """`timeout`: s for a request as a whole; `longest`: bytes of an answer, packed and unpacked."""
        self._timeout, self._longest, self._tls = timeout, longest, tls
        self._watch = Watch()
        self._contexts = Contexts(tls)
        self._pools: dict[tuple[str, str], Any] = {}

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """The answer, whatever its status. Raises `NoAnswerError`, and `UnusableError` for one that is too long."""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        pool, watch = self._pool(parts.scheme, parts.netloc), self._watch
        sent = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": _AGENT, **headers}
        failure: Exception | None = None
        answer: Answer | None = None
        with watch.limit(self._timeout):
            try:
                response = pool.urlopen(
                    method,
                    target,
                    body=body,
                    headers=sent,
                    retries=False,
                    redirect=False,
                    assert_same_host=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=urllib3.Timeout(self._timeout),
                )
                try:
                    received = {name.lower(): value for name, value in response.headers.items()}
                    if "link" in received:  # each relation may have a header of its own (RFC 9110, 5.3)
                        received["link"] = ", ".join(response.headers.getlist("link"))
                    answer = Answer(response.status, received, self._read(response, received))
                except BaseException:
                    response.close()
                    raise
                finally:
                    response.release_conn()
            except (HTTPError, OSError, ValueError) as error:
                failure = error
        if answer is not None and not watch.expired:
            return answer
        connected = watch.socket is not None
        place = f"{parts.scheme}://{parts.netloc}"
        raise no_answer("poll", place, failure, self._timeout, expired=watch.expired, connected=connected) from None

    def _read(self, response: Any, headers: Mapping[str, str]) -> bytes:
        packed = headers.get("content-encoding", "identity").strip().lower()
        if packed not in {"gzip", "x-gzip", "identity", ""}:
            raise UnusableError("the answer is compressed in a way that was not asked for")
        unpack = zlib.decompressobj(31) if packed.endswith("gzip") else None
        found = bytearray()
        size = 0
        while part := response.read(_PART, decode_content=False):
            size += len(part)
            try:
                found += part if unpack is None else unpack.decompress(part, self._longest + 1 - len(found))
            except zlib.error:
                raise UnusableError("the answer cannot be decompressed") from None
            if max(size, len(found)) > self._longest or (unpack is not None and unpack.unconsumed_tail):
                raise UnusableError(f"the answer is longer than {self._longest} bytes (max_response)")
        if unpack is not None and not unpack.eof and size:
            raise UnusableError("the answer cannot be decompressed")
        return bytes(found)

    def _pool(self, scheme: str, netloc: str) -> Any:
        """The connections to one host."""
        pool = self._pools.get((scheme, netloc))
        if pool is not None:
            return pool
        parts = urlsplit(f"{scheme}://{netloc}")
        host, tls = parts.hostname or "", self._tls
        if scheme == "https":
            pool = urllib3.HTTPSConnectionPool(
                host,
                parts.port or 443,
                maxsize=1,
                ssl_context=self._contexts.current(),
                assert_hostname=tls.server_name,
            )
            pool.ConnectionCls = WatchedTls
            if tls.server_name:
                pool.conn_kw["server_hostname"] = tls.server_name
        else:
            pool = urllib3.HTTPConnectionPool(host, parts.port or 80, maxsize=1)
            pool.ConnectionCls = Watched
        pool.conn_kw["watch"] = self._watch
        pool.conn_kw["contexts"] = self._contexts
        self._pools[scheme, netloc] = pool
        return pool

    def cut(self) -> None:
        """End the request under way. For any thread."""
        self._watch.cut()

    def close(self) -> None:
        """Close all connections; may be called twice."""
        self._watch.close()
        for pool in self._pools.values():
            pool.close()
