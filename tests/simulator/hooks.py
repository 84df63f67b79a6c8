"""Webhooks as the vendors deliver them: batches, signatures, retries, and what a network adds (late, twice).

`Hooks.send` plans a delivery; one thread delivers what is due. Every attempt stands in `attempts`.
"""

import base64
import contextlib
import hashlib
import heapq
import hmac
import http.client
import itertools
import json
import random
import threading
import urllib.parse
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.simulator.clock import iso

PATIENCE = 10.0


class Rule(NamedTuple):
    """How a vendor delivers. `wait`: simulated seconds before the first attempt, from and to; `retries`: before each next."""

    wait: tuple[float, float]
    retries: tuple[float, ...]
    again: Any
    """Whether a status (0: no answer) is tried again."""


RULES = {
    # Confirmed: 30-60 s, then 30-60 s, 5 min, 30 min.
    "keap": Rule((30, 60), (45, 300, 1800), lambda status: not 200 <= status < 300),
    # Confirmed: after 429 only, six times, ten minutes apart (jitter left out).
    "highlevel": Rule((1, 5), (600,) * 6, lambda status: status == 429),
    # Third-party: ten times over a day, in growing steps.
    "hubspot": Rule(
        (1, 20), (60, 300, 900, 1800, 3600, 7200, 14400, 14400, 14400, 14400), lambda status: not 200 <= status < 300
    ),
    # Not confirmed: how often BambooHR tries again.
    "bamboohr": Rule((1, 30), (300, 600, 900, 1800, 3600), lambda status: not 200 <= status < 300),
}


class Attempt(NamedTuple):
    """One attempt: 0 is the status of no answer at all."""

    vendor: str
    delivery: str
    number: int
    status: int
    at: float


class Hooks:
    """Delivers for all vendors. `targets`: vendor -> URL, which may be changed while it runs."""

    def __init__(self, clock, *, seed=0, late=0.0, twice=0.0):
        """`late`, `twice`: chance that a delivery comes an hour later, or a second time."""
        self.clock, self.late, self.twice = clock, late, twice
        self.targets, self.attempts, self.given_up = {}, [], []
        """`given_up`: deliveries that the vendor does not try again: (vendor, delivery)."""
        self.on_given_up = lambda vendor: None
        self.key = Ed25519PrivateKey.generate()
        self.secrets = {"hubspot": "hubspot-client-secret", "bamboohr": "bamboohr-webhook-key"}
        self._random = random.Random(seed)
        self._due, self._order = [], itertools.count()
        self._changed = threading.Condition()
        self._ended = False
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(3)]
        self._busy = 0

    @property
    def public_key(self):
        """HighLevel's public key as configuration wants it."""
        return base64.b64encode(self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    # -- planning -----------------------------------------------------------------------------------------------------

    def send(self, vendor, delivery, body):
        """Plan a delivery; `body()` is made when it is first tried, as vendors do, and is the same ever after."""
        if vendor not in self.targets:
            return
        wait = self._random.uniform(*RULES[vendor].wait)
        if self._random.random() < self.late:
            wait += 3600
        self._plan(wait, (vendor, delivery, 1, body))
        if self._random.random() < self.twice:
            self._plan(wait + self._random.uniform(1, 1800), (vendor, delivery, 1, body))

    def _plan(self, wait, what):
        with self._changed:
            heapq.heappush(self._due, (self.clock.now() + self.clock.span(wait), next(self._order), what))
            self._changed.notify_all()

    @property
    def idle(self):
        """Whether nothing is planned or under way."""
        with self._changed:
            return not self._due and not self._busy

    # -- delivering ---------------------------------------------------------------------------------------------------

    def _run(self):
        while True:
            with self._changed:
                while not self._ended and (not self._due or self._due[0][0] > self.clock.now()):
                    self._changed.wait(max(0.001, self._due[0][0] - self.clock.now()) if self._due else None)
                if self._ended:
                    return
                *_, what = heapq.heappop(self._due)
                self._busy += 1
            try:
                self._deliver(*what)
            finally:
                with self._changed:
                    self._busy -= 1

    def _deliver(self, vendor, delivery, number, body):
        data = body if isinstance(body, bytes) else json.dumps(body()).encode()
        status = self.post(vendor, data)
        with self._changed:
            self.attempts.append(Attempt(vendor, delivery, number, status, self.clock.now()))
        rule = RULES[vendor]
        if 200 <= status < 300:
            return
        if not rule.again(status) or number > len(rule.retries):
            with self._changed:
                self.given_up.append((vendor, delivery))
                self._changed.notify_all()
            self.on_given_up(vendor)
            return
        self._plan(rule.retries[number - 1], (vendor, delivery, number + 1, data))

    def post(self, vendor, data, **more):
        """Send a body once, signed as of now; the status, 0 if nobody answered."""
        url = urllib.parse.urlsplit(self.targets[vendor])
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE)
        try:
            headers = {"content-type": "application/json", **self.sign(vendor, self.targets[vendor], data), **more}
            connection.request("POST", url.path, data, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def sign(self, vendor, url, data):
        """The headers by which a vendor shows that it is the sender."""
        now = self.clock.now()
        if vendor == "highlevel":
            return {"X-GHL-Signature": base64.b64encode(self.key.sign(data)).decode()}
        if vendor == "hubspot":
            time = str(round(now * 1000))
            signed = b"".join((b"POST", url.encode(), data, time.encode()))
            digest = hmac.new(self.secrets[vendor].encode(), signed, hashlib.sha256).digest()
            return {"X-HubSpot-Signature-v3": base64.b64encode(digest).decode(), "X-HubSpot-Request-Timestamp": time}
        if vendor == "bamboohr":
            time = str(int(now))
            digest = hmac.new(self.secrets[vendor].encode(), data + time.encode(), hashlib.sha256).hexdigest()
            return {"X-BambooHR-Signature": digest, "X-BambooHR-Timestamp": time}
        return {}

    def __enter__(self):
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *exc):
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for one in self._threads:
            with contextlib.suppress(RuntimeError):
                one.join(2 * PATIENCE)


class Announcer:
    """Tells `Hooks` what the world's vendors would: one webhook a change, Keap's in batches of half a minute."""

    def __init__(self, world, hooks, vendors):
        self.world, self.hooks, self.vendors = world, hooks, vendors
        self._numbers = itertools.count(1)
        self._batch = {}
        world.listeners.append(self.note)
        hooks.on_given_up = self._given_up

    def _given_up(self, vendor):
        """After the last failure Keap turns its subscriptions off."""
        if vendor == "keap":
            with self.world.lock:
                for one in self.vendors["keap"].subscriptions.values():
                    one["status"] = "Inactive"

    def note(self, thing, facts):
        """A change was made (within the world's lock)."""
        if not facts or thing.source not in self.hooks.targets:
            return
        delivery = f"{thing.source}-{next(self._numbers)}"
        tell = getattr(self, f"_{thing.source}", None)
        if tell is not None:
            tell(thing, facts, delivery)

    def _keap(self, thing, facts, delivery):
        verb = {"create": "add", "update": "edit", "delete": "delete"}[facts[0].verb]
        event = f"{thing.type}.{verb}"
        active = {one["eventKey"] for one in self.vendors["keap"].subscriptions.values() if one["status"] == "Verified"}
        if event not in active:
            return
        key = {
            "id": int(thing.id),
            "apiUrl": f"https://api.infusionsoft.example/crm/rest/v1/{thing.type}s/{thing.id}",
            "timestamp": iso(facts[0].at, 0),
        }
        waiting = self._batch.setdefault(event, [])
        waiting.append(key)
        if len(waiting) == 1:
            self.hooks.send("keap", delivery, lambda: self._keap_body(event, thing.type))

    def _keap_body(self, event, kind):
        with self.world.lock:
            keys = self._batch.pop(event, [])
        return {"event_key": event, "object_type": kind, "object_keys": keys[:1000]}

    def _highlevel(self, thing, facts, delivery):
        body = self.vendors["highlevel"].payload(thing, facts[0].verb, delivery, facts[0].at)
        self.hooks.send("highlevel", delivery, json.dumps(body).encode())

    def _hubspot(self, thing, facts, delivery):
        rows = []
        for fact in facts:
            what = {"create": "creation", "delete": "deletion", "update": "propertyChange"}[fact.verb]
            row = {
                "eventId": next(self._numbers),
                "subscriptionId": 25,
                "portalId": 33,
                "appId": 1160452,
                "occurredAt": round(fact.at * 1000),
                "subscriptionType": f"contact.{what}",
                "attemptNumber": 0,
                "objectId": int(thing.id),
                "changeSource": "CRM_UI",
                "sourceId": f"userId:{fact.actor}",
            }
            if fact.verb == "update":
                row |= {"propertyName": fact.field, "propertyValue": fact.new}
            rows.append(row)
        self.hooks.send("hubspot", delivery, json.dumps(rows).encode())

    def _bamboohr(self, thing, facts, delivery):
        self.hooks.send("bamboohr", delivery, json.dumps(self.vendors["bamboohr"].payload(thing, facts)).encode())
