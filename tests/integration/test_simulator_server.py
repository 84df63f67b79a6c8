"""The simulator's server and its webhooks, over real sockets."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import urllib.error
import urllib.request

import pytest

from tests.http_receiver import HttpReceiver
from tests.simulator.bamboohr import KEY as BAMBOO_KEY
from tests.simulator.bamboohr import BambooHr
from tests.simulator.clock import Clock
from tests.simulator.hooks import Announcer, Hooks
from tests.simulator.server import Server
from tests.simulator.vendor import Faults
from tests.simulator.world import World


def fetch(url):
    token = base64.b64encode(f"{BAMBOO_KEY}:x".encode()).decode()
    with urllib.request.urlopen(urllib.request.Request(url, headers={"authorization": f"Basic {token}"})) as answer:
        return answer.read()


def test_the_server_answers_and_breaks_answers_as_told_and_knows_what_was_shown_whole():
    clock = Clock()
    world, faults = World(clock), Faults()
    vendor = BambooHr(world, clock)
    world.create("bamboohr", "employee", "1", {"firstName": "Jo"})
    with Server(world, [vendor], faults) as server:
        url = server.url("bamboohr") + "/v1/employees/1?fields=firstName"
        faults.tell("bamboohr", "503", "half", "reset")
        for wrong in (urllib.error.HTTPError, http.client.IncompleteRead, http.client.RemoteDisconnected):
            with pytest.raises(wrong) as refused:
                fetch(url)
            getattr(refused.value, "close", lambda: None)()
        assert world.served == []
        assert json.loads(fetch(url)) == {"id": "1", "firstName": "Jo"}
        assert faults.done == {("bamboohr", "503"): 1, ("bamboohr", "half"): 1, ("bamboohr", "reset"): 1}
    assert [(one.key, one.version) for one in world.served] == [("bamboohr:employee/1", 0)]


def test_hooks_are_tried_again_as_each_vendor_does_and_signed_anew_each_time():
    clock = Clock(scale=100_000)
    world = World(clock)
    answers = iter((500, 429, 204))
    receiver = HttpReceiver(lambda request: next(answers))
    with contextlib.closing(receiver), Hooks(clock) as hooks:
        hooks.targets = {"bamboohr": receiver.url.partition("?")[0]}
        Announcer(world, hooks, {"bamboohr": BambooHr(world, clock)})
        world.create("bamboohr", "employee", "1", {"a": 1})
        assert len(set(receiver.bodies(3))) == 1
        assert hooks.given_up == []
        for one in receiver.requests:
            signed = one.body + one.headers["X-BambooHR-Timestamp"].encode()
            right = hmac.new(b"bamboohr-webhook-key", signed, hashlib.sha256).hexdigest()
            assert one.headers["X-BambooHR-Signature"] == right


def test_highlevel_gives_up_after_any_failure_but_429():
    clock = Clock(scale=100_000)
    with Hooks(clock) as hooks:
        hooks.targets = {"highlevel": "http://127.0.0.1:9/nobody"}
        hooks.send("highlevel", "wh-1", b"{}")
        with hooks._changed:
            assert hooks._changed.wait_for(lambda: hooks.given_up, 10)
    assert hooks.given_up == [("highlevel", "wh-1")]
