"""An API in memory for the tests of polling: a clock that is set, a sender that answers from functions."""

import threading
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import orjson

from shipper._poll_spec import PollAuthSection
from shipper.errors import DiskError
from shipper.input_sections import PollInputSection
from shipper.inputs.poll.auth import Auth
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.input import PollInput
from shipper.inputs.poll.objects import Objects
from shipper.inputs.poll.preset import compile_source

START = 1_780_000_000.0
CONTACTS = {
    "get": "/contacts",
    "query": {"since": "{since}"},
    "items": "contacts",
    "id": "id",
    "time": "updated",
    "order": "ascending",
    "since": {"overlap": 60},
    "object": {"type": "contact", "ignore": ["updated"], "read": "/contacts/{id}", "reconcile": 86400},
}
"""A resource of objects that a test answers."""
OAUTH = {"token_url": "https://api.example/token", "client_id": "c", "client_secret": "s", "refresh_token": "r0"}


class Clock:
    """`Clock`, set by hand."""

    def __init__(self, at=START):
        self.at = at

    def now(self):
        return self.at

    def monotonic(self):
        return self.at - START


class Api:
    """Answers by `answer(method, path, query, headers, body)`; remembers what was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def send(self, method, url, headers, body=None):
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.asked.append((method, parts.path, query, dict(headers), body))
        found = self.answer(method, parts.path, query, headers, body)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Answer):
            return found
        return Answer(200, {}, orjson.dumps(found))

    def cut(self):
        pass

    def close(self):
        pass


class Store:
    """Where a refresh token is kept; refuses as long as `full`."""

    def __init__(self):
        self.blob, self.full = None, False

    def get(self):
        return self.blob

    def put(self, blob):
        if self.full:
            raise DiskError("write ledger", "in.db", "database or disk is full")
        self.blob = blob


class TokenServer:
    """Takes each refresh token once. `more`: what it gives beside the next one, else an access token (`a1`, `a2`)."""

    def __init__(self, more=None):
        self.current, self.count, self.more = "r0", 0, more

    def __call__(self, method, path, query, headers, body):
        form = dict(one.split("=") for one in body.decode().split("&"))
        if form["refresh_token"] != self.current:
            return Answer(400, {}, b'{"error":"invalid_grant"}')
        self.count += 1
        self.current = f"r{self.count}"
        more = {"access_token": f"a{self.count}"} if self.more is None else self.more
        return {"refresh_token": self.current, "expires_in": 3600, **more}


def auth(store=None, **scheme):
    """`Auth` with one scheme."""
    return Auth(PollAuthSection.model_validate(scheme), "inputs in", store or Store())


def section(**members):
    """A section of an input."""
    return PollInputSection.model_validate({"id": "in", "type": "poll", **members})


def source(**members):
    """The source of a section, which must be right."""
    found, problems = compile_source(section(**members))
    assert found is not None, problems
    return found


def own(**resource):
    """A source with one resource of its own."""
    return source(api="https://api.example", every=60, resources={"rows": resource})


class Place:
    """An input over a folder that stays, so that it can be started again."""

    def __init__(self, folder: Path, api, spec, clock=None):
        self.folder, self.api, self.spec, self.clock = folder, api, spec, clock or Clock()
        self.positions: dict = {}
        self.input = None
        self.given: list = []
        (folder / "keys").mkdir(mode=0o700, exist_ok=True)

    def start(self):
        self.input = PollInput(
            "in",
            self.spec,
            clock=self.clock,
            ledger=self.folder / "inputs" / "in.db",
            sender=self.api,
            wake=threading.Event(),
            objects=lambda ledger, spec: Objects(ledger, spec, self.folder / "keys", lambda n: b"\7" * n),
            threaded=False,
            chance=lambda: 0.0,
        )
        self.input.restore(self.positions)
        return self

    def run(self, seconds=0.0, turns=10_000):
        """Turns until nothing is to be done before `seconds` have passed; what came is taken and kept."""
        end = self.clock.at + seconds
        for _ in range(turns):
            self.keep()
            wait = self.input.turn()
            self.keep()
            if wait > 0:
                if self.clock.at + wait > end:
                    self.clock.at = end
                    return self
                self.clock.at += wait
        raise AssertionError("it goes on for ever")

    def keep(self):
        """Take what came, and make it durable."""
        for chunk in self.input.read(10**9):
            self.given += [(chunk, record) for record in chunk.records]
            self.positions[chunk.stream] = dict(chunk.position)
        if self.positions:
            self.input.kept(self.positions)

    def crash(self):
        """End without keeping anything more."""
        self.input.close()
        self.input = None

    @property
    def rows(self):
        return [orjson.loads(record.data) for _, record in self.given]
