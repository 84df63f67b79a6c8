"""From a request to its answer: where it goes, whether it may, its body, its sender; then it waits until it is kept.

Answers: 200 kept (or known, or a handshake) · 400 not HTTP as it should be · 401 not the source's · 404 no such path ·
405 not POST · 408 too slow · 413 too large · 415 not a kind of body that is taken · 429 not now, send it again. Never
5xx: some sources send again after 429 alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiohttp import web
from multidict import CIMultiDict

from shipper.inputs.webhook._body import CODINGS, TOO_LARGE, Bodies, Faulty, unpacked
from shipper.inputs.webhook._door import BODY, BUSY, IDLE, LEAVING, Seat
from shipper.inputs.webhook._entries import Entry
from shipper.inputs.webhook._faults import Faults
from shipper.inputs.webhook._schemes_model import Challenge, RawRequest, Refused
from shipper.inputs.webhook.settings import address_of

if TYPE_CHECKING:
    from shipper.inputs.webhook._schemes_model import Verdict

RETRY_AFTER: Final = 5
"""Seconds after which a sender that was told 429 may try again."""
REMEMBERED: Final = 60.0
"""Seconds for which the path of an endpoint that is gone is answered 429 instead of 404."""
_SERVER: Final = {"Server": "fieldtrail"}
_TEXT: Final = {**_SERVER, "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}


class Connection(web.RequestHandler):
    """What aiohttp makes of a connection. What is no HTTP as it should be is answered in words of ours."""

    faults: Faults
    seat: Seat

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read, or what failed beyond `Desk.handle`."""
        del request, message
        if status < 500:
            return _refusal(400, "not a request as it should be")
        if exc is not None:
            self.faults.add(exc)
        return _again()


class Endpoint(Protocol):
    """One path of a listener."""

    path: str
    max_body: int
    content_types: frozenset[str]

    def verify(self, request: RawRequest) -> Verdict:
        """Whether it is the source's."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def room(self, now: float) -> bool:
        """Whether requests are taken now. `now`: the loop's time, as for all below."""

    def take(self, entry: Entry) -> bool:
        """Whether this one is taken."""

    def refused(self, reason: str, client: str) -> None:
        """One was refused."""

    def acknowledged(self) -> None:
        """One was answered 200, since it is kept."""

    def deferred(self) -> None:
        """One was answered 429."""

    def expire(self, now: float) -> None:
        """Answer those that have waited too long."""


class Desk:
    """Answers the requests of one listener. In its loop, but for `attach` and `detach`."""

    def __init__(
        self,
        bodies: Bodies,
        trusted: tuple[IPv4Network | IPv6Network, ...],
        faults: Faults,
        expected: Container[str] = (),
    ) -> None:
        """`expected`: paths of endpoints that will come."""
        self.faults = faults
        self._bodies, self._trusted, self._expected = bodies, trusted, expected
        self._routes: Mapping[str, Endpoint] = {}
        self._left: Mapping[str, float] = {}
        self._loop = asyncio.get_running_loop()
        self._now: Callable[[], float] = self._loop.time

    def attach(self, endpoint: Endpoint) -> None:
        """Answer its path."""
        self._routes = {**self._routes, endpoint.path: endpoint}

    def detach(self, endpoint: Endpoint) -> None:
        """Answer its path 429, for a while."""
        if self._routes.get(endpoint.path) is endpoint:
            self._routes = {path: one for path, one in self._routes.items() if one is not endpoint}
            self._left = {**self._left, endpoint.path: self._now()}

    def sweep(self) -> None:
        """Now and then: forget connections that are gone, answer who has waited too long."""
        now = self._now()
        if self._left:
            self._left = {path: since for path, since in self._left.items() if now - since < REMEMBERED}
        for endpoint in self._routes.values():
            endpoint.expire(now)

    def request(self, message: Any, payload: Any, connection: Any, writer: Any, task: Any) -> web.BaseRequest:
        """A request whose head is whole, for aiohttp: what follows is its body, which may be long."""
        connection.seat.turn(BODY)
        return web.BaseRequest(message, payload, connection, writer, task, self._loop)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        seat = _seat_of(request)
        following = LEAVING
        try:
            answer = await self._answer(request, seat)
            if answer.keep_alive is not False:
                following = IDLE
        except Exception as error:  # noqa: BLE001 - a fault of ours must not look like one not worth sending again
            self.faults.add(error)
            return _again()
        else:
            return answer
        finally:
            seat.turn(following)

    async def _answer(self, request: web.BaseRequest, seat: Seat) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        endpoint = self._routes.get(path)
        if endpoint is None:
            awaited = path in self._left or path in self._expected
            return _again() if awaited else _refusal(404, "no such path")
        if request.method != "POST":
            return _refusal(405, "POST only", {"Allow": "POST"})
        if not endpoint.room(self._now()):
            endpoint.deferred()
            return _again()
        body = await self._body(request, endpoint)
        if isinstance(body, Faulty):
            if body.status == 429:
                endpoint.deferred()
                return _again()
            endpoint.refused(body.text, self.client(request))
            return _refusal(body.status, body.text)
        headers = [
            (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
            for name, value in request.raw_headers
        ]
        raw = RawRequest(request.method, path, query, headers, body, endpoint.now())
        verdict = endpoint.verify(raw)
        if isinstance(verdict, Refused):
            endpoint.refused(verdict.reason, self.client(request))
            return _refusal(401, "not accepted", close=False)
        if isinstance(verdict, Challenge):
            answer = verdict.response
            named: CIMultiDict[str] = CIMultiDict(_SERVER)
            named.extend(answer.headers)
            return web.Response(status=answer.status, headers=named, body=answer.body)
        if not body:
            return _refusal(400, "no body", close=False)
        answered: asyncio.Future[bool] = self._loop.create_future()

        def settle(kept: bool) -> None:  # noqa: FBT001 - what happened to it
            if not answered.done():
                answered.set_result(kept)

        entry = Entry(
            body, self._now(), settle,
            delivery=verdict.delivery_id, replay=verdict.replay, known_by=verdict.known_by, hints=verdict.feeds_hint,
        )  # fmt: skip
        seat.turn(BUSY)
        if not endpoint.take(entry) or not await answered:
            endpoint.deferred()
            return _again()
        endpoint.acknowledged()
        return web.Response(status=200, headers=_SERVER)

    async def _body(self, request: web.BaseRequest, endpoint: Endpoint) -> bytes | Faulty:
        """The body without its compression, or why it is not taken."""
        headers = request.headers
        length = request.content_length
        if length is not None and length > endpoint.max_body:
            return TOO_LARGE
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in endpoint.content_types and not (kind == "" and length in {None, 0}):
            return Faulty(415, "not a kind of body that is taken here")
        coding = headers.get("Content-Encoding", "").strip().lower()
        if coding not in CODINGS:
            return Faulty(415, "a compression that is not known here")
        if headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self._bodies.read(request, endpoint.max_body)
        return body if isinstance(body, Faulty) or not coding else unpacked(body, coding, endpoint.max_body)

    def client(self, request: web.BaseRequest) -> str:
        """The sender's address: who is connected, or whom the last proxy that is trusted names."""
        address = _seat_of(request).peer
        if not self._trusted or not self._is_trusted(address):
            return address
        named = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        # The right end was written by the proxy that is connected; what is left of a stranger anybody can write.
        for one in reversed(named):
            found = one.strip().strip("[]")
            try:
                ip_address(found)
            except ValueError:
                return address
            address = found
            if not self._is_trusted(address):
                return address
        return address

    def _is_trusted(self, text: str) -> bool:
        try:
            address = address_of(text)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def _seat_of(request: web.BaseRequest) -> Seat:
    connection = request.protocol
    assert isinstance(connection, Connection)
    return connection.seat


def _refusal(
    status: int, text: str, more: Mapping[str, str] | None = None, *, close: bool = True
) -> web.StreamResponse:
    """An answer that says no. `close`: what is left of the request is not read."""
    response = web.Response(status=status, text=f"{text}\n", headers={**_TEXT, **(more or {})})
    if close:
        response.force_close()
    return response


def _again() -> web.StreamResponse:
    return _refusal(429, "not now", {"Retry-After": str(RETRY_AFTER)})
