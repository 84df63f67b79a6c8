"""Slack, Audit Logs API: who did what in the organization, from where, and which settings had which value before.

**What the source records.** Who (`actor`), when, the action (`user_login`), the object (`entity`: user, channel, file,
app, workspace, role, workflow …), the IP address, user agent and session, and `details`. Changed preferences carry the
old value beside the new one (`previous_value`/`new_value`), as do scopes, profiles and retention policies; other
actions tell at most the new state by their name. The content of messages is never told.

**How to get it out.** Enterprise Grid only. An app with the scope `auditlogs:read`, installed by an owner of the
organization, calls `GET https://api.slack.com/audit/v1/logs` (`limit` up to 9999, `oldest`, `cursor`; that limit is not
confirmed); 50 calls a minute for the whole organization. Append each answer, or each entry, as one line to a file. How
long entries are kept is not confirmed.

**One line in**: one entry, an array of entries, or an answer `{"entries": […], "response_metadata": {…}}`.

```json
{"id":"e-1","date_create":1770114600,"action":"pref.session_duration_changed","actor":{"type":"user","user":{"id":"W7","name":"Kim Q","email":"kim@acme.example"}},"entity":{"type":"workspace","workspace":{"id":"T1","name":"Acme","domain":"acme"}},"context":{"location":{"type":"workspace","id":"T1","name":"Acme","domain":"acme"},"ua":"Mozilla/5.0 (X11; Linux x86_64)","ip_address":"198.51.100.9","session_id":847288190092},"details":{"previous_value":"86400","new_value":"604800"}}
```

**What comes out.** `event.id` is the entry's id, `event.code` its action.

- `user_login`, `user_logout`, `user_session_reset_by_admin` and their like: `auth.*`, `session.revoke`.
- Accounts, roles and groups: `user.*`, `role.grant`, `role.revoke`, `group.*`; joining a channel is `group.add`.
  `role_change_to_admin` is a change of `role` whose old value is unknown.
- Files: `file.download`, `file.upload`, `record.share`; exports of any kind: `data.export`.
- `pref.*`: `config.update` of the preference; channels, messages, emoji: `record.*`, `field.update`; apps: `app.*`,
  `approval.*`; workflows: `automation.*`. An action that is not known here follows its last word, else it is
  `log.message`, as `anomaly` is (its reasons are `event.reason`).

The interface is `mobile` or `ui` where the user agent says so, `api` for the command line. Actor `USLACKUSER` is Slack
itself. Secrets in file addresses are dropped. What is not mapped is in `trail.raw`.

Missing: `trail.missing` holds whatever of address, user agent and session an entry lacks, `trail.interface` where
it cannot be told, and the parts of the change where an update names none. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers import _slack
from parsers._contract import ABSENT, CHANGE_NOT_TOLD, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import each, is_text, peek, read, snake, take, take_ip, take_text, take_time
from parsers._urls import clean_urls

FORMAT: Final = Format(
    name="slack",
    module="slack",
    vendor="Slack",
    title="Slack, Audit Logs API",
    missing=("user_agent.original",),
    gives=Gives.of("who when ip session field old new logins exports"),
)  # fmt: skip
LITERALS: Final = (b'"date_create"', b'"entries"')

_PERSON: Final = (("id", "id"), ("name", "full_name"), ("email", "email"))
_SLACK_ITSELF: Final = "USLACKUSER"
_IAM: Final = frozenset({"user", "role", "group", "session"})


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of the Audit Logs API, see the module's text."""
    found = read(record, "entries")
    if not isinstance(found, Rejected) and not found.items:
        if "response_metadata" not in found.rest:
            return Rejected("an empty list of entries that is no answer of the Slack Audit Logs API")
        return [Operation(action="log.message", kind="audit", no_change=True)]
    return each(found, _entry)


def _entry(item: dict[str, Any]) -> list[Operation] | Rejected:
    action, actor = item.get("action"), item.get("actor")
    if not (
        is_text(action)
        and action.strip()
        and "date_create" in item
        and isinstance(actor, dict)
        and is_text(actor.get("type"))
        and (isinstance(item.get("entity"), dict) or isinstance(item.get("context"), dict))
    ):
        return Rejected("no entry of the Slack Audit Logs API (action, date_create, actor and entity are needed)")
    clean_urls(item)
    del item["action"]
    op = Operation(action="log.message", kind="audit", code=action, time=take_time(item, "date_create"))
    op.id = take_text(item, "id")
    _who(op, item)
    op.action, op.outcome = _slack.described(action)
    _object(op, item)
    details = item.get("details")
    if isinstance(details, dict):
        if action == "anomaly":
            _reasons(op, details)
        else:
            op.changes = _slack.changes(action, details)
        _roles(op, item, details)
        if not details:
            del item["details"]
    op.changes = op.changes or _slack.said(action)
    if op.changes and op.action == "log.message":
        op.action = "config.update"
    if op.action in _slack.UPDATES and not op.changes:
        op.missing = CHANGE_NOT_TOLD
    op.raw = item
    return [op]


def _who(op: Operation, item: dict[str, Any]) -> None:
    if peek(item, "actor", "user", "id") == _SLACK_ITSELF:
        op.actor_type, op.actor_confidence, op.interface = "system", "asserted", "system"
    else:
        for name, field in _PERSON:
            text = take_text(item, "actor", "user", name)
            if text is not None:
                op.fields[f"user.{field}"] = text
        if item["actor"].get("type") == "user" and op.fields:
            take(item, "actor", "type")
            op.actor_type, op.actor_confidence = "user", "asserted"
    address = take_ip(item, "context", "ip_address")
    if address is not None:
        op.fields["source.ip"] = address
    agent = take_text(item, "context", "ua")
    if agent is not None:
        op.fields["user_agent.original"] = agent
        way = "ui" if agent.startswith("Mozilla/") else "mobile" if agent.startswith("com.tinyspeck.chatly") else None
        op.interface = op.interface or way
    if (op.code or "").startswith("cli_"):
        op.interface = "api"
    session = take_text(item, "context", "session_id")
    if session is not None:
        op.fields["trail.session.id"] = session
    for name, field in (("id", "organization.id"), ("name", "organization.name")):
        text = take_text(item, "context", "location", name)
        if text is not None:
            op.fields[field] = text


def _object(op: Operation, item: dict[str, Any]) -> None:
    kind = peek(item, "entity", "type")
    if op.action in {"config.create", "config.delete"}:
        thing = (op.code or "").rpartition("_")[0]
        if thing != kind:  # "idp_configuration_added" did not create the workspace that it names
            op.object_type = thing
            return
    if not is_text(kind) or not kind.strip() or not isinstance(peek(item, "entity", kind), dict):
        return
    take(item, "entity", "type")
    op.object_type = snake(kind)
    op.object_id = take_text(item, "entity", kind, "id")
    op.object_name = take_text(item, "entity", kind, "name") or take_text(item, "entity", kind, "title")
    family = op.action.partition(".")[0]
    if kind == "user" and family in _IAM:
        email = take_text(item, "entity", "user", "email")
        if email is not None:
            op.fields["user.target.email"] = email
        if family == "session":
            for field, text in (("user.target.id", op.object_id), ("user.target.full_name", op.object_name)):
                if text is not None:
                    op.fields[field] = text
    if kind == "file" and op.object_name is not None:
        op.fields["file.name"] = op.object_name
    if family == "group":
        for field, text in (("group.id", op.object_id), ("group.name", op.object_name)):
            if text is not None:
                op.fields[field] = text
    if family == "automation":
        op.fields["trail.automation.platform"] = "slack"
        for field, text in (
            ("trail.automation.scenario.id", op.object_id), ("trail.automation.scenario.name", op.object_name),
        ):  # fmt: skip
            if text is not None:
                op.fields[field] = text


def _roles(op: Operation, item: dict[str, Any], details: dict[str, Any]) -> None:
    """Of an assigned role the object is the person: the role is what was changed."""
    target = take_text(details, "target_user") if op.action.startswith("role.") else None
    if target is None:
        return
    role, number = op.object_name or op.object_id, op.object_id
    if role is not None and op.object_type != "user":
        if op.action == "role.grant":
            op.changes = [Change("role", new=role, derivation="new_only")]
        else:
            op.changes = [Change("role", role, ABSENT)]
        if number is not None and number != role:
            item.setdefault("entity", {}).setdefault("role", {})["id"] = number
    op.object_type, op.object_id, op.object_name = "user", target, None


def _reasons(op: Operation, details: dict[str, Any]) -> None:
    reasons = details.get("reason")
    if isinstance(reasons, list) and reasons and all(is_text(reason) for reason in reasons):
        op.fields["event.reason"] = ", ".join(reasons)
        del details["reason"]
