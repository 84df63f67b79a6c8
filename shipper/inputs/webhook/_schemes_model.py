"""What the verification of a webhook takes and gives: a request as it came, and what it turned out to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shipper.inputs._hint import Hint


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came, before anything was parsed.

    `path` and `query` as on the request line, nothing decoded, `query` without its `?`. `headers` in their order, names
    in any case, one that came twice twice. `body` after transfer encoding and compression were taken off. `received`:
    s since the epoch.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    received: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request of the source.

    `delivery_id`: the same one again is the same delivery. `known_by`: where the id was not signed, what stands for id
    and body; the same one again is the same delivery, and the id alone says nothing. `replay`: the digest of what was
    signed, where a time is; the same one again is the same request, whatever id it carries. `timestamp`: the time that
    was signed, s since the epoch. `feeds_hint`: what a poll input should look at; None where the scheme knows of no
    objects, empty where this body names none.
    """

    delivery_id: str | None = None
    timestamp: float | None = None
    feeds_hint: tuple[Hint, ...] | None = None
    replay: str | None = None
    known_by: str | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `headers` hold no line breaks."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A request that holds no record: a handshake, a ping, a test. It is answered at once and not kept."""

    response: Response = Response()


@dataclass(frozen=True, slots=True)
class Refused:
    """Not the source's, or not told in a way that can be believed. `reason` holds nothing that the request said."""

    reason: str


Verdict = Accepted | Challenge | Refused
