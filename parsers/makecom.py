"""Make.com: audit logs of an organization or team, and execution logs of scenarios.

**What the source records.** An audit log entry says who (`actor`), when (`triggeredAt`), what (`eventName`) and to
which thing (`targetId`). What `details` holds is not documented by Make: where it shows old and new values in a
recognisable shape they become changes, otherwise it is kept whole. IP address and session are not documented. A
scenario log entry is one run: when, how long, how it ended, how many operations and bytes; no field, no old and no new
value.

**How to get it out.** Audit logs: **Enterprise plan**, kept for 12 months; `GET
https://eu1.make.com/api/v2/audit-logs/organization/{id}?pg[sortBy]=triggeredAt&pg[sortDir]=asc&dateFrom=…` (or
`/audit-logs/team/{id}`) with `Authorization: Token …`, scope `organization:read`, as organization owner or admin; the
date may count in whole days, so drop rows whose `uuid` you have. Scenario logs: `GET
/api/v2/scenarios/{id}/logs`, scope `scenarios:read`, one call per scenario. Calls a minute: 60 (Core), 120 (Pro), 240
(Teams), 1,000 (Enterprise). Append each row, or each whole answer, as one line to a file.

**One line in**: one entry, an array of entries, or an answer `{"auditLogs": […]}` or `{"scenarioLogs": […]}`.

```json
{"uuid":"c37c7292-35cd-4dc4-9113-21b23beaea7d","triggeredAt":"2026-03-14T12:34:56Z","eventName":"webhook_updated","organization":{"id":11,"name":"Acme"},"actor":{"id":7,"name":"Ann","email":"ann@acme.example"},"targetId":"654"}
{"imtId":"1773491696497_scenario.1229.auto.da518adcd14b4b64","id":"da518adcd14b4b64","status":1,"duration":19979,"operations":10,"transfer":3942,"type":"auto","authorId":null,"timestamp":"2026-03-14T12:34:56.497Z"}
```

**What comes out.** Of an audit entry one event, or one per changed field: `eventName` is read as `<noun>_<verb>`
(`key_created` -> `token.create`, `connection_created` -> `app.connect`, `webhook_disabled` -> `webhook.disable`,
`scenario_updated` -> `automation.edit`, `user_invited` -> `user.invite`, others -> `config.create`, `.update` or
`.delete`) and stays in `event.code`. Recognised in `details`:
`{"name": {"old": …, "new": …}}`, `{"before": {…}, "after": {…}}`, `{"changes": [{"field": …, "old": …, "new": …}]}`,
and the pairs `from`/`to`, `oldValue`/`newValue`, `previous`/`current` in their place. Of a scenario log entry one
`automation.run`: status 1 is success, 2 success with `event.reason` "warning", 3 failure; `event.duration` in ns.

`trail.missing` holds `source.ip`, `trail.session.id`, for audit entries `trail.interface`, and the parts of the change
where `details` does not tell them. What is not mapped is in `trail.raw`. Options: none.
"""

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import ABSENT, UNKNOWN, Change, Context, Format, Operation, Rejected, Time
from parsers._json import (
    SAFE_INTEGER,
    each,
    is_text,
    peek,
    read,
    same,
    scalar_text,
    snake,
    take,
    take_ip,
    take_text,
    take_time,
)

FORMAT: Final = Format(
    name="makecom",
    module="makecom",
    vendor="Make",
    title="Make.com, audit logs and scenario logs",
    missing=("source.ip", "trail.session.id"),
)

LITERALS: Final = (b'"eventName"', b'"imtId"', b'"auditLogs"', b'"scenarioLogs"')

_WRAPPERS: Final = ("auditLogs", "auditLog", "scenarioLogs", "scenarioLog")
_AUDIT_MEMBERS: Final = ("uuid", "triggeredAt", "actor", "organizationId", "organization", "team", "targetId")

_NOT_TOLD: Final = ("trail.change.field", "trail.change.old", "trail.change.new")

_MOVES: Final = {
    **dict.fromkeys(("created", "added", "joined", "cloned", "imported", "installed", "assigned", "granted"), "made"),
    **dict.fromkeys(("deleted", "removed", "revoked", "left", "uninstalled", "unassigned"), "gone"),
    **dict.fromkeys(("disabled", "deactivated", "suspended", "blocked", "stopped"), "off"),
    **dict.fromkeys(("enabled", "activated", "reactivated", "started", "unblocked"), "on"),
    "invited": "invited",
}
"""Verbs of `eventName` -> what they come to; every other verb is a change."""

_TOKEN: Final = {"made": "token.create", "gone": "token.revoke", "": "token.update"}
_WEBHOOK: Final = {"made": "webhook.create", "gone": "webhook.delete", "off": "webhook.disable", "": "webhook.update"}
_MEMBER: Final = {"made": "group.add", "gone": "group.remove", "": "user.update"}
_GRANT: Final = {"made": "role.grant", "gone": "role.revoke", "": "role.grant"}
_CONFIG: Final = {"made": "config.create", "gone": "config.delete", "": "config.update"}
_USER: Final = {
    "made": "user.create",
    "invited": "user.invite",
    "gone": "user.delete",
    "off": "user.disable",
    "on": "user.enable",
    "": "user.update",
}
_AUTOMATION: Final = {
    "made": "automation.create",
    "gone": "automation.delete",
    "off": "automation.disable",
    "on": "automation.enable",
    "": "automation.edit",
}
_NOUNS: Final = {
    "key": _TOKEN,
    "token": _TOKEN,
    "connection": {"made": "app.connect", "gone": "app.disconnect", "": "app.update"},
    "webhook": _WEBHOOK,
    "hook": _WEBHOOK,
    "scenario": _AUTOMATION,
    "user": _USER,
    "member": _USER,
    "team_user": _MEMBER,
    "team_member": _MEMBER,
    "team": {"made": "group.create", "gone": "group.delete", "": "group.update"},
    "role": {"made": "role.create", "gone": "role.delete", "": "role.update"},
    "user_role": _GRANT,
    "member_role": _GRANT,
    "permission": _GRANT,
    "audit_log": {"off": "audit.disable", "gone": "audit.disable", "on": "audit.enable", "": "config.update"},
}
"""Noun of `eventName`, or how it ends (`team_scenario` is a `scenario`) -> our actions."""
_ACCOUNTS: Final = frozenset({"user", "member", "organization_user", "organization_member", "user_role", "member_role"})
"""Nouns whose `targetId` is an account; of `team_user` it may be the team's."""

_PAIRS: Final = (
    ("old", "new"),
    ("before", "after"),
    ("from", "to"),
    ("oldValue", "newValue"),
    ("previous", "current"),
)
_FIELD_NAMES: Final = ("field", "key", "name", "property")

_SCENARIO: Final = re.compile(r"_scenario\.(\d+)\.").search
_IMT_TIME: Final = re.compile(r"(\d{13})_").match
_STATUS: Final = {
    "0": "unknown",
    "1": "success",
    "2": "success",
    "3": "failure",
    "RUNNING": "unknown",
    "SUCCESS": "success",
    "WARNING": "success",
    "ERROR": "failure",
}


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of audit or scenario logs, see the module's text."""
    found = read(record, *_WRAPPERS)
    if not isinstance(found, Rejected) and not found.items:
        return [Operation(action="config.update", kind="audit", no_change=True)]
    return each(found, _one)


def _one(item: dict[str, Any]) -> list[Operation] | Rejected:
    if is_text(item.get("imtId")) and ("status" in item or "duration" in item):
        return [_run(item)]
    if is_text(item.get("eventName")) and sum(name in item for name in _AUDIT_MEMBERS) >= 2:
        return [_audit(item)]
    return Rejected(
        "neither a Make audit log entry (eventName, uuid, actor …) nor a scenario log entry (imtId, status)"
    )


# -- audit log --------------------------------------------------------------------------------------------------------


def _audit(item: dict[str, Any]) -> Operation:
    code: str = item.pop("eventName")
    op = Operation(action="config.update", kind="audit", code=code, time=take_time(item, "triggeredAt"))
    op.id = take_text(item, "uuid")
    _actor(op, item)
    _organization(op, item)
    noun, verb = _words(code)
    op.object_type = "user" if noun in _ACCOUNTS else noun or None
    op.object_id = take_text(item, "targetId")
    op.action = _action(noun, verb)
    if isinstance(item.get("details"), dict):
        op.changes = _changes(item["details"])
        if op.changes and not item["details"]:
            del item["details"]
    if not op.changes and op.action.endswith((".update", ".edit")):
        op.missing = _NOT_TOLD
    op.raw = item
    return op


def _words(code: str) -> tuple[str, str]:
    """`eventName` as noun and verb: `team_variable_created` -> `team_variable`, `created`."""
    name = snake(code)
    for ending, verb in (("log_in", "login"), ("login", "login"), ("log_out", "logout"), ("logout", "logout")):
        if name.endswith(ending):
            return name.removesuffix(ending).rstrip("_"), verb
    for ending, verb in (("logged_in", "login"), ("signed_in", "login"), ("logged_out", "logout")):
        if name.endswith(ending):
            return name.removesuffix(ending).rstrip("_"), verb
    noun, _, verb = name.rpartition("_")
    return noun, verb


def _action(noun: str, verb: str) -> str:
    """Our action for a noun and a verb of Make's; `config.update` for those that are not known."""
    if verb in {"login", "logout"}:
        return f"auth.{verb}"
    if verb in {"exported", "downloaded"}:
        return "data.export"
    if noun == "role" and verb in {"assigned", "granted", "revoked", "unassigned"}:
        noun = "user_role"
    words = noun.split("_")
    if words[-1] == "scenario" and verb in {"run", "executed"}:
        return "automation.start"
    endings = ("_".join(words[start:]) for start in range(len(words)))
    actions = next((_NOUNS[ending] for ending in endings if ending in _NOUNS), _CONFIG)
    return actions.get(_MOVES.get(verb, ""), actions[""])


def _actor(op: Operation, item: dict[str, Any]) -> None:
    actor = item.get("actor")
    if isinstance(actor, dict):
        for field, name in (("user.id", "id"), ("user.full_name", "name"), ("user.name", "username")):
            text = take_text(item, "actor", name)
            if text is not None:
                op.fields[field] = text
        email = peek(item, "actor", "email")
        if is_text(email) and "@" in email:
            op.fields["user.email"] = take(item, "actor", "email")
    else:
        text = scalar_text(actor)
        if text is not None and text.isdigit():
            op.fields["user.id"] = take_text(item, "actor")
        elif text is not None and "@" in text:
            op.fields["user.email"] = take_text(item, "actor")
    if op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"
    for path in (("actor", "ip"), ("actor", "ipAddress"), ("ip",), ("ipAddress",)):
        address = take_ip(item, *path)
        if address is not None:
            op.fields["source.ip"] = address
            break


def _organization(op: Operation, item: dict[str, Any]) -> None:
    identity = take_text(item, "organization", "id") or take_text(item, "organizationId")
    if identity is not None:
        op.fields["organization.id"] = identity
        if scalar_text(item.get("organizationId")) == identity:
            del item["organizationId"]
    name = take_text(item, "organization", "name")
    if name is not None:
        op.fields["organization.name"] = name


# -- old and new values in `details`, whose shape Make does not document ----------------------------------------------


def _changes(details: dict[str, Any]) -> list[Change]:
    """The changes that `details` shows; what they carry is taken out of it."""
    listed = details.get("changes")
    changes: list[Change] = []
    if isinstance(listed, list):
        left = []
        for entry in listed:
            change = _entry(entry) if isinstance(entry, dict) else None
            if change is not None:
                changes.append(change)
            if change is None or len(entry) > 1:
                left.append(entry)
        listed = left
    elif isinstance(listed, dict):
        changes = _by_field(listed) or _two_states(listed)
    if changes:
        if listed:
            details["changes"] = listed
        else:
            del details["changes"]
        return changes
    changes = _two_states(details) or _by_field(details)
    if not changes and _pair(details) is not None and "name" not in details:
        single = _entry(details)
        if single is not None:
            changes = [single]
            if len(details) == 1:
                details.clear()
    return changes


def _pair(holder: dict[str, Any]) -> tuple[str, str] | None:
    return next((pair for pair in _PAIRS if pair[0] in holder and pair[1] in holder), None)


def _entry(entry: dict[str, Any]) -> Change | None:
    """`{"field": name, "old": …, "new": …}`; the values are taken out, the name stays to say whose the rest is."""
    name = next((name for name in _FIELD_NAMES if is_text(entry.get(name)) and entry[name]), None)
    if name is None:
        return None
    pair = _pair(entry)
    if pair is not None:
        return Change(entry[name], entry.pop(pair[0]), entry.pop(pair[1]))
    new = next((new for _, new in _PAIRS if new in entry), None)
    if new is None:
        return None
    return Change(entry[name], UNKNOWN, entry.pop(new), derivation="new_only")


def _by_field(holder: dict[str, Any]) -> list[Change]:
    """`{name: {"old": …, "new": …}, …}`; other members stay."""
    changes = []
    for name, value in list(holder.items()):
        pair = _pair(value) if name and isinstance(value, dict) and len(value) == 2 else None
        if pair is not None:
            changes.append(Change(name, value[pair[0]], value[pair[1]]))
            del holder[name]
    return changes


def _two_states(holder: dict[str, Any]) -> list[Change]:
    """`{"before": {…}, "after": {…}}`: the members that differ; equal ones stay, once, in the later state."""
    pair = _pair(holder)
    if pair is None:
        return []
    before, after = holder[pair[0]], holder[pair[1]]
    if not isinstance(before, dict) or not isinstance(after, dict):
        return []
    names = [name for name in dict.fromkeys((*before, *after)) if name]
    differing = [name for name in names if not same(before.get(name, ABSENT), after.get(name, ABSENT))]
    if not differing:
        return []
    changes = [Change(name, before.pop(name, ABSENT), after.pop(name, ABSENT)) for name in differing]
    for name in names:
        if name in after:
            before.pop(name, None)
    for state, rest in zip(pair, (before, after), strict=True):
        if not rest:
            del holder[state]
    return changes


# -- scenario log -----------------------------------------------------------------------------------------------------


def _run(item: dict[str, Any]) -> Operation:
    imt = item["imtId"]
    op = Operation(action="automation.run", kind="scenario", interface="automation", time=take_time(item, "timestamp"))
    started = _IMT_TIME(imt)
    if op.time is None and started:
        op.time = Time(int(started[1]), "epoch_ms")
    op.id = take_text(item, "id")
    op.fields["trail.automation.platform"] = "make"
    if op.id is not None:
        op.fields["trail.automation.execution.id"] = op.id
    scenario = _SCENARIO(imt)
    op.object_type = "scenario"
    op.object_id = take_text(item, "scenarioId") or (scenario[1] if scenario else None)
    if op.object_id is not None:
        op.fields["trail.automation.scenario.id"] = op.object_id
    name = take_text(item, "scenarioName")
    if name is not None:
        op.object_name = op.fields["trail.automation.scenario.name"] = name
    _result(op, item)
    author = take_text(item, "authorId")
    if author is not None:
        op.fields["user.id"] = author
    if item.get("type") != "manual":
        op.actor_type, op.actor_confidence = "automation", "asserted"
    elif author is not None:
        op.actor_type, op.actor_confidence = "user", "asserted"
    organization = take_text(item, "organizationId")
    if organization is not None:
        op.fields["organization.id"] = organization
    op.raw = item
    return op


def _result(op: Operation, item: dict[str, Any]) -> None:
    op.outcome = "unknown"
    status = scalar_text(item.get("status"))
    if status in _STATUS:
        op.outcome = _STATUS[status]
        del item["status"]
        if status in {"2", "WARNING"}:
            op.fields["event.reason"] = "warning"
    duration = item.get("duration")
    if isinstance(duration, int | float) and not isinstance(duration, bool) and 0 <= duration <= SAFE_INTEGER / 1e6:
        op.fields["event.duration"] = round(duration * 1_000_000)
        del item["duration"]
    for field, path in (
        ("error.message", ("error", "message")),
        ("error.type", ("error", "name")),
        ("trail.automation.module", ("error", "causeModule", "name")),
    ):
        text = take_text(item, *path)
        if text is not None:
            op.fields[field] = text
