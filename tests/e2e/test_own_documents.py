"""What the agent seals about itself: its reports, what expires, results of verifications. And a SIGHUP that is early."""

import contextlib
import json
import os
import signal
import sqlite3

import pytest

from tests.e2e.agent_process import Place, controls, environment, eventually, lines

DAY = 86400.0


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


def actions(documents, action):
    return [one for one in documents if one.get("event", {}).get("action") == action]


# -- reports -----------------------------------------------------------------------------------------------------------


def test_an_agent_reports_of_itself_its_inputs_and_outputs_and_its_accounts_stay_balanced(place):
    place.write(agent={"report": "1s"}, seal={"interval": "500ms"})
    place.append(lines(0, 40) + b"no record\n")
    agent = place.start().ready()
    eventually(lambda: len(actions(place.archived(), "agent.report")) >= 12, "three reports")
    place.settled(41)
    assert agent.terminate() == 0
    found = [one["trail"]["health"] for one in actions(place.archived(), "agent.report")]
    assert [(one["component"], one["id"]) for one in found[:4]] == [
        ("agent", "t1"), ("input", "app"), ("output", "local"), ("output", "archive"),
    ]  # fmt: skip
    inputs = [one for one in found if one["component"] == "input"]
    assert (inputs[0]["read"], inputs[0]["events"], inputs[0]["unparsed"]) == (41, 41, 1)
    assert all(one["read"] == 0 for one in inputs[1:])
    assert inputs[-1]["idle_seconds"] >= 1 and inputs[-1]["lag_bytes"] == 0
    assert found[0]["memory_bytes"] > 10_000_000
    place.verified()


@pytest.mark.slow
def test_reports_keep_an_idle_agent_from_no_heartbeat(place):
    place.write(agent={"report": "1s"}, seal={"interval": "10s", "heartbeat": "2500ms"})
    agent = place.start().ready()
    eventually(lambda: len(controls(place.archived(), "heartbeat")) >= 2, "two heartbeats")
    assert agent.terminate() == 0
    assert len(actions(place.archived(), "agent.report")) >= 12
    place.verified()


def test_one_pass_makes_no_report(place):
    place.write(agent={"report": "1s"})
    place.append(lines(0, 10))
    assert place.once().code == 0
    assert actions(place.archived(), "agent.report") == []


# -- what expires ------------------------------------------------------------------------------------------------------


def earlier(place, days):
    """The environment of an agent whose clock shows a time so many days ago."""
    hook = place.root / "earlier"
    hook.mkdir(exist_ok=True)
    shift = f"import time\nright = time.time\ntime.time = lambda: right() - {days * DAY}\n"
    (hook / "sitecustomize.py").write_text(shift)
    kept = environment(place.root)
    return {**kept, "PYTHONPATH": f"{hook}{os.pathsep}{kept['PYTHONPATH']}"}


def delete_events(place, below):
    """What a policy of the destination does: events go, control leaves and checkpoints stay."""
    with contextlib.closing(sqlite3.connect(place.state / "store.db")) as db:
        done = db.execute(
            "DELETE FROM documents WHERE i >= 0 AND i < ? AND dataset NOT IN ('fieldtrail.log')", (below,)
        ).rowcount
        db.commit()
    return done


def test_events_that_a_destination_deleted_by_age_are_expired_and_one_more_is_not(place):
    place.write(retention={"days": 30})
    before = earlier(place, 31)
    place.append(lines(0, 50))
    assert place.once(env=before).code == 0
    assert place.once(env=before).code == 0  # remembers how long the log was
    place.append(lines(50, 10))
    assert place.once().code == 0
    (leaf,) = controls(place.archived(), "retention")
    below = leaf["below"]
    assert leaf == {"days": 30, "below": below} and 50 < below < 70
    assert delete_events(place, below) >= 50
    done = place.verify("--store")
    assert done.code == 0, done
    assert "expired" in done.out and ", 0 missing," in done.out
    delete_events(place, below + 8)
    done = place.verify("--store")
    assert done.code == 1 and "unexplained" in done.out


def test_a_memory_that_somebody_made_older_makes_nothing_expire(place):
    place.write(retention={"days": 30})
    place.append(lines(0, 50))
    assert place.once().code == 0
    assert place.once().code == 0
    memory = place.state / "retention"
    kept = [json.loads(text) for text in memory.read_text().splitlines()]
    memory.write_text("".join(json.dumps({**one, "time": one["time"] - 31 * DAY}) + "\n" for one in kept))
    assert place.once().code == 0
    (leaf,) = controls(place.archived(), "retention")
    assert delete_events(place, leaf["below"]) >= 50
    done = place.verify("--store")
    assert done.code == 1 and "unexplained" in done.out and "expired" not in done.out


def test_without_retention_nothing_is_announced(place):
    place.write(retention=None)
    document = place.config.read_text() + "retention: null\n"
    place.config.write_text(document)
    for first in (0, 10):
        place.append(lines(first, 10))
        assert place.once().code == 0
    assert not (place.state / "retention").exists()
    assert controls(place.archived(), "retention") == []


# -- results of verifications ------------------------------------------------------------------------------------------


def _under_a_checkpoint(place):
    """Leaves in the store that a signed checkpoint covers."""
    documents = [one["trail"].get("checkpoint", {}) for one in place.stored()]
    return max((one.get("size", 0) for one in documents), default=0)


def test_a_recorded_result_is_sealed_found_and_verified_in_its_turn(place):
    place.write(seal={"interval": "300ms"})
    place.append(lines(0, 10))
    agent = place.start().ready()
    place.settled(10)
    eventually(lambda: _under_a_checkpoint(place) > 6, "a checkpoint")
    done = place.process("verify", "--store", "--record")
    assert done.code == 0, done
    assert "recorded in the log of t1" in done.err
    summary = done.out.splitlines()[-1]
    found = eventually(lambda: place.process("search", "event.action: seal.verify", "--json").out, "the result")
    (event,) = [json.loads(text) for text in found.splitlines()] if found.startswith("{") else json.loads(found)
    assert event["message"].endswith(summary)
    assert event["trail"]["verify"]["summary"] == summary
    assert event["trail"]["verify"]["source"] == f"store {place.state / 'store.db'}"
    assert event["event"]["outcome"] == "success"

    assert place.verify("--journal", "--record").code == 0
    assert place.verify("--ndjson", place.archive, "--record").code == 0
    assert place.verify("--store").code == 0
    with contextlib.closing(sqlite3.connect(place.state / "store.db")) as db:
        db.execute("UPDATE documents SET data = CAST(replace(data, 'offer', 'OFFER') AS BLOB) WHERE i = 5")
        db.commit()
    done = place.process("verify", "--store", "--record")
    assert done.code == 1 and "MODIFIED 5" in done.out and "recorded" in done.err
    eventually(
        lambda: (
            [one["event"]["outcome"] for one in actions(place.archived(), "seal.verify")]
            == ["success"] * 3 + ["failure"]
        ),
        "the failure in the archive",
    )
    assert agent.terminate() == 0
    assert place.verify("--ndjson", place.archive).code == 0


def test_without_an_agent_a_clean_result_is_an_error_and_findings_stay_findings(place):
    place.append(lines(0, 10))
    assert place.once().code == 0
    done = place.process("verify", "--store", "--record")
    assert done.code == 69 and "complete since received" in done.out
    assert "hint: fieldtrail run" in done.err
    place.archive.write_bytes(b"".join(place.archive.read_bytes().splitlines(keepends=True)[:-5]))
    done = place.process("verify", "--store", "--max-age", "1ms", "--record")
    assert done.code == 1 and "hint: fieldtrail run" in done.err


def test_only_a_whole_verification_is_recorded(place):
    done = place.process("verify", "--record", "event", "x")
    assert done.code == 64 and "only the whole is recorded" in done.err


# -- signals -----------------------------------------------------------------------------------------------------------


def test_a_hangup_before_the_agent_is_there_is_a_reload_of_the_agent_that_comes(place):
    text = place.config.read_bytes()
    place.config.unlink()
    os.mkfifo(place.config)
    agent = place.start()
    with place.config.open("wb") as held:  # opened once the agent reads it
        agent.signal(signal.SIGHUP)
        place.config.unlink()
        place.config.write_bytes(text)
        held.write(text)
    agent.wait_told("configuration changed")
    agent.ready()
    assert agent.terminate() == 0
