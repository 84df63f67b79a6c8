"""Alerting monitors: what their bodies hold, and how they are kept on a server that writes them in its own way."""

import copy
import json

import pytest

import mappings
from shipper.errors import UnavailableError
from shipper.siem.install import install
from shipper.siem.monitors import MonitorKind, alerting_parts, are_silent, minutes, monitor_parts, monitors
from shipper.templates import templates

BODIES = monitors()
VERSION, FACTS = mappings.monitors()
BASE = "/_plugins/_alerting/monitors"

# What OpenSearch 3.8 wrote of a query of ours with each kind of condition in it.
SENT = {
    "size": 0,
    "query": {
        "bool": {
            "filter": [
                {"term": {"event.action": {"value": "agent.report"}}},
                {"exists": {"field": "rule.name"}},
                {"terms": {"event.kind": ["a", "b"]}},
                {"range": {"@timestamp": {"gte": "{{period_end}}||-4d", "format": "epoch_millis"}}},
            ]
        }
    },
    "aggregations": {
        "by": {
            "composite": {"size": 500, "sources": [{"agent": {"terms": {"field": "agent.name"}}}]},
            "aggregations": {
                "read": {"sum": {"field": "trail.health.read"}},
                "last": {
                    "filter": {"range": {"trail.health.read": {"gt": 0}}},
                    "aggregations": {"value": {"max": {"field": "@timestamp"}}},
                },
            },
        }
    },
}
WRITTEN = json.loads(
    '{"size":0,"query":{"bool":{"filter":[{"term":{"event.action":{"value":"agent.report","boost":1.0}}},'
    '{"exists":{"field":"rule.name","boost":1.0}},{"terms":{"event.kind":["a","b"],"boost":1.0}},'
    '{"range":{"@timestamp":{"from":"{{period_end}}||-4d","to":null,"include_lower":true,"include_upper":true,'
    '"format":"epoch_millis","boost":1.0}}}],"adjust_pure_negative":true,"boost":1.0}},"aggregations":{"by":'
    '{"composite":{"size":500,"sources":[{"agent":{"terms":{"field":"agent.name","missing_bucket":false,'
    '"order":"asc"}}}]},"aggregations":{"read":{"sum":{"field":"trail.health.read"}},"last":{"filter":{"range":'
    '{"trail.health.read":{"from":0,"to":null,"include_lower":false,"include_upper":true,"boost":1.0}}},'
    '"aggregations":{"value":{"max":{"field":"@timestamp"}}}}}}}}'
)


def as_written(value):
    """A query of ours as the server writes it."""
    if isinstance(value, list):
        return [as_written(one) for one in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for name, one in value.items():
        inner = as_written(one)
        if name == "range":
            (field, bounds), *_ = inner.items()
            low = "gte" if "gte" in bounds else "gt"
            rest = {key: bound for key, bound in bounds.items() if key != low}
            full = {"from": bounds[low], "to": None, "include_lower": low == "gte", "include_upper": True, "boost": 1.0}
            inner = {field: {**full, **rest}}
        elif name == "term":
            inner = {field: {**term, "boost": 1.0} for field, term in inner.items()}
        elif name == "bool":
            inner = {**inner, "adjust_pure_negative": True, "boost": 1.0}
        elif name == "exists" or (name == "terms" and any(isinstance(values, list) for values in inner.values())):
            inner = {**inner, "boost": 1.0}
        elif name == "sources":
            inner = [
                {key: {"terms": {**source["terms"], "missing_bucket": False, "order": "asc"}}}
                for entry in inner
                for key, source in entry.items()
            ]
        out[name] = inner
    return out


class Alerting:
    """The plugin's interface over a dictionary: ids of its own, queries written anew, sequence numbers that count."""

    place = "http://127.0.0.1:9200"

    def __init__(self, plugins=("opensearch-alerting", "opensearch-notifications"), channel=None):
        self.plugins, self.channel = plugins, channel
        self.monitors, self.writes = {}, []

    def ask(self, op, method, path, *, body=None, params=None, absent=False):
        if path == "/_cat/plugins":
            return [{"component": name} for name in self.plugins]
        if path.startswith("/_plugins/_notifications/configs"):
            return self._channel(method, body)
        if path == f"{BASE}/_search":
            name = body["query"]["term"]["monitor.name.keyword"]
            hits = [
                {"_id": key, "_source": one["monitor"]}
                for key, one in self.monitors.items()
                if one["monitor"]["name"] == name
            ]
            return {"hits": {"hits": hits}} if self.monitors else None
        if method == "GET":
            identity = path.rpartition("/")[2]
            return {"_id": identity, **self.monitors[identity]}
        self.writes.append((method, path, params))
        if method == "POST":
            identity, number = f"id{len(self.monitors)}", 0
        else:
            identity = path.rpartition("/")[2]
            number = self.monitors[identity]["_seq_no"] + 1
            if params["if_seq_no"] != str(number - 1):
                raise UnavailableError(op, self.place, "status 409, version_conflict_engine_exception")
        self.put(identity, body, number)
        return {"_id": identity}

    def put(self, identity, body, number=0):
        monitor = copy.deepcopy(dict(body))
        for entry in monitor["inputs"]:
            entry["search"]["query"] = as_written(entry["search"]["query"])
        monitor |= {"schema_version": 8, "last_update_time": 1, "owner": "alerting", "user": {"name": "x"}}
        if monitor["enabled"]:
            monitor["enabled_time"] = 1
        self.monitors[identity] = {"_seq_no": number, "_primary_term": 1, "_version": 1, "monitor": monitor}

    def named(self, name):
        return next(one["monitor"] for one in self.monitors.values() if one["monitor"]["name"] == name)

    def _channel(self, method, body):
        if method == "GET":
            return {"config_list": [{"config_id": "fieldtrail", "config": self.channel}]} if self.channel else None
        self.channel = body["config"]
        return {"config_id": "fieldtrail"}


def trigger_of(monitor, number=0):
    return monitor["triggers"][number]["bucket_level_trigger"]


def results(server, parts, **options):
    return {step.name: step.result for step in install(server, parts, **options)}


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_a_query_is_the_same_however_the_server_writes_it():
    kind = MonitorKind(channel=False)
    ours, theirs = ({"inputs": [{"search": {"query": query}}]} for query in (SENT, WRITTEN))
    assert kind.normal(ours)["inputs"] == kind.normal(theirs)["inputs"]
    assert as_written(SENT) == WRITTEN  # the server below writes like the real one


def _values(value):
    yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _values(one)


@pytest.mark.parametrize("name", BODIES)
def test_a_query_has_no_empty_member_which_the_server_would_leave_out(name):
    assert not [one for one in _values(BODIES[name]["inputs"][0]["search"]["query"]) if one in ({}, [], None)]


@pytest.mark.parametrize("facts", FACTS, ids=[one.id for one in FACTS])
def test_a_window_is_at_least_twice_the_interval(facts):
    assert minutes(facts.window) >= 2 * minutes(facts.every)
    for figure in facts.figures.values():
        assert minutes(figure.get("within", facts.every)) >= minutes(facts.every)


def _slot(name):
    """Where a Java HashMap of 16 slots keeps a text: String.hashCode is specified, so is the spread of its bits."""
    code = 0
    for letter in name:
        code = (31 * code + ord(letter)) & 0xFFFFFFFF
    return (code ^ (code >> 16)) & 15


@pytest.mark.parametrize("facts", FACTS, ids=[one.id for one in FACTS])
def test_keys_come_in_the_order_in_which_a_message_names_them(facts):
    slots = [_slot(name) for name in facts.by]
    assert slots == sorted(set(slots))


def _mapped():
    """Dotted field name -> type, as our templates map it."""
    out = {}

    def walk(properties, path):
        for name, body in properties.items():
            full = f"{path}.{name}" if path else name
            if "properties" in body:
                walk(body["properties"], full)
            else:
                out[full] = body["type"]

    for part in templates()["component_templates"].values():
        walk(part["template"]["mappings"].get("properties", {}), "")
    return out


@pytest.mark.parametrize("facts", FACTS, ids=[one.id for one in FACTS])
def test_every_field_is_mapped_with_a_type_that_fits(facts):
    mapped = _mapped()
    assert {mapped[field] for field in facts.by.values()} == {"keyword"}
    for where in (facts.where, *(figure.get("where", {}) for figure in facts.figures.values())):
        for field, value in where.items():
            assert mapped[field] == ("long" if isinstance(value, dict) else "keyword"), field
    for figure in facts.figures.values():
        for field in (figure[kind] for kind in ("sum", "min", "max") if kind in figure):
            assert mapped[field] in {"long", "date"}, field


@pytest.mark.parametrize("name", BODIES)
def test_a_trigger_reads_figures_that_its_query_makes(name):
    body = BODIES[name]
    made = body["inputs"][0]["search"]["query"]["aggregations"]["by"].get("aggregations", {})
    for wrapped in body["triggers"]:
        condition = wrapped["bucket_level_trigger"]["condition"]
        for path in condition["buckets_path"].values():
            first, _, second = path.partition(">")
            assert first == "_count" or first in made
            assert second in {"", "_count"} or second in made[first]["aggregations"]
        known = {*condition["buckets_path"], *condition["script"]["params"]}
        used = {word.split(".")[1] for word in _words(condition["script"]["source"]) if word.startswith("params.")}
        assert used <= known
        assert set(condition["script"]["params"]) <= used


def _words(source):
    return "".join(letter if letter.isalnum() or letter in "._" else " " for letter in source).split()


def test_ids_of_triggers_and_actions_are_unique_and_never_change():
    triggers = [wrapped["bucket_level_trigger"] for body in BODIES.values() for wrapped in body["triggers"]]
    ids = [trigger["id"] for trigger in triggers]
    # Alerts hang on them: another id completes every alert that stands.
    assert ids == [
        "fieldtrail-source-silent",
        "fieldtrail-agent-silent",
        "fieldtrail-checkpoint-stale",
        "fieldtrail-dead-letters",
        "fieldtrail-output-behind",
        "fieldtrail-unparsed",
        "fieldtrail-source-loss",
        "fieldtrail-documents-dropped",
        "fieldtrail-verification-failed",
        "fieldtrail-verification-overdue",
        "fieldtrail-alerts-high",
        "fieldtrail-alerts-medium",
        "fieldtrail-alerts-low",
    ]
    actions = [action["id"] for trigger in triggers for action in trigger["actions"]]
    assert len(actions) == len(set(actions))


@pytest.mark.parametrize("facts", FACTS, ids=[one.id for one in FACTS])
def test_what_lasts_is_repeated_daily_and_said_to_be_over_what_happened_is_told_once(facts):
    for number, trigger in enumerate(facts.triggers):
        actions = trigger_of(BODIES[f"fieldtrail-{facts.id}"], number)["actions"]
        scopes = [
            action["action_execution_policy"]["action_execution_scope"]["per_alert"]["actionable_alerts"]
            for action in actions
        ]
        if trigger.repeat is None:
            assert scopes == [["NEW"]]
            assert not actions[0]["throttle_enabled"]
        else:
            # One action alone would be throttled when it is to say that it is over.
            assert scopes == [["NEW", "DEDUPED"], ["COMPLETED"]]
            assert actions[0]["throttle"] == {"value": 1440, "unit": "MINUTES"}
            assert "throttle" not in actions[1]


def test_without_a_channel_there_are_no_actions():
    silent = monitors(channel=False)
    assert not any(
        wrapped["bucket_level_trigger"]["actions"] for body in silent.values() for wrapped in body["triggers"]
    )


# -- on a server -------------------------------------------------------------------------------------------------------


def test_installed_twice_nothing_changes_the_second_time():
    server = Alerting()
    assert set(results(server, monitor_parts()).values()) == {"installed"}
    written = len(server.writes)
    assert set(results(server, monitor_parts()).values()) == {"unchanged"}
    assert len(server.writes) == written == len(BODIES)


def test_a_dry_run_writes_nothing():
    server = Alerting()
    assert set(results(server, monitor_parts(), dry_run=True).values()) == {"installed"}
    assert server.writes == []


def test_an_update_keeps_what_belongs_to_the_operator():
    server = Alerting()
    list(install(server, monitor_parts()))
    there = server.named("fieldtrail-source-silent")
    there["enabled"] = False
    there["schedule"] = {"period": {"interval": 7, "unit": "HOURS"}}
    trigger = trigger_of(there)
    trigger["condition"]["script"]["params"]["silent_seconds"] = 259200
    trigger["actions"].append({"id": "abc", "name": "page", "destination_id": "pager"})
    trigger["actions"][0]["message_template"]["source"] = "changed"
    steps = [step for step in install(server, monitor_parts()) if step.result != "unchanged"]
    assert [(step.name, step.result) for step in steps] == [("fieldtrail-source-silent", "updated")]
    assert any(line.startswith("schedule.period.interval: 7 -> 30") for line in steps[0].difference)
    now = server.named("fieldtrail-source-silent")
    assert now["enabled"] is False
    assert now["schedule"] == {"period": {"interval": 30, "unit": "MINUTES"}}
    assert trigger_of(now)["condition"]["script"]["params"] == {"silent_seconds": 259200}
    assert [action["id"] for action in trigger_of(now)["actions"]] == [
        "fieldtrail-source-silent",
        "fieldtrail-source-silent-over",
        "abc",
    ]
    assert trigger_of(now)["actions"][0]["message_template"]["source"] != "changed"
    assert server.writes[-1] == ("PUT", f"{BASE}/id0", {"if_seq_no": "0", "if_primary_term": "1"})


def test_what_belongs_to_the_operator_is_no_difference():
    server = Alerting()
    list(install(server, monitor_parts()))
    there = server.named("fieldtrail-unparsed")
    there["enabled"] = False
    trigger_of(there)["condition"]["script"]["params"]["unparsed_percent"] = 5
    trigger_of(there)["actions"].append({"id": "abc", "name": "page", "destination_id": "pager"})
    there["ui_metadata"] = {"schedule": {}}  # what the pages of the plugin leave of it
    assert set(results(server, monitor_parts()).values()) == {"unchanged"}


def test_without_a_channel_the_actions_that_are_there_stay():
    server = Alerting()
    list(install(server, monitor_parts()))
    trigger_of(server.named("fieldtrail-unparsed"))["severity"] = "1"
    assert results(server, monitor_parts(channel=False))["fieldtrail-unparsed"] == "updated"
    assert len(trigger_of(server.named("fieldtrail-unparsed"))["actions"]) == 2
    assert set(results(server, monitor_parts(channel=False)).values()) == {"unchanged"}


def test_a_limit_of_a_newer_version_arrives_beside_those_that_were_changed():
    server = Alerting()
    list(install(server, monitor_parts()))
    params = trigger_of(server.named("fieldtrail-unparsed"))["condition"]["script"]["params"]
    params["unparsed_percent"] = 5
    del params["unparsed_records"]
    assert results(server, monitor_parts())["fieldtrail-unparsed"] == "updated"
    now = trigger_of(server.named("fieldtrail-unparsed"))["condition"]["script"]["params"]
    assert now == {"unparsed_percent": 5, "unparsed_records": 5}


def test_a_monitor_of_a_newer_version_is_left_alone():
    server = Alerting()
    list(install(server, monitor_parts()))
    there = server.named("fieldtrail-alerts")
    there["ui_metadata"]["fieldtrail"]["version"] = VERSION + 1
    trigger_of(there)["severity"] = "2"
    assert results(server, monitor_parts())["fieldtrail-alerts"] == "newer"


def test_of_two_monitors_of_one_name_ours_is_the_one():
    server = Alerting()
    foreign = copy.deepcopy(BODIES["fieldtrail-alerts"])
    foreign["triggers"] = []
    server.put("a-foreign-one", foreign)
    server.put("b-ours", BODIES["fieldtrail-alerts"])
    stored = MonitorKind(channel=True).read(server, "fieldtrail-alerts")
    assert stored.handle == ("b-ours", 0, 1)


def test_a_monitor_of_somebody_else_under_our_name_is_neither_read_as_ours_nor_replaced():
    server = Alerting()
    foreign = copy.deepcopy(BODIES["fieldtrail-alerts"])
    foreign |= {"triggers": [{"query_level_trigger": {"id": "abc"}}], "ui_metadata": {}}
    server.put("theirs", foreign)
    with pytest.raises(UnavailableError, match="another monitor has the name fieldtrail-alerts") as caught:
        list(install(server, monitor_parts()))
    assert "rename the monitor theirs" in caught.value.hint
    assert all(method != "PUT" for method, _, _ in server.writes)


def test_a_trigger_without_an_id_does_not_stop_an_update():
    kind = MonitorKind(channel=True)
    there = {"triggers": [{"query_level_trigger": {}}]}
    body = BODIES["fieldtrail-alerts"]
    assert kind.merged(body, there)["triggers"] == [
        {"bucket_level_trigger": trigger_of(body, number)} for number in range(len(body["triggers"]))
    ]


def test_somebody_elses_change_in_between_is_not_overwritten():
    server = Alerting()
    list(install(server, monitor_parts()))
    kind = MonitorKind(channel=True)
    stored = kind.read(server, "fieldtrail-alerts")
    server.monitors[stored.handle[0]]["_seq_no"] += 1
    with pytest.raises(UnavailableError, match="version_conflict"):
        kind.write(server, "fieldtrail-alerts", BODIES["fieldtrail-alerts"], stored)


# -- with their channel ------------------------------------------------------------------------------------------------

CHANNEL = {
    "name": "Fieldtrail",
    "config_type": "slack",
    "is_enabled": True,
    "slack": {"url": "https://hooks.example/x"},
}


def test_monitors_send_by_the_channel_that_was_asked_for():
    server = Alerting()
    parts = alerting_parts(server, CHANNEL)
    assert not are_silent(parts)
    steps = list(install(server, parts))
    assert (steps[0].kind, steps[0].result) == ("notification channel", "installed")
    assert trigger_of(server.named("fieldtrail-alerts"))["actions"][0]["destination_id"] == "fieldtrail"


def test_a_channel_that_is_there_already_is_used_and_not_touched():
    server = Alerting(channel=CHANNEL)
    parts = alerting_parts(server, None)
    assert [part.kind.label for part in parts] == ["monitor"]
    assert not are_silent(parts)


@pytest.mark.parametrize("channel", [None, CHANNEL])
def test_without_the_plugin_for_channels_monitors_are_installed_and_silent(channel):
    server = Alerting(plugins=("opensearch-alerting",))
    parts = alerting_parts(server, channel)
    assert are_silent(parts)
    told = results(server, parts)
    assert told["fieldtrail-alerts"] == "installed"
    assert told.get("fieldtrail") == (
        "left out: the server has no plugin opensearch-notifications" if channel is not None else None
    )


def test_without_the_alerting_plugin_all_of_them_are_left_out():
    server = Alerting(plugins=())
    told = set(results(server, alerting_parts(server, None)).values())
    assert told == {"left out: the server has no plugin opensearch-alerting"}
    assert server.writes == []
