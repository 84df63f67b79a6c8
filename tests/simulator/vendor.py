"""What all vendors share: requests and answers, who may ask, how often, and what breaks."""

import base64
import copy
import json
import random
import re
import threading
import urllib.parse
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, NamedTuple


class Request(NamedTuple):
    """What came in. `query`: the first value of each name; `headers`: lower-case names."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self):
        """The body, {} if there is none."""
        return json.loads(self.body) if self.body else {}

    @property
    def form(self):
        """The body of a form."""
        return dict(urllib.parse.parse_qsl(self.body.decode()))


class Answer(NamedTuple):
    """What goes out. `shown`: (key, version) of each record in it."""

    status: int
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed
    shown: tuple = ()

    @property
    def data(self):
        """The body's bytes."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """An answer that is no success."""

    def __init__(self, status, body, headers=None):
        super().__init__(status)
        self.answer = Answer(status, body, headers or {})


class Budget:
    """So many requests in so many (simulated) seconds, by a sliding window."""

    def __init__(self, clock, most, seconds):
        self.clock, self.most, self.seconds = clock, most, seconds
        self._times = deque()

    @property
    def window(self):
        """Real seconds of the window."""
        return self.clock.span(self.seconds)

    def take(self):
        """(left, real seconds until there is room): nothing is left when `seconds` is not 0."""
        now = self.clock.now()
        while self._times and self._times[0] <= now - self.window:
            self._times.popleft()
        if len(self._times) >= self.most:
            return 0, max(self._times[0] + self.window - now, 0.001)
        self._times.append(now)
        return self.most - len(self._times), 0.0


class Grants:
    """OAuth2 refresh (RFC 6749 section 6) with rotation, and short-lived tokens of every kind.

    A refresh token is spent when the access token that it gave is first used, not before: whether vendors are so patient
    is *not confirmed*, but without it a client that loses one answer has lost its grant.
    """

    def __init__(self, clock, life, first):
        self.clock, self.life = clock, life
        self._count = 0
        self._good = {}
        self._refresh = {first: None}
        self._lock = threading.Lock()
        self.issued = 0

    def issue(self):
        """A new access token."""
        with self._lock:
            self._count += 1
            self.issued += 1
            token = f"access-{self._count}"
            self._good[token] = self.clock.now() + self.clock.span(self.life)
            return token

    def refresh(self, given):
        """(access, refresh) for a refresh token, or None if it is spent or was never given."""
        with self._lock:
            if given not in self._refresh:
                return None
        token = self.issue()
        with self._lock:
            self._refresh[f"refresh-{self._count}"] = token
            self._pending = (given, token)
            return token, f"refresh-{self._count}"

    def good(self, token):
        """Whether a token may ask now."""
        with self._lock:
            until = self._good.get(token)
            if until is None or self.clock.now() >= until:
                return False
            given, gave = getattr(self, "_pending", (None, None))
            if gave == token:
                self._refresh.pop(given, None)
                self._pending = (None, None)
            return True

    def expire(self):
        """All access tokens are over now."""
        with self._lock:
            self._good.clear()


def basic(request):
    """(user, password) of basic authorization, or None."""
    given = request.headers.get("authorization", "")
    if not given.startswith("Basic "):
        return None
    user, _, password = base64.b64decode(given[6:]).decode().partition(":")
    return user, password


def bearer(request):
    """The bearer token, "" if there is none."""
    given = request.headers.get("authorization", "")
    return given[7:] if given.startswith("Bearer ") else ""


class Vendor(ABC):
    """One vendor's API. `routes`: `(method, pattern of the path, name of the method that answers)`."""

    name = ""
    routes = ()

    def __init__(self, world, clock):
        self.world, self.clock = world, clock
        self.asked = []
        """(method, path, status) of each request, for tests to look at."""
        self._routes = [(method, re.compile(pattern), getattr(self, name)) for method, pattern, name in self.routes]

    @abstractmethod
    def authorize(self, request):
        """Raise `Refused` for those who may not ask."""

    def limit(self, request):
        """Headers of the quota; raise `Refused` when it is used up."""
        return {}

    def open_to_all(self, request):
        """Whether a request needs no token (it asks for one)."""
        return False

    def _act(self, request):
        for method, pattern, act in self._routes:
            found = pattern.fullmatch(request.path)
            if found and method == request.method:
                return act(request, *found.groups())
        return Answer(404, {"message": "no such path"})

    def answer(self, request):
        """The vendor's answer, faults aside."""
        headers = {}
        try:
            if not self.open_to_all(request):
                self.authorize(request)
            headers = self.limit(request)
            with self.world.lock:
                # What changes while the answer is on its way is not in it.
                answer = copy.deepcopy(self._act(request))
        except Refused as refused:
            answer = refused.answer
        self.asked.append((request.method, request.path, answer.status))
        return answer._replace(headers={**headers, **answer.headers})


def shown(things):
    """What `Answer.shown` wants of records."""
    return tuple((one.key, one.version) for one in things)


FAULTS = ("429", "500", "502", "503", "reset", "half", "html")


class Faults:
    """What goes wrong on the way: by chance, or as told. `chance` of each answer; seeded, so a run can be repeated."""

    def __init__(self, seed=0, chance=0.0, kinds=FAULTS):
        self.chance, self.kinds = chance, kinds
        self.done = {}
        self._random = random.Random(seed)
        self._told = {}
        self._held = None
        self._lock = threading.Lock()

    def tell(self, vendor, *kinds):
        """The next answers of a vendor fail so, in this order."""
        with self._lock:
            self._told.setdefault(vendor, []).extend(kinds)

    def hold(self, vendor, part):
        """The next answer whose path has `part` stops in the middle: `(reached, go)`, two events."""
        held = (vendor, part, threading.Event(), threading.Event())
        with self._lock:
            self._held = held
        return held[2], held[3]

    def held(self, vendor, path):
        """The events of an answer that is to stop in its middle, or None."""
        with self._lock:
            if self._held and self._held[0] == vendor and self._held[1] in path:
                held, self._held = self._held, None
                return held[2:]
            return None

    def next(self, vendor):
        """What is wrong with this answer, or None."""
        with self._lock:
            told = self._told.get(vendor)
            kind = told.pop(0) if told else None
            if kind is None and self._random.random() < self.chance:
                kind = self._random.choice(self.kinds)
            if kind is not None:
                self.done[vendor, kind] = self.done.get((vendor, kind), 0) + 1
            return kind
