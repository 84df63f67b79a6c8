"""Alerting monitors: `mappings/opensearch/monitors.yaml` as the bodies that OpenSearch's Alerting plugin takes.

Every monitor is a bucket-level one: one alert for each agent, input, output or source that a trigger finds, so that two
agents that fail are two alerts and the one that recovers closes its own. Facts: the Alerting plugin's documentation
("Monitors", "API") and its source for 2.12 to 3.x.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import mappings
from shipper.errors import UnavailableError
from shipper.siem.channels import CHANNEL_ID, channel_parts, has_channel
from shipper.siem.channels import PLUGIN as NOTIFICATIONS
from shipper.siem.install import Part, Stored, installed_plugins

if TYPE_CHECKING:
    from mappings import MonitorFacts, TriggerFacts
    from shipper.outputs._opensearch_client import Client

_BASE: Final = "/_plugins/_alerting/monitors"
_PREFIX: Final = "fieldtrail-"
"""How ids of ours begin, of triggers and of actions. Alerts hang on the trigger's id: it must stay what it is."""

_BUCKETS: Final = "by"
_PAGE: Final = 500
_UNITS: Final = {"m": ("MINUTES", 1), "h": ("HOURS", 60), "d": ("DAYS", 1440)}


def monitors(*, channel: bool = True) -> dict[str, dict[str, Any]]:
    """Monitor name -> body. `channel`: with actions that send by the notification channel `fieldtrail`."""
    version, facts = mappings.monitors()
    return {_PREFIX + one.id: _monitor(one, version, channel=channel) for one in facts}


def monitor_parts(*, channel: bool = True) -> list[Part]:
    """All monitors. Without `channel` they get no actions: alerts then show in the Alerting page alone.

    Actions that a stored monitor has stay as they are without `channel`.
    """
    return [Part(MonitorKind(channel=channel), monitors(channel=channel))]


def alerting_parts(client: Client, channel: Mapping[str, Any] | None) -> list[Part]:
    """The channel of `--notify` (`channel_of`), if any, and the monitors, which send by it or by one that is there.

    `UnavailableError`.
    """
    if channel is None:
        return monitor_parts(channel=has_channel(client))
    plugins = installed_plugins(client)
    known = plugins is None or NOTIFICATIONS in plugins
    return [*channel_parts(channel), *monitor_parts(channel=known)]


def are_silent(parts: Sequence[Part]) -> bool:
    """Whether monitors are among these parts that send no message to anybody."""
    return any(isinstance(part.kind, MonitorKind) and not part.kind.channel for part in parts)


# -- bodies ------------------------------------------------------------------------------------------------------------


def _monitor(facts: MonitorFacts, version: int, *, channel: bool) -> dict[str, Any]:
    period = _period(facts.every)
    sources = [{name: {"terms": {"field": field}}} for name, field in facts.by.items()]
    buckets: dict[str, Any] = {"composite": {"size": _PAGE, "sources": sources}}
    # Left out where it is empty, as the server does.
    if figures := {name: made for name, figure in facts.figures.items() if (made := _figure(figure))}:
        buckets["aggregations"] = figures
    query = {
        "size": 0,
        "query": {"bool": {"filter": [*_conditions(facts.where), _since(facts.window)]}},
        "aggregations": {_BUCKETS: buckets},
    }
    return {
        "type": "monitor",
        "name": _PREFIX + facts.id,
        "monitor_type": "bucket_level_monitor",
        "enabled": True,
        "schedule": {"period": period},
        "inputs": [{"search": {"indices": list(facts.indices), "query": query}}],
        "triggers": [_trigger(facts, trigger, channel=channel) for trigger in facts.triggers],
        # Kept by the plugin as it is. Its pages read `schedule`; the version is for us.
        "ui_metadata": {
            "fieldtrail": {"version": version},
            "schedule": {"frequency": "interval", "period": period},
        },
    }


def _trigger(facts: MonitorFacts, trigger: TriggerFacts, *, channel: bool) -> dict[str, Any]:
    identity = f"{_PREFIX}{facts.id}" + (f"-{trigger.id}" if trigger.id else "")
    return {
        "bucket_level_trigger": {
            "id": identity,
            "name": " ".join(filter(None, (facts.name, trigger.id))),
            "severity": str(trigger.severity),
            "condition": {
                "buckets_path": {name: _path(name, figure) for name, figure in facts.figures.items()},
                "parent_bucket_path": _BUCKETS,
                "script": {"source": trigger.when, "lang": "painless", "params": dict(trigger.limits)},
                "gap_policy": "insert_zeros",
            },
            "actions": list(_actions(facts, trigger, identity)) if channel else [],
        }
    }


def _actions(facts: MonitorFacts, trigger: TriggerFacts, identity: str) -> Iterator[dict[str, Any]]:
    """One that tells, and where it lasts one that says that it is over.

    Two, because the plugin counts the throttling of an action and not of what it says: a recovery would be kept back.
    """
    keys = ", ".join(facts.by)
    steps = "\n".join(f"  {step}" for step in trigger.next)
    # {{{…}}}: as it is; with two braces the plugin would escape it for JSON. Of an error, and of more alerts at once
    # than its limit (50), the plugin has every action tell, whatever it is for: so each text holds for both.
    failing = "{{#ctx.error}}The monitor itself fails: {{{ctx.error}}}\n{{/ctx.error}}"
    message = (
        f"{failing}{{{{^ctx.error}}}}{trigger.what}\n{{{{/ctx.error}}}}"
        f"{{{{#ctx.newAlerts}}}}{keys}: {{{{{{bucket_keys}}}}}}\n{{{{/ctx.newAlerts}}}}"
        f"{{{{#ctx.dedupedAlerts}}}}{keys}: {{{{{{bucket_keys}}}}}} (again; since {{{{start_time}}}} ms of Unix time)\n"
        "{{/ctx.dedupedAlerts}}"
        "Seen at {{ctx.periodEnd}}, severity {{ctx.trigger.severity}}. What to type next:\n"
        f"{steps}\n"
    )
    lasting = trigger.repeat is not None
    yield _action(
        identity,
        "Fieldtrail: {{ctx.trigger.name}}",
        message,
        ["NEW", "DEDUPED"] if lasting else ["NEW"],
        minutes(trigger.repeat) if trigger.repeat is not None else None,
    )
    if lasting:
        over = (
            f"{failing}{{{{ctx.trigger.name}}}}\n"
            f"{{{{#ctx.completedAlerts}}}}No longer so: {keys}: {{{{{{bucket_keys}}}}}}\n{{{{/ctx.completedAlerts}}}}"
            "Seen at {{ctx.periodEnd}}.\n"
        )
        yield _action(
            f"{identity}-over",
            "Fieldtrail: {{ctx.trigger.name}}{{^ctx.error}}: over{{/ctx.error}}",
            over,
            ["COMPLETED"],
            None,
        )


def _action(
    identity: str, subject: str, message: str, categories: Sequence[str], throttle: int | None
) -> dict[str, Any]:
    action: dict[str, Any] = {
        "id": identity,
        "name": identity,
        "destination_id": CHANNEL_ID,
        "subject_template": {"source": subject, "lang": "mustache"},
        "message_template": {"source": message, "lang": "mustache"},
        "throttle_enabled": throttle is not None,
        "action_execution_policy": {"action_execution_scope": {"per_alert": {"actionable_alerts": list(categories)}}},
    }
    if throttle is not None:
        action["throttle"] = {"value": throttle, "unit": "MINUTES"}
    return action


def _figure(figure: Mapping[str, Any]) -> dict[str, Any] | None:
    """The aggregation of a figure; None for the number of documents, which every bucket has."""
    conditions = list(_conditions(figure.get("where", {})))
    if "within" in figure:
        conditions.append(_since(figure["within"]))
    metric = _metric(figure)
    if not conditions:
        return metric
    made: dict[str, Any] = {"filter": {"bool": {"filter": conditions}}}
    if metric is not None:
        made["aggregations"] = {"value": metric}
    return made


def _metric(figure: Mapping[str, Any]) -> dict[str, Any] | None:
    for kind in ("sum", "min", "max"):
        if kind in figure:
            return {kind: {"field": figure[kind]}}
    assert "count" in figure, "a figure counts, adds up, or takes the smallest or largest"
    return None


def _path(name: str, figure: Mapping[str, Any]) -> str:
    """Where a trigger finds the figure in a bucket."""
    filtered = "where" in figure or "within" in figure
    if "count" in figure:
        return f"{name}>_count" if filtered else "_count"
    return f"{name}>value" if filtered else name


def _conditions(where: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for field, value in where.items():
        if isinstance(value, Mapping):
            yield {"range": {field: {"gt": value["above"]}}}
        elif value == "there":
            yield {"exists": {"field": field}}
        elif isinstance(value, list):
            yield {"terms": {field: value}}
        else:
            yield {"term": {field: {"value": value}}}


def _since(window: str) -> dict[str, Any]:
    """Documents of the window before the run. `{{period_end}}` is filled in by the plugin, in milliseconds."""
    return {"range": {"@timestamp": {"gte": f"{{{{period_end}}}}||-{minutes(window)}m", "format": "epoch_millis"}}}


def _period(text: str) -> dict[str, Any]:
    unit, _ = _UNITS[text[-1]]
    return {"interval": int(text[:-1]), "unit": unit}


def minutes(text: str) -> int:
    """`90m`, `24h` or `8d` in minutes."""
    return int(text[:-1]) * _UNITS[text[-1]][1]


# -- on the server -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MonitorKind:
    """Monitors by name: the plugin chooses ids itself, so one is looked for before it is written.

    An update keeps what belongs to the operator: whether the monitor is switched on, the limits of its triggers, and
    actions that are not ours (without `channel`: all actions).
    """

    channel: bool
    label: str = "monitor"
    plugin: str | None = "opensearch-alerting"

    def path(self, name: str) -> str:
        """Where a new one is sent to; the plugin gives it an id."""
        del name
        return _BASE

    def read(self, client: Client, name: str) -> Stored | None:
        """The monitor of this name, ours first where there are several. `handle`: (id, sequence number, term).

        `UnavailableError` where only somebody else's has the name: it is not ours to replace.
        """
        op = f"read {name}"
        query = {"size": 100, "query": {"term": {"monitor.name.keyword": name}}}
        # Before the first monitor the plugin has no index, and says 404.
        found = client.ask(op, "POST", f"{_BASE}/_search", body=query, absent=True)
        hits = found["hits"]["hits"] if found else []
        same = [hit for hit in hits if _inner(hit["_source"]).get("name") == name]
        if not same:
            return None
        chosen = min(same, key=lambda hit: (not _is_ours(_inner(hit["_source"])), hit["_id"]))
        told = client.ask(op, "GET", f"{_BASE}/{chosen['_id']}", absent=True)
        if told is None:
            return None
        there = told["monitor"]
        if not _is_ours(there) and self.version(there) is None:
            hint = f"rename the monitor {told['_id']}, and call setup again"
            raise UnavailableError(op, client.place, f"another monitor has the name {name}", hint)
        return Stored(there, (told["_id"], told["_seq_no"], told["_primary_term"]))

    def write(self, client: Client, name: str, body: Mapping[str, Any], stored: Stored | None) -> None:
        """Create it, or replace `stored`; `UnavailableError` where somebody else changed it in between."""
        if stored is None:
            client.ask(f"install {name}", "POST", _BASE, body=body)
            return
        identity, number, term = stored.handle
        params = {"if_seq_no": str(number), "if_primary_term": str(term)}
        body = self.merged(body, stored.body)
        client.ask(f"update {name}", "PUT", f"{_BASE}/{identity}", body=body, params=params)

    def merged(self, body: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
        """Our body with what of the stored one belongs to the operator."""
        theirs = {trigger.get("id"): trigger for trigger in map(_trigger_of, there.get("triggers", ()))}
        triggers = []
        for ours in map(_trigger_of, body["triggers"]):
            old = theirs.get(ours["id"])
            if old is not None:
                params = _script(old).get("params") or {}
                limits = {key: params.get(key, value) for key, value in _script(ours)["params"].items()}
                condition = {**ours["condition"], "script": {**_script(ours), "params": limits}}
                foreign = [one for one in old.get("actions", ()) if not (self.channel and _ours(one))]
                ours = {**ours, "condition": condition, "actions": [*ours["actions"], *foreign]}  # noqa: PLW2901 - a new one
            triggers.append({"bucket_level_trigger": ours})
        return {**body, "enabled": bool(there.get("enabled", True)), "triggers": triggers}

    def normal(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What setup decides: without what the server adds, writes otherwise, or leaves to the operator."""
        triggers = map(_trigger_of, body.get("triggers", ()))
        return {
            "name": body.get("name"),
            "monitor_type": body.get("monitor_type"),
            "schedule": body.get("schedule"),
            "inputs": [_plain(one) for one in body.get("inputs", ())],
            "triggers": {str(trigger.get("id")): self._normal_trigger(trigger) for trigger in triggers},
        }

    def _normal_trigger(self, trigger: Mapping[str, Any]) -> dict[str, Any]:
        condition = {name: value for name, value in trigger.get("condition", {}).items() if name != "script"}
        script = _script(trigger)
        return {
            "name": trigger.get("name"),
            "severity": trigger.get("severity"),
            "condition": {**condition, "when": script.get("source"), "limits": sorted(script.get("params") or ())},
            "actions": {
                str(action["id"]): _normal_action(action)
                for action in trigger.get("actions", ())
                if self.channel and _ours(action)
            },
        }

    def version(self, body: Mapping[str, Any]) -> int | None:
        """The version that setup wrote; None for a monitor that was saved in Dashboards since."""
        mark = (body.get("ui_metadata") or {}).get("fieldtrail")
        number = mark.get("version") if isinstance(mark, Mapping) else None
        return number if isinstance(number, int) else None


def _inner(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """The monitor in a search hit; some versions wrap it."""
    inner = source.get("monitor")
    return inner if isinstance(inner, Mapping) else source


def _is_ours(monitor: Mapping[str, Any]) -> bool:
    return any(str(_trigger_of(one).get("id", "")).startswith(_PREFIX) for one in monitor.get("triggers", ()))


def _trigger_of(wrapped: Mapping[str, Any]) -> Mapping[str, Any]:
    """A trigger without the name of its type around it."""
    inner = wrapped.get("bucket_level_trigger")
    return inner if isinstance(inner, Mapping) else wrapped


def _script(trigger: Mapping[str, Any]) -> Mapping[str, Any]:
    found = trigger.get("condition", {}).get("script")
    return found if isinstance(found, Mapping) else {}


def _ours(action: Mapping[str, Any]) -> bool:
    return str(action.get("id", "")).startswith(_PREFIX)


def _normal_action(action: Mapping[str, Any]) -> dict[str, Any]:
    scope = action.get("action_execution_policy", {}).get("action_execution_scope", {})
    return {
        **{name: action.get(name) for name in ("name", "destination_id", "throttle_enabled", "throttle")},
        "subject": action.get("subject_template", {}).get("source"),
        "message": action.get("message_template", {}).get("source"),
        "told": sorted(scope.get("per_alert", {}).get("actionable_alerts", ())),
    }


_DEFAULTS: Final[Mapping[str, Any]] = {
    "boost": 1.0,
    "adjust_pure_negative": True,
    "missing_bucket": False,
    "order": "asc",
    "to": None,
    "include_upper": True,
}
"""What the server writes into a query beside what was sent (OpenSearch 3.8), left out before comparing."""


def _plain(value: Any) -> Any:
    """A query as we write it, from one that the server wrote."""
    if isinstance(value, Mapping):
        out = {name: _plain(one) for name, one in value.items() if not (name in _DEFAULTS and one == _DEFAULTS[name])}
        if "include_lower" in out:
            out["gte" if out.pop("include_lower") else "gt"] = out.pop("from", None)
        return out
    return [_plain(one) for one in value] if isinstance(value, list) else value
