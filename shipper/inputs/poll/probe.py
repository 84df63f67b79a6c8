"""`validate --connect` for an input of type `poll`: each listing is asked once, for as little as it gives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from shipper.clock import Clock, rfc3339
from shipper.errors import ConfigError
from shipper.inputs.poll.auth import Auth, Sender
from shipper.inputs.poll.changed import reading_of
from shipper.inputs.poll.engine import Cursor
from shipper.inputs.poll.http import Client
from shipper.inputs.poll.pages import Item, UnusableError
from shipper.inputs.poll.preset import Source
from shipper.inputs.poll.session import Absent, Denied, Good, Session, lacking

_MOST_REQUESTS = 3
"""Of one listing: its parent's list, and an item of that."""


class Tried(NamedTuple):
    """One thing that was tried, in words."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
    lacking: bool = False
    """The account does not have it; what else there is can be read."""


class _Nothing:
    """Where no token is kept, and nothing was read before. Parents are asked for once."""

    def __init__(self) -> None:
        self._parents: dict[str, list[dict[str, str]]] = {}

    def get(self) -> bytes | None:
        return None

    def put(self, blob: bytes) -> None:
        """A token that lives as long as this try."""

    def cursor(self, key: str) -> Cursor | None:
        del key
        return None

    def parents(self, name: str) -> list[dict[str, str]] | None:
        return self._parents.get(name)

    def set_parents(self, name: str, parents: list[dict[str, str]]) -> None:
        self._parents[name] = parents[:1]

    def looked(self, resource: str, parent: Item) -> bool:
        del resource, parent
        return False


def probe(source: Source, sender: Sender, clock: Clock) -> Iterator[Tried]:
    """Try to show who we are, then each listing. Nothing is kept; a refresh token is not used up."""
    for name, why in source.off.items():
        yield Tried(name, ok=True, detail=f"not read: {why}")
    oauth2 = source.auth.oauth2
    if oauth2 is not None and oauth2.grant == "refresh_token":
        detail = "not tried: to ask for a token here could use up the agent's refresh token"
        yield Tried("auth", ok=True, detail=detail, hint="fieldtrail status, once the agent runs")
        return
    state = _Nothing()
    session = Session(source, sender, Auth(source.auth, source.title, state), clock, random.random)
    for name, spec in source.resources.items():
        if spec.format is None and spec.object is None:
            continue
        try:
            tried = _one(source, name, session, state)
        except UnusableError as error:
            tried = Tried(name, ok=False, detail=str(error))
        yield tried
        if not tried.ok and tried.name == "auth":
            return


def _one(source: Source, name: str, session: Session, state: _Nothing) -> Tried:
    """Ask for one item of a listing."""
    spec = source.resources[name]
    walk = reading_of(source, name, state, session.now(), spec.least)
    found: list[Item] = []
    place = f"{spec.method} {spec.path}"
    for _ in range(_MOST_REQUESTS):
        ask = walk.ask()
        if ask is None or found:
            break
        outcome = session.send(ask)
        if isinstance(outcome, Good):
            found += walk.take(outcome.answer, outcome.heard).items
        elif isinstance(outcome, Denied):
            detail = lacking(spec, ask, outcome.status)
            return Tried(name, ok=False, detail=detail, hint="docs/howto/connect.md", lacking=True)
        elif isinstance(outcome, Absent):
            detail = f"{ask.place}: {outcome.problem}: there is no such thing"
            return Tried(name, ok=False, detail=detail, lacking=True)
        else:
            what = "auth" if outcome.refused else name
            return Tried(what, ok=False, detail=f"{ask.place}: {outcome.problem}")
    newest = max((item.time for item in found if item.time is not None), default=None)
    detail = f"{place}: {'answers, with an item' if found else 'answers, nothing there now'}"
    return Tried(name, ok=True, detail=detail + (f" of {rfc3339(newest)}" if newest is not None else ""))


def probe_with(source: Source, client: Client, clock: Clock) -> Iterator[Tried]:
    """The same with a client that is closed at the end."""
    try:
        yield from probe(source, client, clock)
    except ConfigError as error:
        yield Tried("TLS", ok=False, detail=str(error), hint=error.hint)
    finally:
        client.close()
