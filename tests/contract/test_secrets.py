"""A secret put anywhere into a record of any format never comes out: parsers drop it themselves, whatever the policy."""

from __future__ import annotations

import os

import orjson
import pytest

import parsers
from parsers import Rejected
from shipper.build import Lanes
from shipper.config import Config
from shipper.input_sections import StdinInputSection
from shipper.model import Record
from shipper.offline import events_of
from shipper.seal.canonical import canonical
from tests.contract.test_parsers import samples

SECRET = "geheim-4711"
NAMES = ("password", "clientSecret", "api_key")
TEXT = {
    "apache", "auditd", "cef", "csv", "kv", "leef", "linux_auth", "nginx", "pgaudit", "postgresql", "python_logging", "sshd", "syslog",
}  # fmt: skip
JSON = set(parsers.names()) - TEXT
STRICT = {"paylocity"}
"""Told apart by its members, so that one more makes it another's body."""
KEEP_ALL = [{"category": "credential", "action": "keep"}, {"field": "*", "action": "keep"}]
"""A user who asks to keep everything gets no secrets either."""


def lane_of(name):
    section = StdinInputSection(id="parse", type="stdin", format=name, timezone="UTC")
    config = Config.model_validate(
        {"agent": {"name": "t", "origin": "t.example/a"}, "privacy": {"rules": KEEP_ALL}}
    ).model_copy(update={"inputs": (section,)})
    return Lanes(config, "t", os.urandom).lane("parse", name)


def objects(value):
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(child)


@pytest.mark.parametrize("name", parsers.names())
def test_a_secret_in_any_object_of_a_record_never_comes_out(name):
    lane = lane_of(name)
    tried = 0
    for case, line in samples(name):
        if case not in {"normal", "edge"} or len(line) > 5000:
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        for number, holder in enumerate(list(objects(value))[:12]):
            secret = NAMES[number % len(NAMES)]
            if secret in holder:
                continue
            holder[secret] = SECRET
            data = orjson.dumps(value)
            del holder[secret]
            if isinstance(lane.parse(data, lane.context), Rejected):
                continue
            events, _ = events_of(lane, Record(data, 0, len(data) + 1), "a.log", 1_775_001_600.0, None)
            tried += 1
            for event in events:
                assert SECRET.encode() not in canonical(event), f"{name}/{case}: {secret} in {data[:300]!r}"
    assert tried or name not in JSON or name in STRICT
