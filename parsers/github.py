"""GitHub, audit log of an organization or enterprise: who did what to repositories, members, teams and settings.

**What the source records.** Who (`actor`, `actor_id`; a bot is marked), when, the action (`repo.create`), the
organization and repository, the user whom it is about, and for calls from programs how they signed in
(`programmatic_access_type`, `hashed_token`). For part of the actions the old value beside the new one
(`old_permission`, `previous_visibility`, `events_were`, `active_was`); elsewhere only that something was changed. The
IP address is there only if the owners turned its display on. No session is recorded.

**How to get it out.** Organization or enterprise owners: Settings > Logs > Audit log > Export gives a JSON or CSV file
of what the search shows; `GET /orgs/{org}/audit-log` and `GET /enterprises/{enterprise}/audit-log` (`include=all` for
Git events too) give pages of events, for enterprise plans; an enterprise can stream to object storage or a log service,
one event a line. Events are kept for **180 days**, Git events for **7 days**. Exports of Git events leave out what
began in a browser. The limit of calls an hour is not confirmed.

**One line in**: one event, an array of events, or a CSV export with its header line. Columns are told by their names;
that `actor_location.country_code` and its like are dotted there, and how times are written, is not confirmed.

```json
{"@timestamp":1767441600123,"_document_id":"d-1","action":"org.update_member","actor":"kim-q","actor_id":7,"org":"acme","org_id":11,"user":"lee-p","user_id":9,"permission":"admin","old_permission":"read","actor_ip":"198.51.100.9","operation_type":"modify","created_at":1767441600123}
```

**What comes out.** `event.id` is `_document_id`, `event.code` the action.

- Members and teams: `group.add`, `group.remove`, `user.invite`, `role.grant`, `role.revoke` (a lower permission is a
  `role.revoke`), `group.create` and their like, with `user.target.*`, `user.changes.roles` and `group.*`.
- Repositories and their content: `record.create`, `record.delete`, `field.update` with each field that has an old
  value; `git.clone` and `git.fetch` are `data.read`, `git.push` is `file.update`; an export is `data.export`.
- Settings (`protected_branch.*`, `*_enable`, policies, secrets by their names): `config.*`; hooks: `webhook.*`; tokens
  and keys: `token.*`; applications: `app.*`; workflows: `automation.*`; streaming of this log: `audit.*`.
- `user.login` and single sign-on: `auth.login`; calls of the API, where they are streamed: `api.request`.
- An action that is not known here follows GitHub's own `operation_type`, else it is `log.message`.

The actor is an automation if GitHub says that it is a bot, or its name ends in `[bot]` (an inference), or an
application's own token was used; a deploy key is an API key. The interface is `api` where a token or key was used, `ui`
where the user agent is a browser's. Where only one value is told (`visibility` of `repo.access`), the old one is
unknown. Members of `changes` are read as pairs (`from`/`to`, `old`/`new`, or `old_x` beside `x`), else as new values
(its shape is not confirmed). Secrets in addresses of hooks are dropped. What is not mapped is in `trail.raw`.

Missing: `trail.missing` holds `trail.session.id` always, `source.ip` and `user_agent.original` where an event has none,
and the parts of the change where an update names no field. Options: none.
"""

from __future__ import annotations

import re
from typing import Any, Final

from parsers import _github
from parsers._contract import ABSENT, CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._csv import row
from parsers._json import Items, each, is_text, peek, read, scalar_text, take, take_ip, take_text, take_time
from parsers._urls import clean_url, clean_urls

FORMAT: Final = Format(
    name="github",
    module="github",
    vendor="GitHub",
    title="GitHub, organization and enterprise audit log",
    missing=("trail.session.id", "user_agent.original"),
    framing="csv",
    gives=Gives.of("who when ip field old new logins exports"),
)  # fmt: skip
LITERALS: Final = (b"action", b"Action", b"ACTION")

_ACTION: Final = re.compile(r"[a-z][a-z0-9_]{0,80}(?:\.[a-z0-9_]{1,80}){1,3}").fullmatch
_OURS: Final = (
    "org", "business", "enterprise", "repo", "repository", "_document_id", "actor_location", "operation_type",
    "programmatic_access_type",
)  # fmt: skip
"""One of these stands beside the action and the time in every event."""
_COLUMNS: Final = {
    name.replace("_", ""): name
    for name in (
        "@timestamp", "_document_id", "action", "actor", "actor_id", "actor_ip", "actor_is_bot", "created_at", "org",
        "org_id", "business", "business_id", "repo", "repo_id", "repository", "repository_id", "user", "user_id",
        "team", "team_id", "user_agent", "operation_type", "programmatic_access_type", "hashed_token", "request_id",
        "token_id", "token_scopes", "permission", "old_permission", "visibility", "previous_visibility", "name",
        "transport_protocol_name", "external_identity_nameid", "actor_location.country_code",
    )
}  # fmt: skip
_PLAIN: Final = (
    ("request_id", "http.request.id"),
    ("user_agent", "user_agent.original"),
    ("request_method", "http.request.method"),
    ("url_path", "url.path"),
    ("status_code", "http.response.status_code"),
)
_PLACES: Final = (
    ("country_code", "source.geo.country_iso_code"),
    ("country_name", "source.geo.country_name"),
    ("region_name", "source.geo.region_name"),
    ("city", "source.geo.city_name"),
)
_TRUE: Final = frozenset({"true", "True", "TRUE", "1"})
_RANKS: Final = {
    "none": 0, "read": 1, "pull": 1, "triage": 2, "write": 3, "push": 3, "maintain": 4, "admin": 5, "owner": 6,
}  # fmt: skip
_NAMES: Final = {
    "repo": ("repo", "name"), "org": ("org", "login", "name"), "team": ("team", "name"), "user": ("user", "login"),
}  # fmt: skip
"""Type of the object -> fields that are its name."""
_ROLES: Final = frozenset({"permission", "repo_permission", "role", "org_role"})


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of the audit log or one row of its CSV export, see the module's text."""
    if record.lstrip()[:1] in {b"{", b"["}:
        return each(read(record), _object_of_json)
    found = row(record)
    return found if isinstance(found, Rejected) else each(_columns(found), _event)


def _object_of_json(item: dict[str, Any]) -> list[Operation] | Rejected:
    moment = item.get("@timestamp", item.get("created_at"))
    if not isinstance(moment, int) or isinstance(moment, bool) or moment < 10**11:
        return Rejected("no event of a GitHub audit log (@timestamp or created_at in milliseconds is needed)")
    if not any(name in item for name in _OURS):
        return Rejected("no event of a GitHub audit log (org, repo or another member of its own is needed)")
    return _event(item)


def _columns(cells: dict[str, str]) -> Items | Rejected:
    """A row as the object that the JSON export would hold; empty cells are absent members."""
    item: dict[str, Any] = {}
    names = {}
    for name in cells:
        plain = re.sub(r"[ _]", "", name.lower())
        names[name] = _COLUMNS.get(plain, name)
    known = set(names.values())
    if "action" not in known or not known & {"created_at", "@timestamp"} or "actor" not in known:
        return Rejected("no header of a GitHub audit log (action, actor and created_at are needed)")
    if not known & set(_OURS):
        return Rejected("no header of a GitHub audit log (org, repo or another column of its own is needed)")
    for name, text in cells.items():
        if not text:
            continue
        holder, _, leaf = names[name].partition(".")
        inner = item.setdefault(holder, {}) if leaf else item
        if isinstance(inner, dict):
            inner[leaf or holder] = text
        else:
            item[names[name]] = text
    return Items([item], {})


def _event(item: dict[str, Any]) -> list[Operation] | Rejected:
    action = item.get("action")
    if not is_text(action) or not _ACTION(action):
        return Rejected("no event of a GitHub audit log (an action such as repo.create is needed)")
    if isinstance(item.get("actor"), dict | list):
        return Rejected("no event of a GitHub audit log (its actor is a name)")
    clean_urls(item)
    del item["action"]
    op = Operation(action="log.message", kind="audit", code=action)
    op.time = take_time(item, "@timestamp")
    if op.time is None or item.get("created_at") == op.time.text:
        op.time = take_time(item, "created_at") or op.time
    op.id = take_text(item, "_document_id")
    for name, field in _PLAIN:
        text = take_text(item, name)
        if text is not None:
            op.fields[field] = text
    _who(op, item)
    found = _github.described(action, str(item.get("operation_type")))
    op.action, op.outcome = found.action, found.outcome
    _object(op, item, action)
    _changes(op, item, action)
    _details(op, item, action)
    op.raw = item
    return [op]


# -- who and from where -----------------------------------------------------------------------------------------------


def _who(op: Operation, item: dict[str, Any]) -> None:
    fields = op.fields
    name = take_text(item, "actor")
    for field, text in (("user.name", name), ("user.id", take_text(item, "actor_id"))):
        if text is not None:
            fields[field] = text
    identity = scalar_text(item.get("external_identity_nameid"))
    if identity is not None and "@" in identity:
        fields["user.email"] = take_text(item, "external_identity_nameid")
    address = take_ip(item, "actor_ip") or take_ip(item, "actor_location", "ip")
    if address is not None:
        fields["source.ip"] = address
    for place, field in _PLACES:
        text = take_text(item, "actor_location", place)
        if text is not None:
            fields[field] = text
    way = scalar_text(item.get("programmatic_access_type")) or ""
    agent = fields.get("user_agent.original", "")
    if way:
        op.interface = "api"
    elif agent.startswith("Mozilla/"):
        op.interface = "ui"
    bot = str(item.get("actor_is_bot")) in _TRUE or str(item.get("actor_is_agent")) in _TRUE
    if name is None:
        return
    op.actor_type, op.actor_confidence = "user", "asserted"
    if bot or "server-to-server" in way.lower():
        op.actor_type = "automation"
    elif name.endswith("[bot]"):
        op.actor_type, op.actor_confidence = "automation", "inferred"
        fields["trail.actor.basis"] = "the actor's name ends in [bot]"
    elif "deploy key" in way.lower():
        op.actor_type = "api_key"


# -- to what ----------------------------------------------------------------------------------------------------------


def _object(op: Operation, item: dict[str, Any], action: str) -> None:
    candidates = _github.objects(action, op.action)
    op.object_type = None if op.action.startswith("auth.") else candidates[0][0]
    for kind, ids, names in candidates:
        number = next((name for name in ids if scalar_text(item.get(name)) is not None), None)
        title = next((name for name in names if scalar_text(item.get(name)) is not None), None)
        if number is not None or title is not None:
            op.object_type = kind
            op.object_id = take_text(item, number) if number is not None else None
            op.object_name = take_text(item, title) if title is not None else None
            break
    organization = (("organization.id", "org_id"), ("organization.name", "org"))
    for field, name in organization:
        text = take_text(item, name)
        if text is None and op.object_type == "org":
            text = op.object_id if field.endswith("id") else op.object_name
        if text is not None:
            op.fields[field] = text
    iam = op.action.partition(".")[0] in {"group", "role", "user", "mfa", "password", "session"}
    if iam and op.object_type == "user" and op.object_name is not None:
        op.fields["user.target.name"] = op.object_name
    elif iam:
        for field, name in (("user.target.id", "user_id"), ("user.target.name", "user")):
            text = take_text(item, name)
            if text is not None:
                op.fields[field] = text
    if op.object_type == "team":
        for field, text in (("group.id", op.object_id), ("group.name", op.object_name)):
            if text is not None:
                op.fields[field] = text


# -- from what to what ------------------------------------------------------------------------------------------------


def _changes(op: Operation, item: dict[str, Any], action: str) -> None:
    op.changes = _github.pairs(item)
    data, told = item.get("data"), item.get("changes")
    if isinstance(data, dict):
        op.changes += _github.pairs(data)
        if not data:
            del item["data"]
    if isinstance(told, dict):
        op.changes += _github.told(told)
        if not told:
            del item["changes"]
    op.changes = [_renamed(op, change) for change in op.changes] or _github.single(action, op.action, item)
    _roles(op, item)
    told_of = op.action in _github.UPDATES
    if op.changes and op.action == "log.message":
        op.action = "config.update"
    elif told_of and not op.changes:
        op.missing = CHANGE_NOT_TOLD


def _renamed(op: Operation, change: Change) -> Change:
    """The object's name is that of now, so that both are known though the event says only the old one."""
    name = op.object_name
    if change.new is not UNKNOWN or name is None or change.field not in _NAMES.get(op.object_type or "", ()):
        return change
    new = name if "/" in str(change.old) else name.rpartition("/")[2]
    return change._replace(new=new, derivation="reconstructed")


def _roles(op: Operation, item: dict[str, Any]) -> None:
    """A changed permission of a user or team: which way it went, and the roles before and after."""
    change = next((change for change in op.changes if change.field in _ROLES), None)
    if change is None:
        if op.action in {"role.grant", "group.add"} and is_text(item.get("permission")):
            op.fields["user.changes.roles"] = [take(item, "permission")]
        return
    if op.action != "role.grant":
        return
    for field, value in (("user.target.roles", change.old), ("user.changes.roles", change.new)):
        if is_text(value):
            op.fields[field] = [value]
    old, new = _RANKS.get(str(change.old)), _RANKS.get(str(change.new))
    if change.new is None or new == 0 or (old is not None and new is not None and new < old):
        op.action = "role.revoke"


def _details(op: Operation, item: dict[str, Any], action: str) -> None:
    if action.startswith("git."):
        transport = take_text(item, "transport_protocol_name")
        if transport is not None:
            op.fields["network.protocol"] = transport.lower()
    elif op.action == "api.request":
        query = scalar_text(item.get("query_string"))
        if query is not None:
            op.fields["url.query"] = clean_url(query)
            del item["query_string"]
        status = op.fields.get("http.response.status_code", "")
        if status.isascii() and status.isdigit():
            op.outcome = "failure" if int(status) >= 400 else "success"
    elif op.action == "automation.run":
        outcome = _github.CONCLUSIONS.get(str(peek(item, "conclusion")))
        if outcome is not None:
            op.outcome = outcome
    elif action == "hook.active_changed" and op.changes and op.changes[0].new is False:
        op.action = "webhook.disable"
    if op.action.startswith("automation."):
        op.fields["trail.automation.platform"] = "github"
        for field, name in (
            ("trail.automation.scenario.id", "workflow_id"), ("trail.automation.execution.id", "workflow_run_id"),
        ):  # fmt: skip
            text = take_text(item, name)
            if text is None and name == "workflow_id" and op.object_type == "workflow":
                text = op.object_id
            if text is not None:
                op.fields[field] = text
        if op.object_type == "workflow" and op.object_name is not None:
            op.fields["trail.automation.scenario.name"] = op.object_name
    if op.action in {"record.create", "record.delete"}:
        for name in ("visibility", "description"):
            value = peek(item, name)
            if value is not ABSENT and not isinstance(value, dict | list):
                op.values[name] = take(item, name)
