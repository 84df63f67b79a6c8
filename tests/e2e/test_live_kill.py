"""SIGKILL in the middle of every step of the live channels: what comes after the restart is whole, and stands once."""

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.agent_process import eventually
from tests.e2e.live import SECRET_PATH, Live

KILLED = Path(__file__).with_name("killed_at.py")


def right(live):
    judge = live.judge()
    print(f"\n{judge.report()}")
    assert not judge.findings, [str(one)[:600] for one in judge.findings[:10]]
    return judge.counts


def changed(live, count):
    """So many changes, one a record and step."""
    for _ in range(count):
        live.day.step()


def killed(live, step, count):
    """Start the agent so that it kills itself at a step, change things until it did, and start it again."""
    since = live.clock.now()
    assert live.agent.terminate() == 0
    live.ended(since)
    live.agent = live.place.start(prefix=(sys.executable, KILLED, step, str(count)))

    def gone():
        if live.agent.process.poll() is None:
            live.day.step()
            live.clock.wait(120)
        return live.agent.process.poll() is not None

    eventually(gone, f"killed at {step}", 60)
    assert live.agent.process.returncode == -9
    live.ended(live.clock.now())
    live.start()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["page", "written", "framed", "hinted"])
def test_an_agent_that_is_killed_at_a_step_of_a_poll_loses_and_doubles_nothing(place, step):
    with Live(place, ["keap", "bamboohr"], scale=1440, reconcile=1) as live:
        live.begin()
        for count in (1, 3):
            killed(live, step, count)
            changed(live, 5)
            live.all_seen()
        live.rest()
        for source, counts in right(live).items():
            assert counts["seen"] > 3, source
        place.verified()


@pytest.mark.slow
def test_an_agent_that_is_killed_while_half_a_page_is_read_reads_it_again(place):
    with Live(place, ["keap", "highlevel"], scale=1440, hooked=False, reconcile=1) as live:
        live.begin()
        for source, path in (("keap", "/rest/v2/contacts"), ("highlevel", "/contacts/search")) * 2:
            changed(live, 5)
            reached, go = live.faults.hold(source, path)
            assert reached.wait(20)
            live.restart(kill=True)
            go.set()
            live.all_seen()
        live.rest()
        for source, counts in right(live).items():
            assert counts["seen"] > 4, source
        place.verified()


def test_a_hook_that_was_kept_and_not_answered_is_one_event_when_it_comes_again(place):
    with Live(place, [], scale=360) as live:
        path = f"/in/own/{SECRET_PATH}"
        live.hooks.targets["own"] = f"http://127.0.0.1:{live.port}{path}"
        auth = {"bearer": {"token": "a-token-of-our-own-application", "id_field": "id"}}
        own = {"id": "own", "type": "webhook", "listen": f"127.0.0.1:{live.port}", "path": path, "format": "json"}
        place.write(inputs=[{**own, "auth": auth}], formats=None, privacy=None)
        body = json.dumps({"id": "e-1", "what": "stage", "at": "2026-03-01T17:04:05Z"}).encode()
        sign = {"authorization": "Bearer a-token-of-our-own-application"}
        live.agent = place.start(prefix=(sys.executable, KILLED, "answering", "1"))
        eventually(lambda: live.agent.told("agent started"), "started")
        assert live.hooks.post("own", body, **sign) == 0
        assert live.agent.end() == -9
        live.start()
        assert live.hooks.post("own", body, **sign) in {200, 202, 204}
        assert live.agent.terminate() == 0
        told = [one for one in place.archived() if one["trail"].get("origin", {}).get("delivery") == "e-1"]
        assert len(told) == 1
