"""Each monitor's query and triggers on the real server, over documents that fire, nearly fire, and do not.

This server has no Alerting plugin. What the plugin does with a bucket-level monitor is done here by its documented
rule: `{{period_end}}` is filled in, and each trigger's condition selects among the buckets of its parent.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest

from shipper.siem.monitors import monitors

NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
MONITORS = monitors()


def report(component, identity, agent="hr-app-01", *, ago, **figures):
    """A health report, `ago` minutes before NOW."""
    health = {"component": component, "id": identity, **figures}
    return event("agent.report", agent, ago=ago, trail={"health": health})


def event(action, agent="hr-app-01", *, ago, dataset="health", **members):
    moment = NOW - timedelta(minutes=ago)
    members["event"] = {"kind": "event", "action": action, **members.get("event", {})}
    return {"@timestamp": moment.isoformat(), "agent": {"name": agent}, "_stream": dataset, **members}


def checkpoint(agent, ago):
    return event("seal.checkpoint", agent, ago=ago, dataset="checkpoint")


def verification(source, outcome, ago, agent="hr-app-01"):
    return event("seal.verify", agent, ago=ago, event={"outcome": outcome}, trail={"verify": {"source": source}})


def alert(identity, severity, ago, **members):
    rule = {"name": "Failed logins, then an export"}
    told = {"kind": "alert", "id": identity, **({"severity": severity} if severity is not None else {})}
    return event("detection.match", ago=ago, dataset="alert", event=told, rule=rule, **members)


def every(minutes, until, since, make):
    return [make(ago) for ago in range(until, since, minutes)]


DAY = 24 * 60
CASES = {
    "fieldtrail-source-silent": (
        [
            # Heard of 23 h 59 min before the newest report, and 24 h 5 min before it.
            *every(5, 0, 2 * DAY, lambda ago: report("input", "near", ago=ago, read=int(ago >= DAY - 5))),
            *every(5, 0, 2 * DAY, lambda ago: report("input", "silent", ago=ago, read=int(ago >= DAY + 5))),
            *every(5, 0, DAY + 10, lambda ago: report("input", "never", ago=ago, read=0)),
            *every(5, 0, DAY - 60, lambda ago: report("input", "new", ago=ago, read=0)),
            *every(5, 0, 2 * DAY, lambda ago: report("input", "busy", ago=ago, read=12)),
            # No longer in the configuration: nobody reports it.
            *every(5, 60, 3 * DAY, lambda ago: report("input", "gone", ago=ago, read=0)),
            # The same id at another agent is another source.
            *every(5, 0, 2 * DAY, lambda ago: report("input", "silent", "hr-app-02", ago=ago, read=3)),
        ],
        {"fieldtrail-source-silent": [("silent", "hr-app-01"), ("never", "hr-app-01")]},
    ),
    "fieldtrail-agent-silent": (
        [
            report("agent", "well", "well", ago=4, memory_bytes=1),
            report("agent", "well", "well", ago=9, memory_bytes=1),
            report("agent", "late", "late", ago=15, memory_bytes=1),
            report("agent", "dead", "dead", ago=16, memory_bytes=1),
            # A clock that is ahead is no silence, one that is behind looks like it.
            report("agent", "ahead", "ahead", ago=-20, memory_bytes=1),
            report("agent", "forgotten", "forgotten", ago=8 * DAY, memory_bytes=1),
            # It is reports that count: what an agent says when it stops is none.
            event("agent.stop", "dead", ago=1),
        ],
        {"fieldtrail-agent-silent": [("dead",)]},
    ),
    "fieldtrail-checkpoint-stale": (
        [checkpoint("well", 3), checkpoint("stale", 16), checkpoint("stale", 21), checkpoint("old", 8 * DAY)],
        {"fieldtrail-checkpoint-stale": [("stale",)]},
    ),
    "fieldtrail-dead-letters": (
        [
            # Old dead letters that stay are no growth; a purge in between does not hide new ones.
            *every(5, 0, 400, lambda ago: report("output", "steady", ago=ago, rejected=0, dead_letters=7)),
            *every(
                5, 0, 400, lambda ago: report("output", "growing", ago=ago, rejected=int(ago == 60), dead_letters=0)
            ),
            *every(5, 0, 400, lambda ago: report("output", "before", ago=ago, rejected=int(ago == 365))),
        ],
        {"fieldtrail-dead-letters": [("growing", "hr-app-01")]},
    ),
    "fieldtrail-output-behind": (
        [
            *every(5, 0, 16, lambda ago: report("output", "behind", ago=ago, lag_seconds=901)),
            *every(5, 0, 16, lambda ago: report("output", "near", ago=ago, lag_seconds=900)),
            *every(5, 0, 16, lambda ago: report("output", "recovering", ago=ago, lag_seconds=0 if ago == 0 else 4000)),
            report("output", "one-report", ago=3, lag_seconds=4000),
        ],
        {"fieldtrail-output-behind": [("behind", "hr-app-01")]},
    ),
    "fieldtrail-unparsed": (
        [
            *every(5, 0, 60, lambda ago: report("input", "above", ago=ago, read=100, unparsed=2)),
            *every(5, 0, 60, lambda ago: report("input", "at-budget", ago=ago, read=100, unparsed=1)),
            *every(5, 0, 60, lambda ago: report("input", "few", ago=ago, read=1, unparsed=int(ago < 20))),
            *every(5, 0, 60, lambda ago: report("input", "five", ago=ago, read=1, unparsed=int(ago < 25))),
            *every(5, 65, 120, lambda ago: report("input", "earlier", ago=ago, read=100, unparsed=50)),
            *every(5, 0, 60, lambda ago: report("input", "idle", ago=ago, read=0, unparsed=0)),
        ],
        {"fieldtrail-unparsed": [("above", "hr-app-01"), ("five", "hr-app-01")]},
    ),
    "fieldtrail-source-loss": (
        [
            event("source.loss", ago=DAY - 1, trail={"origin": {"input": "crm", "path": "a.log"}}),
            event("source.loss", ago=DAY + 1, trail={"origin": {"input": "ats", "path": "b.log"}}),
            event("source.gap", ago=3, trail={"origin": {"input": "hr"}}),
        ],
        {"fieldtrail-source-loss": [("crm", "hr-app-01")]},
    ),
    "fieldtrail-documents-dropped": (
        [
            event("seal.control", "full", ago=30, dataset="log", trail={"control": "drop"}),
            event("seal.control", "well", ago=30, dataset="log", trail={"control": "reject"}),
            event("seal.control", "well", ago=20, dataset="log", trail={"control": "batch"}),
        ],
        {"fieldtrail-documents-dropped": [("full",)]},
    ),
    "fieldtrail-verification": (
        [
            verification("tampered", "success", 2 * DAY),
            verification("tampered", "failure", DAY),
            verification("mended", "failure", 2 * DAY),
            verification("mended", "success", DAY),
            verification("overdue", "success", 8 * DAY + 1),
            verification("in-time", "success", 8 * DAY - 1),
            verification("both", "failure", 9 * DAY),
            verification("given-up", "failure", 61 * DAY),
        ],
        {
            "fieldtrail-verification-failed": [("hr-app-01", "tampered"), ("hr-app-01", "both")],
            "fieldtrail-verification-overdue": [("hr-app-01", "overdue"), ("hr-app-01", "both")],
        },
    ),
    "fieldtrail-alerts": (
        [
            alert("a-1", 73, 5),
            alert("a-2", 72, 5),
            alert("a-3", 46, 5),
            alert("a-4", None, 5),
            alert("a-5", 91, DAY + 1),
            event("auth.login", ago=5),
        ],
        {
            "fieldtrail-alerts-high": [("Failed logins, then an export", "a-1")],
            "fieldtrail-alerts-medium": [("Failed logins, then an export", "a-2")],
            "fieldtrail-alerts-low": [
                ("Failed logins, then an export", "a-3"),
                ("Failed logins, then an export", "a-4"),
            ],
        },
    ),
}


def test_every_monitor_has_a_case_and_every_trigger_one_that_fires():
    assert set(CASES) == set(MONITORS)
    for name, (_, expected) in CASES.items():
        triggers = [trigger["bucket_level_trigger"]["id"] for trigger in MONITORS[name]["triggers"]]
        assert sorted(expected) == sorted(triggers)
        assert all(expected.values())


@pytest.fixture
def store(ask, namespace, templates):
    """Put documents into the streams of this test's namespace."""

    def put(documents):
        lines = []
        for document in documents:
            stream = document["_stream"]
            body = {name: value for name, value in document.items() if name != "_stream"}
            dataset = {"dataset": f"fieldtrail.{stream}", "namespace": namespace, "type": "logs"}
            lines.append({"create": {"_index": f"logs-fieldtrail.{stream}-{namespace}"}})
            lines.append({**body, "data_stream": dataset})
        sent = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        answer = ask("POST", "/_bulk?refresh=true", sent)
        assert answer.status == 200, answer.body
        assert not answer.json["errors"], answer.body[:2000]

    return put


@pytest.fixture
def run(ask, namespace):
    """What the triggers of a monitor select: trigger id -> the keys of the buckets, in the order of `by`."""

    def search(body, *, limits=None):
        asked = body["inputs"][0]["search"]
        query = json.loads(json.dumps(asked["query"]).replace("{{period_end}}", str(int(NOW.timestamp() * 1000))))
        buckets = query["aggregations"]["by"]
        found = {}
        for wrapped in body["triggers"]:
            trigger = wrapped["bucket_level_trigger"]
            condition = json.loads(json.dumps(trigger["condition"]))
            assert condition.pop("parent_bucket_path") == "by"
            condition["script"]["params"].update(limits or {})
            selected = {
                **buckets,
                "aggregations": {**buckets.get("aggregations", {}), "chosen": {"bucket_selector": condition}},
            }
            indices = ",".join(one.removesuffix("*") + namespace for one in asked["indices"])
            path = f"/{indices}/_search?ignore_unavailable=true"
            answer = ask("POST", path, {**query, "aggregations": {"by": selected}})
            assert answer.status == 200, answer.body
            found[trigger["id"]] = [tuple(one["key"].values()) for one in answer.json["aggregations"]["by"]["buckets"]]
        return found

    return search


@pytest.mark.parametrize("name", CASES)
def test_a_monitor_finds_what_it_is_for_and_nothing_near_it(name, store, run):
    documents, expected = CASES[name]
    store(documents)
    assert {key: sorted(value) for key, value in run(MONITORS[name]).items()} == {
        key: sorted(value) for key, value in expected.items()
    }


def test_no_monitor_finds_anything_in_what_a_healthy_agent_writes(store, run):
    def output(ago):
        return report("output", "siem", ago=ago, delivered=9, rejected=0, pending=2, dead_letters=0, lag_seconds=1)

    store(
        [
            *every(5, 1, 60, lambda ago: report("agent", "hr-app-01", ago=ago, memory_bytes=1)),
            *every(5, 1, 60, lambda ago: report("input", "crm", ago=ago, read=9, events=9, unparsed=0, idle_seconds=4)),
            *every(5, 1, 60, output),
            *every(5, 1, 60, lambda ago: checkpoint("hr-app-01", ago)),
            *every(5, 1, 60, lambda ago: event("seal.control", ago=ago, dataset="log", trail={"control": "batch"})),
            verification("opensearch", "success", DAY),
            event("agent.start", ago=65),
        ]
    )
    found = {key: buckets for body in MONITORS.values() for key, buckets in run(body).items()}
    assert found == {key: [] for key in found}


def test_where_a_pattern_matches_nothing_the_answer_has_no_aggregation_at_all(ask, namespace):
    # Why the monitor of rule hits searches the health stream too: the plugin takes a missing aggregation for an error.
    body = {"size": 0, "aggregations": {"by": {"composite": {"sources": [{"a": {"terms": {"field": "a"}}}]}}}}
    answer = ask("POST", f"/logs-fieldtrail.alert-{namespace}*/_search", body)
    assert answer.status == 200
    assert "aggregations" not in answer.json


def test_an_operators_limit_is_what_decides(store, run):
    store(every(5, 0, 2 * DAY, lambda ago: report("input", "weekly", ago=ago, read=int(ago >= DAY + 5))))
    body = MONITORS["fieldtrail-source-silent"]
    assert run(body)["fieldtrail-source-silent"] == [("weekly", "hr-app-01")]
    assert run(body, limits={"silent_seconds": 72 * 3600})["fieldtrail-source-silent"] == []


def test_more_buckets_than_a_page_are_all_reached_by_pages(store, run):
    store([alert(f"a-{number:04}", 90, 5) for number in range(700)])
    body = json.loads(json.dumps(MONITORS["fieldtrail-alerts"]))
    first = run(body)["fieldtrail-alerts-high"]
    assert len(first) == 500
    rule, last = first[-1]
    composite = body["inputs"][0]["search"]["query"]["aggregations"]["by"]["composite"]
    composite["after"] = {"rule": rule, "event": last}
    rest = run(body)["fieldtrail-alerts-high"]
    assert len(rest) == 200
    assert not set(first) & set(rest)


@pytest.fixture
def told(ask):
    """The text that a message template makes of a context, by the server's own Mustache."""

    def render(template, **ctx):
        source = {"text": template["source"]}
        answer = ask("POST", "/_render/template", {"source": source, "params": {"ctx": ctx}})
        assert answer.status == 200, answer.body
        return answer.json["template_output"]["text"]

    return render


CTX = {
    "periodEnd": "2026-02-03T12:00:00Z",
    "trigger": {"name": "source silent", "severity": "3"},
    "monitor": {"name": "fieldtrail-source-silent"},
}


def test_a_message_says_what_for_whom_since_when_and_what_to_type(told):
    action = MONITORS["fieldtrail-source-silent"]["triggers"][0]["bucket_level_trigger"]["actions"][0]
    assert told(action["subject_template"], **CTX) == "Fieldtrail: source silent"
    text = told(
        action["message_template"], **CTX, newAlerts=[{"bucket_keys": "crm <eu> & a,hr-app-01"}], dedupedAlerts=[]
    )
    assert text.startswith("No record has come from this input")
    assert "input, agent: crm <eu> & a,hr-app-01\n" in text
    assert "Seen at 2026-02-03T12:00:00Z, severity 3." in text
    assert "\n  fieldtrail status\n" in text
    assert "again" not in text
    assert "fails" not in text


def test_a_message_that_is_repeated_says_since_when(told):
    action = MONITORS["fieldtrail-source-silent"]["triggers"][0]["bucket_level_trigger"]["actions"][0]
    alerts = [{"bucket_keys": "crm,hr-app-01", "start_time": 1770120000000}]
    text = told(action["message_template"], **CTX, newAlerts=[], dedupedAlerts=alerts)
    assert "input, agent: crm,hr-app-01 (again; since 1770120000000 ms of Unix time)\n" in text


def test_a_message_names_several_where_the_plugin_sends_one_for_all(told):
    action = MONITORS["fieldtrail-alerts"]["triggers"][0]["bucket_level_trigger"]["actions"][0]
    alerts = [{"bucket_keys": f"Mass export,e-{number}"} for number in range(60)]
    text = told(action["message_template"], **CTX, newAlerts=alerts, dedupedAlerts=[])
    assert text.count("rule, event: Mass export,e-") == 60


def test_a_monitor_that_fails_says_so(told):
    action = MONITORS["fieldtrail-alerts"]["triggers"][0]["bucket_level_trigger"]["actions"][0]
    text = told(action["message_template"], **CTX, error="no permissions")
    assert text.startswith("The monitor itself fails: no permissions\nSeen at ")


def test_a_monitor_that_fails_is_not_said_to_be_over(told):
    action = MONITORS["fieldtrail-source-silent"]["triggers"][0]["bucket_level_trigger"]["actions"][1]
    ctx = {**CTX, "error": "no permissions", "completedAlerts": []}
    assert told(action["subject_template"], **ctx) == "Fieldtrail: source silent"
    text = told(action["message_template"], **ctx)
    assert text.startswith("The monitor itself fails: no permissions\n")
    assert "No longer" not in text


def test_the_end_is_told_with_the_same_names(told):
    action = MONITORS["fieldtrail-source-silent"]["triggers"][0]["bucket_level_trigger"]["actions"][1]
    text = told(action["message_template"], **CTX, completedAlerts=[{"bucket_keys": "crm,hr-app-01"}])
    assert text == "source silent\nNo longer so: input, agent: crm,hr-app-01\nSeen at 2026-02-03T12:00:00Z.\n"


@pytest.mark.parametrize("name", MONITORS)
def test_every_message_is_one_that_the_server_can_render(name, told):
    for wrapped in MONITORS[name]["triggers"]:
        for action in wrapped["bucket_level_trigger"]["actions"]:
            text = told(action["message_template"], **CTX)
            assert text
            assert "{{" not in text
