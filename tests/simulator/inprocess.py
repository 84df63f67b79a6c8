"""A poll input without threads and sockets: it asks the simulator's vendors, and a clock goes on as it waits.

So a day with its true periods takes seconds. `Polled` plays the agent: it takes chunks, makes documents of them, keeps
them in frames, and crashes where it is told, as a power cut would: what no frame holds is gone.
"""

import heapq
import itertools
import os
import threading
import urllib.parse

import orjson

from shipper.formats import Formats
from shipper.http_client.errors import NoAnswerError
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.input import PollInput
from shipper.inputs.poll.objects import Objects
from shipper.inputs.poll.preset import compile_source
from shipper.model import Counts
from shipper.normalize import Normalizer, Settings
from shipper.pipeline import Lane, process
from shipper.protect import Policy
from tests.simulator.vendor import Request

LATENCY = 0.4
"""Seconds that a question and its answer take together."""


class PowerCut(BaseException):
    """The agent is gone, in the middle of whatever it did."""


class Wire:
    """Sends requests to a vendor by calling it; `Faults` breaks some of them on the way."""

    def __init__(self, vendor, world, faults, clock):
        self.vendor, self.world, self.faults, self.clock = vendor, world, faults, clock
        self.count = 0
        self.due = lambda: None
        """Called in the middle of a request: what happens meanwhile."""

    def send(self, method, url, headers, body=None):
        """As `shipper.inputs.poll.http.Client`."""
        self.count += 1
        parts = urllib.parse.urlsplit(url)
        path = parts.path.removeprefix(f"/{self.vendor.name}")
        query = {name: values[0] for name, values in urllib.parse.parse_qs(parts.query, keep_blank_values=True).items()}
        request = Request(method, path, query, {name.lower(): value for name, value in headers.items()}, body or b"")
        # Question and answer are on their way for a while; records may change meanwhile.
        self._on_the_way()
        fault = self.faults.next(self.vendor.name)
        if fault in {"reset", "half"}:
            raise NoAnswerError("poll", self.vendor.name, "the connection was closed")
        if fault in {"429", "500", "502", "503"}:
            wait = {"retry-after": "30"} if fault in {"429", "503"} else {}
            return Answer(int(fault), wait, b'{"message": "later"}')
        if fault == "html":
            return Answer(200, {"content-type": "text/html"}, b"<html>Please wait</html>")
        told = self.vendor.answer(request)
        if told.status == 200:
            self.world.show(told.shown)
        self._on_the_way()
        return Answer(told.status, {name.lower(): value for name, value in told.headers.items()}, told.data)

    def _on_the_way(self):
        self.clock.forward(LATENCY / 2)
        self.due()

    def close(self):
        """Nothing is open."""


class Ticking:
    """`shipper.clock.Clock` of a simulator's clock."""

    def __init__(self, clock):
        self.clock = clock

    def now(self):
        """Seconds since the epoch."""
        return self.clock.now()

    def monotonic(self):
        """The same: nobody jumps here."""
        return self.clock.now()


class Polled:
    """One poll input of one preset, and what came of it."""

    def __init__(self, folder, section, vendor, world, faults, clock, *, chance=lambda: 0.5):
        self.clock, self.world = clock, world
        self.source, problems = compile_source(section)
        assert not problems, problems
        self.documents, self.positions, self.counts = [], {}, Counts()
        self.reports, self.hints_lost = [], 0
        self._folder, self._chance = folder, chance
        self._ticking = Ticking(clock)
        self._wire = Wire(vendor, world, faults, clock)
        self._lanes, self._times = {}, {}
        self._frame, self._given = [], {}
        self._agenda, self._order = [], itertools.count()
        self.amid = lambda: None
        """Called in the middle of each request."""
        self._wire.due = self._due
        (folder / "keys").mkdir(mode=0o700, exist_ok=True)
        self._open()

    @property
    def requests(self):
        """How many were sent."""
        return self._wire.count

    def _open(self):
        self.input = PollInput(
            self.source.module,
            self.source,
            clock=self._ticking,
            ledger=self._folder / f"{self.source.module}.db",
            sender=self._wire,
            wake=threading.Event(),
            objects=lambda ledger, source: Objects(ledger, source, self._folder / "keys", os.urandom),
            threaded=False,
            chance=self._chance,
        )
        self.input.restore(self.positions)

    def _lane(self, name):
        if name not in self._lanes:
            parser = Formats().get(name, {"source": self.source.module} if name == "snapshot_diff" else {})
            settings = Settings(
                "t1", "0", "default", self.source.module, parser.format, Policy(), lambda: os.urandom(16)
            )
            from parsers._contract import Context

            context = Context(zone="UTC", options={"source": self.source.module} if name == "snapshot_diff" else {})
            self._lanes[name] = Lane(parser.parse, Normalizer(settings), context, Counts())
        return self._lanes[name]

    # -- the agent's part ---------------------------------------------------------------------------------------------

    def take(self):
        """Take what waits into the open frame."""
        for chunk in self.input.read(1 << 30):
            lines = process(chunk, self._lane(chunk.format), self._times, b"\0" * 32, None, os.urandom)
            self._frame += [orjson.loads(body) for body in lines.bodies]
            self._given[chunk.stream] = chunk.position
        self.reports += self.input.reports()

    def keep(self):
        """The open frame is durable."""
        self.documents += self._frame
        self._frame = []
        self.positions = {**self.positions, **self._given}
        if self._given:
            self.input.kept(dict(self._given))
        self._given = {}

    def crash(self):
        """What no frame holds is gone; the agent starts again."""
        self.input.close()
        self._frame, self._given = [], {}
        self._open()

    # -- time ---------------------------------------------------------------------------------------------------------

    def at(self, moment, act):
        """Let something happen at a moment, in the middle of a request too."""
        heapq.heappush(self._agenda, (moment, next(self._order), act))

    def _due(self):
        self.amid()
        while self._agenda and self._agenda[0][0] <= self.clock.now():
            heapq.heappop(self._agenda)[2]()

    def run(self, until, *, frame=lambda: True):
        """Let the clock go to `until`. `frame`: whether one is kept now."""
        while self.clock.now() < until:
            wait = 0.0
            try:
                while self._agenda and self._agenda[0][0] <= self.clock.now():
                    heapq.heappop(self._agenda)[2]()
                wait = self.input.turn()
                self.take()
                if frame():
                    self.keep()
            except PowerCut:
                self.crash()
            if wait > 0:
                ahead = [self.clock.now() + wait, until, *(one[0] for one in self._agenda[:1])]
                self.clock.forward(max(0.001, min(ahead) - self.clock.now()))
        self.take()
        self.keep()

    def close(self):
        """Stop."""
        self.input.close()
