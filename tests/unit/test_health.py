"""The agent's reports of itself: when they come, what they say, and that they are no work."""

import pytest

from shipper import build
from shipper.config import parse
from shipper.delivery import Account as OutputAccount
from shipper.errors import ConfigError
from shipper.health import Reports
from shipper.intake import Account
from shipper.logbook import Logbook
from shipper.memory import resident
from shipper.schema import check
from tests.unit.test_agent_parts import identity, nonces
from tests.unit.test_agent_parts import part as lines
from tests.unit.test_status import Part


@pytest.fixture
def agent():
    return Part()


def reports(agent, every=300.0):
    return Reports(agent.observer, identity(), agent.clock, every)


def told(events):
    return {event["trail"]["health"]["component"]: event["trail"]["health"] for event in events}


def test_the_first_report_comes_one_interval_after_the_start_and_then_each_interval(agent):
    made = reports(agent)
    agent.clock.mono += 299
    assert made.look() == []
    agent.clock.mono += 1
    assert len(made.look()) == 3
    assert made.look() == []
    agent.clock.mono += 300
    assert len(made.look()) == 3


def test_after_a_pause_one_report_tells_it_all(agent):
    made = reports(agent)
    agent.clock.mono += 3000
    assert len(made.look()) == 3
    assert made.look() == []


def test_without_an_interval_there_are_no_reports(agent):
    made = reports(agent, every=0.0)
    agent.clock.mono += 1e6
    assert made.look() == []


def test_each_component_tells_its_figures_and_says_them_in_words(agent):
    made = reports(agent)
    agent.intake.accounts["app"] = Account(1204, 90, 1201, 3, events=1300)
    agent.observer.turn()
    agent.clock.mono += 312
    agent.streams[0]["lag"] = 4000
    events = made.look()
    found = told(events)
    assert found["input"] == {
        "component": "input", "id": "app", "read": 1204, "events": 1300, "unparsed": 3, "lag_bytes": 4000,
        "idle_seconds": 312,
    }  # fmt: skip
    assert found["output"] == {
        "component": "output", "id": "siem", "delivered": 18, "rejected": 0, "pending": 0, "dead_letters": 0,
        "lag_seconds": 0,
    }  # fmt: skip
    assert found["agent"].keys() == {"component", "id", "journal_bytes", "memory_bytes"}
    assert found["agent"]["journal_bytes"] == 1000 and found["agent"]["memory_bytes"] > 1_000_000
    assert [event["message"] for event in events][1:] == [
        "input app: 1,204 records, 3 unparsed, 4,000 bytes behind, last record 5 min ago",
        "output siem: 18 delivered, 0 refused, 0 pending, 0 dead letters",
    ]
    assert events[0]["message"].startswith("agent t1: journal 1.0 kB, memory ")


def test_counters_are_told_as_what_was_added_since_the_report_before(agent):
    made = reports(agent)
    agent.clock.mono += 300
    made.look()
    agent.intake.accounts["app"] = Account(19, 190, 17, 2, events=38)
    agent.delivery.account = agent.delivery.account._replace(delivered=17, dead_lettered=1, upto=23, left=3)
    agent.clock.mono += 300
    found = told(made.look())
    assert [found["input"][name] for name in ("read", "events", "unparsed")] == [10, 20, 2]
    assert [found["output"][name] for name in ("delivered", "rejected", "pending")] == [0, 1, 3]
    agent.delivery.account = agent.delivery.account._replace(delivered=20, left=0)
    agent.clock.mono += 300
    # One was delivered anew, after a sync that failed: 18 were told before.
    assert told(made.look())["output"]["delivered"] == 2


def test_an_input_that_has_read_nothing_yet_is_not_called_idle_for_so_and_so_long(agent):
    agent.intake.accounts["app"] = Account()
    made = reports(agent)
    agent.clock.mono += 300
    events = made.look()
    assert "idle_seconds" not in told(events)["input"]
    assert events[1]["message"] == "input app: 0 records, 0 unparsed, 0 bytes behind, no record yet"


def test_dead_letters_that_cannot_be_read_and_an_output_that_fails_are_said(agent):
    agent.letters.counts = lambda: (_ for _ in ()).throw(ConfigError("read", "x", "y"))
    agent.delivery.counts.connected = False
    agent.delivery.account = OutputAccount(base=2, upto=20, left=4, time=agent.clock.wall - 30, delivered=14)
    made = reports(agent)
    agent.clock.mono += 300
    events = made.look()
    assert "dead_letters" not in told(events)["output"]
    assert events[2]["message"] == "output siem: 14 delivered, 0 refused, 4 pending for 30 s, failing"


def test_reports_have_ids_of_their_own_and_are_events_of_the_health_stream(agent):
    made = reports(agent)
    agent.clock.mono += 300
    events = made.look()
    assert len({event["event"]["id"] for event in events}) == 3
    assert {event["data_stream"]["dataset"] for event in events} == {"fieldtrail.health"}
    assert [list(check(event)) for event in events] == [[], [], []]


# -- no work -----------------------------------------------------------------------------------------------------------


def report_event():
    return build.health_event(identity(), "agent.report", "x", 1.0, trail={"health": {}})


def begun():
    book = Logbook.begin(identity(), 1.0, nonces(), host="h", config_hash="c", succession=None)
    book.build([], {}, 1.0, close=True, interval=60.0)
    return book


def test_a_log_in_which_nothing_but_reports_waits_is_quiet():
    book = begun()
    assert book.quiet
    book.pending.append(report_event())
    assert book.quiet
    book.build([], {}, 1.0, close=False, interval=60.0)
    assert book.quiet and book.open_leaves == 1
    book.control("heartbeat", {"size": 2}, 1.0)
    assert not book.quiet
    book.build([], {}, 1.0, close=True, interval=60.0)
    assert book.quiet and book.open_leaves == 0


def test_a_log_with_events_beside_the_reports_is_not_quiet():
    book = begun()
    book.pending.append(report_event())
    book.build([lines(1)], {}, 1.0, close=False, interval=60.0)
    assert not book.quiet


# -- figures and the configuration -------------------------------------------------------------------------------------


def test_the_memory_of_a_process_grows_with_what_it_holds():
    before = resident()
    held = b"x" * 50_000_000
    assert resident() - before > 40_000_000
    del held


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300.0), ("0", 0.0), ("1s", 1.0)])
def test_the_interval_is_a_duration(text, seconds):
    assert parse(f"agent: {{report: {text}}}", "c.yaml").agent.report == seconds


@pytest.mark.parametrize("text", ["0.5", "500ms", "-1", ".inf", "36526d"])
def test_an_interval_that_makes_no_sense_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        parse(f"agent: {{report: {text}}}", "c.yaml")
    assert [path for path, _ in caught.value.problems] == ["agent.report"]
