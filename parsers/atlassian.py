"""Atlassian, audit logs of Jira, Confluence and the organization: who changed which setting, from what to what.

**What the source records.** Four shapes. *Jira Cloud* (and Jira's older audit log on premises): a summary, the object,
associated items and `changedValues` with the value before and after; the author's account id and often the address.
*Confluence Cloud*: the same with names instead of ids. *Data Center* (Jira, Confluence, Bitbucket and others, as their
API answers and as the log file): author, type with category and action, affected objects, changed values with `from`
and `to`, address and way. *Organization* (admin.atlassian.com): action, actor, context and address, no values. Changes
of issues and pages are not in these logs, but for a few. None has a session or a user agent.

**How to get it out.** Jira Cloud: `GET /rest/api/3/auditing/record?offset=…&limit=1000` (permission Administer Jira; a
paid plan). Confluence Cloud: `GET /wiki/rest/api/audit?start=…&limit=1000` (Confluence administrator). Data Center: the
audit log's REST API, or the file in `log/audit/` of the home folder, one event a line (where the file lies is not
confirmed for every product). Organization: `GET https://api.atlassian.com/admin/v1/orgs/{orgId}/events` with an API key
(10 calls a minute), or its polling form `/events-stream`; events are kept for 180 days, export them before. Append each
answer, or each record, as one line to a file.

**One line in**: one record, an array of records, or an answer (`records`, `results`, `entities` or `data`).

```json
{"id":11895,"summary":"Customer permissions changed","remoteAddress":"198.51.100.9","authorAccountId":"5b10a2","created":"2026-02-03T10:30:00.123+0000","category":"projects","eventSource":"","objectItem":{"id":"10022","name":"Payroll","typeName":"PROJECT"},"changedValues":[{"fieldName":"Customer access","changedFrom":"Anyone","changedTo":"Only the team"}]}
```

**What comes out.** `event.dataset` is `atlassian.jira`, `.confluence`, `.datacenter` or `.organization`; `event.code` the
summary, or the action's key.

- The action is told from the words of the summary or key: `group.add` (`User added to group`), `user.*`, `role.grant`
  and `role.revoke` (permissions), `password.*`, `token.*`, `app.*`, `auth.*`, `data.export`, `record.search`,
  `webhook.*`, `audit.*`; else by its verb and the kind of object `record.*`/`field.update` (issues, pages, projects …)
  or `config.*`. Where no word is known it is `log.message`. Texts in other languages are told by their key only.
- Each changed value is one change; of something created or deleted they are the values. A side that is left out did
  not exist; `""` is an empty value. Where something in the object was created or deleted, not the object itself
  (`Request type deleted` of a project), it is `config.update` of the object. The fields have the names that the source shows (the key of the name, and hidden
  values of Confluence where they are not empty, stay in `trail.raw`).
- The user in a group's or role's change is `user.target.*`, the group `group.*`. Account -1 of Data Center is the
  system, -2 and -3 nobody (not confirmed for every product). `onBehalfOf` is `user.effective.*`.
- Data Center's `method` gives the interface. A list of addresses (`source` behind a proxy) stays in `trail.raw`.

Missing: `trail.missing` holds `trail.session.id` and `user_agent.original` always, author and address where a record
has none, `trail.interface` but for Data Center, and the parts of the change where an update names none. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers import _atlassian
from parsers._contract import Context, Format, Gives, Operation, Rejected, Time
from parsers._json import each, is_text, peek, read, scalar_text, take, take_ip, take_text, take_time

FORMAT: Final = Format(
    name="atlassian",
    module="atlassian",
    vendor="Atlassian",
    title="Atlassian, audit logs of Jira, Confluence, Data Center and the organization",
    missing=("trail.session.id", "user_agent.original"),
    gives=Gives.of("who when ip field old new logins exports"),
)  # fmt: skip
LITERALS: Final = (
    b'"objectItem"', b'"eventSource"', b'"creationDate"', b'"affectedObjects"', b'"attributes"', b'"records"',
    b'"pagingInfo"',
)  # fmt: skip

_EMPTY_PAGES: Final = ({"offset", "limit", "total"}, {"pagingInfo"})
"""What stands beside an empty list in an answer of Jira Cloud, of Data Center."""
_METHODS: Final = {"browser": "ui", "mobile": "mobile", "system": "system", "rest": "api", "api": "api"}
_NOBODY: Final = frozenset({"-2", "-3"})
_SYSTEM: Final = "-1"


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of any of the four shapes, see the module's text."""
    found = read(record, "records", "entities", "results", "data")
    if not isinstance(found, Rejected) and not found.items:
        if not any(names <= found.rest.keys() for names in _EMPTY_PAGES):
            return Rejected("an empty list that is no answer of an audit log of Atlassian")
        return [Operation(action="log.message", kind="audit", no_change=True)]
    return each(found, _record)


def _record(item: dict[str, Any]) -> list[Operation] | Rejected:
    if is_text(item.get("summary")) and is_text(item.get("category")):
        if "created" in item and (isinstance(item.get("objectItem"), dict) or "eventSource" in item):
            return [_finished(_jira(item), item)]
        if "creationDate" in item and isinstance(item.get("affectedObject"), dict):
            return [_finished(_confluence(item), item)]
    kind = item.get("auditType", item.get("type"))
    if (
        isinstance(item.get("affectedObjects"), list)
        and isinstance(kind, dict)
        and (is_text(kind.get("action")) or is_text(kind.get("actionI18nKey")))
        and isinstance(item.get("author"), dict)
    ):
        return [_finished(_datacenter(item), item)]
    inner = item.get("attributes")
    if (
        str(item.get("type")) in {"events", "event"}
        and isinstance(inner, dict)
        and is_text(inner.get("action"))
        and isinstance(inner.get("actor"), dict)
        and "time" in inner
    ):
        return [_finished(_organization(item), item)]
    return Rejected("no record of an audit log of Jira, Confluence, Data Center or an organization of Atlassian")


def _finished(op: Operation, item: dict[str, Any]) -> Operation:
    _atlassian.settle(op)
    op.raw = item
    return op


# -- the four shapes --------------------------------------------------------------------------------------------------


def _jira(item: dict[str, Any]) -> Operation:
    op = Operation(action="log.message", kind="jira", code=take_text(item, "summary"))
    op.time, op.id = take_time(item, "created"), take_text(item, "id")
    author = take_text(item, "authorAccountId") or take_text(item, "authorKey")
    if author is not None:
        op.fields["user.id"] = author
        op.actor_type, op.actor_confidence = "user", "asserted"
    _address(op, item, "remoteAddress")
    provider = take_text(item, "eventSource")
    if provider is not None:
        op.fields["event.provider"] = provider
    _object(op, item, ("objectItem",), "typeName")
    op.action = _atlassian.described(op.code or "", op.object_type)
    _others(op, item, "associatedItems", "typeName")
    op.changes = _atlassian.changes(item, "fieldName", "changedFrom", "changedTo")
    return op


def _confluence(item: dict[str, Any]) -> Operation:
    op = Operation(action="log.message", kind="confluence", code=take_text(item, "summary"))
    op.time = take_time(item, "creationDate")
    for name, field in (("accountId", "user.id"), ("displayName", "user.full_name"), ("email", "user.email")):
        text = scalar_text(peek(item, "author", name))
        if text is None or (text == "System" and "user.id" not in op.fields):
            continue
        op.fields[field] = take_text(item, "author", name)
        op.actor_type, op.actor_confidence = "user", "asserted"
    if op.fields and peek(item, "author", "type") == "user":
        take(item, "author", "type")
    if not op.fields and peek(item, "author", "displayName") == "System":
        op.actor_type, op.actor_confidence, op.interface = "system", "asserted", "system"
    _address(op, item, "remoteAddress")
    _object(op, item, ("affectedObject",), "objectType")
    op.action = _atlassian.described(op.code or "", op.object_type)
    _others(op, item, "associatedObjects", "objectType")
    op.changes = _atlassian.changes(item, "name", "oldValue", "newValue")
    return op


def _datacenter(item: dict[str, Any]) -> Operation:
    op = Operation(action="log.message", kind="datacenter")
    holder = "auditType" if "auditType" in item else "type"
    text = scalar_text(peek(item, holder, "action")) or ""
    key = take_text(item, holder, "actionI18nKey")
    op.code = key or take_text(item, holder, "action")
    op.time = _instant(item) or take_time(item, "timestamp")
    op.id = take_text(item, "id")
    _author(op, item)
    _address(op, item, "source")
    for name, field in (("system", "service.address"), ("node", "service.node.name")):
        found = take_text(item, name)
        if found is not None:
            op.fields[field] = found
    method = item.get("method")
    if is_text(method) and method.lower() in _METHODS:
        op.interface = _METHODS[take(item, "method").lower()]
    things = item["affectedObjects"]
    if things and isinstance(things[0], dict):
        _object(op, things[0], (), "type")
    op.action = _atlassian.described(text, op.object_type, key or "")
    _others(op, item, "affectedObjects", "type")
    op.changes = _atlassian.changes(item, "key", "from", "to")
    return op


def _organization(item: dict[str, Any]) -> Operation:
    op = Operation(action="log.message", kind="organization", id=take_text(item, "id"))
    del item["type"]
    op.time, op.code = take_time(item, "attributes", "time"), take_text(item, "attributes", "action")
    for holder, prefix in ((("actor",), "user"), (("actor", "onBehalfOf"), "user.effective")):
        for name, field in (("id", "id"), ("name", "full_name"), ("email", "email")):
            text = take_text(item, "attributes", *holder, name)
            if text is not None:
                op.fields[f"{prefix}.{field}"] = text
    if op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"
    if scalar_text(peek(item, "attributes", "actor", "auth", "tokenId")) is not None:
        op.interface = "api"
    address = take_ip(item, "attributes", "location", "ip")
    if address is not None:
        op.fields["source.ip"] = address
    for name, field in (("countryName", "country_name"), ("regionName", "region_name"), ("city", "city_name")):
        text = take_text(item, "attributes", "location", name)
        if text is not None:
            op.fields[f"source.geo.{field}"] = text
    context = peek(item, "attributes", "context")
    if isinstance(context, list) and context and isinstance(context[0], dict):
        first = context[0]
        op.object_name = take_text(first, "attributes", "name")
        _object(op, first, (), "type")
        url = take_text(first, "links", "self")
        if url is not None:
            op.fields["trail.object.url"] = url
    op.action = _atlassian.described(op.code or "", op.object_type)
    if isinstance(context, list):
        _others(op, item["attributes"], "context", "type")
    return op


# -- what they share --------------------------------------------------------------------------------------------------


def _address(op: Operation, item: dict[str, Any], name: str) -> None:
    address = take_ip(item, name)
    if address is not None:
        op.fields["source.ip"] = address


def _instant(item: dict[str, Any]) -> Time | None:
    """`{"epochSecond": s, "nano": n}` of the log file, with all its digits."""
    moment = item.get("timestamp")
    if not isinstance(moment, dict) or moment.keys() != {"epochSecond", "nano"}:
        return None
    seconds, nano = moment["epochSecond"], moment["nano"]
    for number in (seconds, nano):
        if not isinstance(number, int) or isinstance(number, bool):
            return None
    if not 0 <= nano < 10**9 or not 0 <= seconds < 10**11:
        return None
    del item["timestamp"]
    if nano % 1000:
        return Time(f"{seconds}.{nano:09d}", "epoch_s")
    return Time(seconds * 10**6 + nano // 1000, "epoch_us")


def _author(op: Operation, item: dict[str, Any]) -> None:
    number = scalar_text(peek(item, "author", "id"))
    kind = str(peek(item, "author", "type")).lower()
    if number == _SYSTEM or kind == "system":
        op.actor_type, op.actor_confidence = "system", "asserted"
        return
    if number in _NOBODY:
        return
    for name, field in (("id", "user.id"), ("name", "user.name")):
        text = take_text(item, "author", name)
        if text is not None:
            op.fields[field] = text
            op.actor_type, op.actor_confidence = "user", "asserted"
    if op.actor_type == "user" and kind in {"user", "applicationuser"}:
        take(item, "author", "type")


def _object(op: Operation, item: dict[str, Any], path: tuple[str, ...], kind: str) -> None:
    name = take_text(item, *path, kind)
    op.object_type = _atlassian.type_of(name)
    op.object_id = take_text(item, *path, "id")
    op.object_name = take_text(item, *path, "name") or op.object_name
    url = take_text(item, *path, "uri")
    if url is not None:
        op.fields["trail.object.url"] = url


def _others(op: Operation, item: dict[str, Any], name: str, kind: str) -> None:
    """What stands beside the object; entries that a take has emptied go, and so does a list that this empties."""
    others = item[name] if isinstance(item.get(name), list) else []
    if op.action.startswith(("group.", "role.", "user.", "token.", "password.")):
        _people(op, others, kind)
    left = [one for one in others if one != {}]
    if len(left) < len(others):
        item[name] = left
        if not left:
            del item[name]


def _people(op: Operation, others: list[Any], kind: str) -> None:
    """The user and the group beside each other in a change of membership or of a role."""
    if op.object_type == "group":
        for field, text in (("group.id", op.object_id), ("group.name", op.object_name)):
            if text is not None:
                op.fields[field] = text
    for wanted, prefix in (("user", "user.target"), ("group", "group")):
        place = next((at for at, one in enumerate(others) if _atlassian.is_a(one, kind, wanted)), None)
        if place is None or op.object_type == wanted:
            continue
        one = others[place]
        del one[kind]
        for field, path in (("id", ("id",)), ("name", ("name",)), ("name", ("attributes", "name"))):
            text = take_text(one, *path)
            if text is not None:
                op.fields[f"{prefix}.{field}"] = text
