"""Fieldtrail change, a JSON body of our own: any application or automation says who changed what, with old and new.

**What the source records.** What you put into it: this is the format for systems whose own log cannot tell old values,
and for automations (Make.com, Zapier, n8n, a script) that know both sides of a change because they make it. A missing
fact is said in `trail.missing`, so send what you know and leave out the rest: a wrong value is worse than none.

**How to get it out.** Post it to an input of type `webhook` ([webhooks](../howto/webhooks.md)), which answers 2xx once it is
durable; or write one body per line to a file that an input of format `fieldtrail_change` reads.

```sh
body='{"fieldtrail_change":1,"actor":{"id":"7"},"object":{"type":"employee","id":"7711"},"changes":[{"field":"salary","old":90000,"new":120000}]}'
now=$(date +%s)
mac=$(printf '%s.%s' "$now" "$body" | openssl dgst -sha256 -hmac "$(cat changes.key)" | sed 's/.* //')
curl -sS https://audit.co.example/in/changes -H 'Content-Type: application/json' -H "X-Fieldtrail-Signature: t=$now,v1=$mac" -d "$body"
```

In Make.com import the scenario that reads before, writes, reads after and posts both, signed
([how-to](../howto/make.md)). Send the id of the source's event as `id`.

**One line in**: one body, an array of them, or `{"events": [ … ]}`.

```json
{"fieldtrail_change":1,"id":"c-812","time":"2026-03-01T17:04:05Z","actor":{"id":"7","name":"kim@co.example","type":"user"},"ip":"198.51.100.9","session":"s-4","interface":"ui","object":{"type":"employee","id":"7711","label":"Employee"},"action":"update","changes":[{"field":"salary","old":90000,"new":120000}],"reason":"yearly review","ticket":"HR-1204"}
```

| member | what it is | goes to |
|---|---|---|
| `fieldtrail_change` | `1`, the version of this layout; the only member that is always needed | - |
| `id` | your id of what was done in one go; one that is sent in two bodies is two events | `event.id`, `trail.operation.id` |
| `time` | ISO 8601, or a number of seconds (larger ones: milli-, microseconds); absent: the moment of receipt | `@timestamp` |
| `actor` | who: `id`, `name` (login), `full_name`, `email`, `type` (`user`, which is taken where there is none, `automation`, `api_key`, `system`, `unknown`), `on_behalf_of` (`id`, `name`, `full_name`, `email`: whose rights were used); a text is its `name` | `user.*`, `trail.actor.type`, `user.effective.*` |
| `ip`, `session`, `user_agent`, `request_id` | from where | `source.ip`, `trail.session.id`, `user_agent.original`, `http.request.id` |
| `interface` | `ui` `api` `import` `automation` `mobile` `sync` `system` | `trail.interface` |
| `object` | the record: `type`, `id`, `name`, `label` (the word for its type in messages), `url`, `owner_id` | `trail.object.*` |
| `action` | `create` `update` `delete` `restore` `merge` `view` `export` `import` `login` `logout` `run`, or a word of ours such as `role.grant`; absent: what the other members say | `event.action` |
| `code` | the source's own verb | `event.code` |
| `changes` | a list: `field`, `old`, `new` (any JSON value), `label`, `old_label`, `new_label` (readable names) | `trail.change.*` |
| `before`, `after` | instead of `changes`: the whole record, of which only what differs is shipped; `null`: there was none, there is none | `trail.change.*`, `trail.values` |
| `values` | an object: the values of a record that was created, deleted or seen whole | `trail.values` |
| `target` | the account that an action is about: `id`, `name`, `full_name`, `email` | `user.target.*` |
| `execution` | the automation's run: `platform`, `scenario_id`, `scenario_name`, `id`, `module`, `last_editor` | `trail.automation.*` |
| `export` | what left: `rows`, `bytes`, `format`, `objects` | `trail.export.*` |
| `reason`, `ticket`, `approver` | why it was done and who allowed it | `event.reason`, `trail.approval.*` |
| `outcome` | `success` `failure` `unknown` | `event.outcome` |
| `source` | the system that the record lives in (`keap`) | `service.name` |
| `tags`, `message` | words to find it by; a sentence, for what is no change | `tags`, `message` |
| `events` | the list, where several bodies are sent as one | - |

Every other member is kept in `trail.raw`, and so is a word that is not in the table. A member of a wrong type (a list
as `object.id`, a text as `changes`) refuses the body and names the member. Null and empty text mean *not given*, but
in `old`, `new`, `before`, `after` and `values`.

**What comes out.** One document per changed field: `add` where `old` is null, `remove` where `new` is. A change without
`old` has `old_state: unknown` and `derivation: new_only`; one with `"old": null` says that there was none. One
`record.create` or `record.delete` with its values; one document for everything else. An edit that changed nothing is
counted only. Passwords and keys are dropped by their names; a text in `message` or `reason` is yours to keep clean.
With `execution` and no `actor` the actor is the automation.

Missing: what your body leaves out. Options: none. The JSON Schema is in `docs/reference/fieldtrail_change.md`.
"""  # noqa: E501 - a table row and a log line have no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import ABSENT, ACTORS, OUTCOMES, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import Items, clean_ip, decode, each, is_text, peek, scalar_text, take, take_time, unwrap
from parsers._values import diff

FORMAT: Final = Format(
    name="fieldtrail_change",
    module="app",
    dataset="app",
    vendor="application",
    title="Fieldtrail change, a JSON body that any application or automation can send",
    gives=Gives.of("who when ip session field old new logins exports"),
)
LITERALS: Final = (b'"fieldtrail_change"',)

_PERSON: Final = ("id", "name", "full_name", "email")
_TEXTS: Final = (
    *((("actor", "on_behalf_of", part), f"user.effective.{part}") for part in _PERSON),
    *((("actor", part), f"user.{part}") for part in _PERSON),
    *((("target", part), f"user.target.{part}") for part in _PERSON),
    (("session",), "trail.session.id"),
    (("user_agent",), "user_agent.original"),
    (("request_id",), "http.request.id"),
    (("object", "url"), "trail.object.url"),
    (("object", "owner_id"), "trail.object.owner_id"),
    (("execution", "platform"), "trail.automation.platform"),
    (("execution", "scenario_id"), "trail.automation.scenario.id"),
    (("execution", "scenario_name"), "trail.automation.scenario.name"),
    (("execution", "id"), "trail.automation.execution.id"),
    (("execution", "module"), "trail.automation.module"),
    (("execution", "last_editor"), "trail.automation.last_editor"),
    (("export", "format"), "trail.export.format"),
    (("reason",), "event.reason"),
    (("ticket",), "trail.approval.ticket"),
    (("approver",), "trail.approval.approver_id"),
    (("source",), "service.name"),
)
_OBJECTS: Final[tuple[tuple[str, ...], ...]] = (
    ("actor",),
    ("actor", "on_behalf_of"),
    ("target",),
    ("object",),
    ("execution",),
    ("export",),
    ("values",),
    ("before",),
    ("after",),
)
_LISTS: Final = ((("tags",), "tags"), (("export", "objects"), "trail.export.objects"))
_COUNTS: Final = ((("export", "rows"), "trail.export.rows"), (("export", "bytes"), "trail.export.bytes"))
_INTERFACES: Final = {
    **{word: word for word in ("ui", "api", "import", "automation", "mobile", "sync", "system")},
    **dict.fromkeys(("web", "browser"), "ui"),
    **dict.fromkeys(("rest", "graphql"), "api"),
}
_CREATE, _DELETE, _UPDATE = "record.create", "record.delete", "field.update"
_VERBS: Final = {
    **dict.fromkeys(("create", "created", "insert", "add"), _CREATE),
    **dict.fromkeys(("update", "updated", "edit", "change"), _UPDATE),
    **dict.fromkeys(("delete", "deleted", "remove"), _DELETE),
    **dict.fromkeys(("restore", "restored"), "record.restore"),
    **dict.fromkeys(("merge", "merged"), "record.merge"),
    **dict.fromkeys(("view", "viewed", "read"), "record.view"),
    **dict.fromkeys(("export", "exported", "download"), "data.export"),
    **dict.fromkeys(("import", "imported"), "data.import"),
    "login": "auth.login",
    "logout": "auth.logout",
    "run": "automation.run",
}
_is_ours = re.compile(
    r"(?:api|app|approval|audit|auth|automation|config|data|email|field|file|group|log|message|mfa|note|password|record"
    r"|report|role|session|tag|token|user|webhook)\.[a-z_]{2,32}"
).fullmatch
_EDITS: Final = frozenset({_UPDATE, "user.update", "config.update", "role.update"})
_LABELS: Final = ("label", "old_label", "new_label")


class _WrongTypeError(Exception):
    """A member of a wrong type; its text names the member."""


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One body, or several, see the module's text."""
    value = decode(record)
    if isinstance(value, Rejected):
        return value
    found = unwrap(value) if isinstance(value, dict) and "fieldtrail_change" in value else unwrap(value, "events")
    if isinstance(found, Items) and not found.items:
        return Rejected("events: an empty list")
    return each(found, _body)


def _body(item: dict[str, Any]) -> list[Operation] | Rejected:
    if "fieldtrail_change" not in item:
        return Rejected("no fieldtrail_change")
    if scalar_text(item["fieldtrail_change"]) != "1":
        return Rejected("fieldtrail_change: only version 1 is known")
    try:
        return [_operation(item)]
    except _WrongTypeError as error:
        return Rejected(str(error))


def _operation(item: dict[str, Any]) -> Operation:
    del item["fieldtrail_change"]
    if is_text(item.get("actor")):
        item["actor"] = {"name": item["actor"]}
    for path in _OBJECTS:
        value = peek(item, *path)
        if value is not ABSENT and value is not None and not isinstance(value, dict):
            raise _WrongTypeError(f"{'.'.join(path)}: no object")
        if isinstance(value, dict) and "" in value:
            raise _WrongTypeError(f"{'.'.join(path)}: a member without a name")
    op = Operation(action="log.message", kind="activity", raw=item)
    if _given(item, "time") is not None:
        op.time = take_time(item, "time")
    op.id, op.code = _text(item, "id"), _text(item, "code")
    op.object_type, op.object_id = _text(item, "object", "type"), _text(item, "object", "id")
    op.object_name, op.object_label = _text(item, "object", "name"), _text(item, "object", "label")
    op.message = _text(item, "message")
    for path, target in _TEXTS:
        text = _text(item, *path)
        if text is not None:
            op.fields[target] = text
    _lists(op, item)
    _where(op, item)
    _who(op, item)
    _what(op, item)
    # What only held members that were not given.
    for path in _OBJECTS:
        if peek(item, *path) in (None, {}):
            take(item, *path)
    return op


def _given(item: dict[str, Any], *path: str) -> Any:
    """A text or number at `path`, left in place; None where it is not given (null and empty text are taken away)."""
    value = peek(item, *path)
    if value is ABSENT:
        return None
    if value is None or (is_text(value) and not value.strip()):
        take(item, *path)
        return None
    if scalar_text(value) is None:
        raise _WrongTypeError(f"{'.'.join(path)}: neither text nor a number")
    return value


def _text(item: dict[str, Any], *path: str) -> str | None:
    value = _given(item, *path)
    return None if value is None else scalar_text(take(item, *path))


def _is_blank(value: Any) -> bool:
    """Null and a text of nothing but blanks mean *not given*."""
    return value is None or (isinstance(value, str) and not value.strip())


def _lists(op: Operation, item: dict[str, Any]) -> None:
    for path, target in _LISTS:
        value = peek(item, *path)
        if value is ABSENT:
            continue
        listed = [one for one in (value if isinstance(value, list) else [value]) if not _is_blank(one)]
        texts = [text for text in map(scalar_text, listed) if text is not None]
        if len(texts) < len(listed):
            raise _WrongTypeError(f"{'.'.join(path)}: no list of texts")
        take(item, *path)
        if texts:
            op.fields[target] = texts
    for path, target in _COUNTS:
        text = scalar_text(_given(item, *path))
        if text is None:
            continue
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            raise _WrongTypeError(f"{'.'.join(path)}: no whole number")
        take(item, *path)
        op.fields[target] = int(text)


def _where(op: Operation, item: dict[str, Any]) -> None:
    address = _given(item, "ip")
    if address is not None:
        if not is_text(address):
            raise _WrongTypeError("ip: no text")
        op.fields["source.ip"] = clean = clean_ip(address)
        if clean is None:
            del op.fields["source.ip"]  # some word or name: it stays in `raw`
        elif clean == address:
            del item["ip"]
    interface = _INTERFACES.get(str(_given(item, "interface")))
    if interface is not None:
        op.interface = interface
        _keep_if_other(item, interface, "interface")
    outcome = _given(item, "outcome")
    if outcome in OUTCOMES:
        op.outcome = take(item, "outcome")


def _keep_if_other(item: dict[str, Any], ours: str, *path: str) -> None:
    """Take a word away where it is the one that we write; another word for the same stays in `raw`."""
    if peek(item, *path) == ours:
        take(item, *path)


def _who(op: Operation, item: dict[str, Any]) -> None:
    kind = _given(item, "actor", "type")
    if kind in ACTORS:
        op.actor_type = take(item, "actor", "type")
        op.actor_confidence = "unknown" if op.actor_type == "unknown" else "asserted"
    elif kind is None and any(f"user.{part}" in op.fields for part in _PERSON):
        op.actor_type, op.actor_confidence = "user", "asserted"
    elif kind is None and any(name.startswith("trail.automation.") for name in op.fields):
        op.actor_type, op.actor_confidence = "automation", "asserted"
        op.interface = op.interface or "automation"


def _what(op: Operation, item: dict[str, Any]) -> None:
    changes = _changes(item)
    values = item.pop("values", None)
    word = _text(item, "action")
    action = _VERBS.get(word or "")
    if word is not None and action is None and _is_ours(word):
        action = word
    elif word is not None and op.code is None:
        op.code = word
    elif word is not None and word != op.code:
        item["action"] = word
    before, after = peek(item, "before"), peek(item, "after")
    if action is None:
        action = _told(changes, before, after, known=word is not None)
    if changes is not None and (before is not ABSENT or after is not ABSENT):
        raise _WrongTypeError("changes: either changes or before and after")
    op.action, op.kind = action, "change"
    if action in {_CREATE, _DELETE}:
        op.values = _whole(item, values, changes, created=action == _CREATE)
        return
    op.values = values or {}
    if changes is None and after is not ABSENT:
        changes = _compared(before, after)
        take(item, "before")
        take(item, "after")
    elif before is not ABSENT:
        raise _WrongTypeError("after: missing (null where the record is gone)")
    if changes is None:
        op.kind = "change" if action in _EDITS else "activity"
        return
    op.changes = changes
    op.no_change = not changes and action in _EDITS and not op.values


def _told(changes: list[Change] | None, before: Any, after: Any, *, known: bool) -> str:
    """The action, where the body names none that is ours."""
    if before is None and after not in (None, ABSENT):
        return _CREATE
    if after is None and before not in (None, ABSENT):
        return _DELETE
    if changes is not None or after is not ABSENT:
        return _UPDATE
    if known:
        return "log.message"
    raise _WrongTypeError("action: missing, and neither changes nor before and after tell it")


def _changes(item: dict[str, Any]) -> list[Change] | None:
    listed = item.get("changes")
    if listed is None:
        item.pop("changes", None)
        return None
    if not isinstance(listed, list):
        raise _WrongTypeError("changes: no list")
    found = []
    for position, entry in enumerate(listed):
        path = f"changes[{position}]"
        if not isinstance(entry, dict):
            raise _WrongTypeError(f"{path}: no object")
        try:
            field = _text(entry, "field")
            labels = {name: _text(entry, name) for name in _LABELS}
        except _WrongTypeError as error:
            raise _WrongTypeError(f"{path}.{error}") from None
        if field is None:
            raise _WrongTypeError(f"{path}.field: missing")
        old, new = entry.pop("old", UNKNOWN), entry.pop("new", UNKNOWN)
        derivation = "new_only" if old is UNKNOWN else "native"
        found.append(Change(field, old, new, derivation=derivation, **labels))
    if not any(listed):
        del item["changes"]  # else what is left of them stays, at its position
    return found


def _compared(before: Any, after: Any) -> list[Change]:
    if before is ABSENT:
        return [Change(name, UNKNOWN, value, derivation="new_only") for name, value in (after or {}).items()]
    return diff(before or {}, after or {}, sets=("tags",))


def _whole(
    item: dict[str, Any], values: dict[str, Any] | None, changes: list[Change] | None, *, created: bool
) -> dict[str, Any]:
    """The values of a record that was created or deleted, from the first of `values`, `after`/`before`, `changes`."""
    side = "after" if created else "before"
    if values is None and isinstance(item.get(side), dict):
        values = item.pop(side)
    found = values or {}
    for position, change in enumerate(changes or ()):
        here = "new" if created else "old"
        told = {name: value for name, value in change._asdict().items() if name in {"old", "new", *_LABELS}}
        if told[here] is not UNKNOWN and change.field not in found:
            found[change.field] = told.pop(here)
        rest = {name: value for name, value in told.items() if value is not UNKNOWN and value is not None}
        if rest:
            item.setdefault("changes", [{} for _ in changes or ()])[position].update({"field": change.field, **rest})
    return found
