"""What the event formats of SIEM systems (CEF, LEEF) share: the header before an event, ends, times, labels. Pure."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from parsers._contract import ABSENT, UNKNOWN, Change, Operation, Rejected, Time
from parsers._json import clean_ip
from parsers._syslog import header_fields, priority_fields
from parsers._text import add, epoch, readable, syslog_header

_bare = re.compile(
    r"(?:<([0-9]{1,3})>)?(?:1 )?\s{0,3}(?:((?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9][0-9] [0-9:]{8}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)\s{1,3})?"
).fullmatch
is_mac: Final = re.compile(r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}").fullmatch
_action_shape = re.compile(r"[a-z]{1,32}\.[a-z_]{1,32}").fullmatch

_VERBS: Final = {
    **dict.fromkeys(("create", "created", "insert", "add", "added"), "record.create"),
    **dict.fromkeys(("update", "updated", "edit", "edited", "change", "changed", "modify", "modified"), "field.update"),
    **dict.fromkeys(("delete", "deleted", "remove", "removed"), "record.delete"),
    **dict.fromkeys(("view", "viewed", "read"), "record.view"),
    **dict.fromkeys(
        ("login", "logon", "log in", "log on", "user login", "user logon", "signin", "sign in"), "auth.login"
    ),
    **dict.fromkeys(("logout", "logoff", "log out", "log off", "user logout", "signout", "sign out"), "auth.logout"),
    **dict.fromkeys(("export", "exported"), "data.export"),
    **dict.fromkeys(("import", "imported"), "data.import"),
    **dict.fromkeys(("download", "downloaded"), "file.download"),
    **dict.fromkeys(("upload", "uploaded"), "file.upload"),
}
"""Words that say the same whatever the product; any other one stays a code."""
_OUTCOMES: Final = {
    **dict.fromkeys(("success", "successful", "succeeded", "ok"), "success"),
    **dict.fromkeys(("failure", "failed", "fail", "denied"), "failure"),
    "unknown": "unknown",
}
_OLD: Final = frozenset({"oldvalue", "previousvalue", "valuebefore", "before"})
_NEW: Final = frozenset({"newvalue", "valueafter", "after"})
_FIELD: Final = frozenset({"field", "fieldname", "attribute", "attributename", "property", "parameter", "setting"})
_LABELLED: Final = {
    "sessionid": "trail.session.id",
    "transactionid": "transaction.id",
    "traceid": "trace.id",
    "requestid": "http.request.id",
}
_OBJECT: Final = {"objecttype": "object_type", "objectid": "object_id", "objectname": "object_name"}
_not_word = re.compile(r"[^a-z0-9]+").sub


class Envelope(NamedTuple):
    """What stood before an event, and the event's text."""

    fields: dict[str, Any]
    time: Time | None
    text: str


def envelope(record: bytes, mark: bytes) -> Envelope | Rejected:
    """Split a line at `mark` (`CEF:`): before it stands nothing, or a syslog header, or part of one."""
    start = record.find(mark)
    if start < 0:
        return Rejected(f"no {mark.decode()} in it")
    text = readable(record[start:])
    if start == 0:
        return Envelope({}, None, text)
    header = syslog_header(record)
    word = mark.decode()
    if not isinstance(header, Rejected):
        if header.app == word[:-1]:  # "CEF: 0|…" looks like a program's name
            return Envelope(header_fields(header._replace(app=None)), header.time, text)
        if header.message.lstrip().startswith(mark):
            return Envelope(header_fields(header), header.time, text)
    bare = _bare(readable(record[:start]))
    if bare is None or (bare[1] and int(bare[1]) > 191):
        return Rejected(f"before {word} stands something else than a syslog header")
    time = Time(bare[2], "iso8601" if bare[2][:1].isdigit() else "rfc3164") if bare[2] else None
    return Envelope(priority_fields(int(bare[1]) if bare[1] else None), time, text)


def take(found: dict[str, Any], name: str) -> str | None:
    """Pop a text that says something."""
    value = found.get(name)
    if not isinstance(value, str) or not value.strip():
        return None
    del found[name]
    return value


def take_end(found: dict[str, Any], name: str, fields: dict[str, Any], side: str) -> None:
    """One end of a connection: an address, or a name; what says more than the address stays."""
    text = found.get(name)
    if not isinstance(text, str) or not text.strip():
        return
    address = clean_ip(text)
    if address is not None:
        fields[f"{side}.ip"] = address
        if address != text:
            fields[f"{side}.address"] = text
        del found[name]
    elif f"{side}.domain" not in fields:
        fields[f"{side}.domain"] = text
        del found[name]


def take_number(found: dict[str, Any], name: str, fields: dict[str, Any], target: str) -> None:
    """A whole number that a JSON reader keeps exact."""
    text = found.get(name)
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 15:
        fields[target] = int(text)
        del found[name]


def time_of(text: str) -> Time:
    """Milliseconds since the epoch, ISO 8601, or `Mar 10 2026 13:55:36.123 UTC`."""
    text = text.strip().replace("GMT+00:00", "UTC")
    if text.isascii() and text.isdigit() and len(text) <= 16:
        return epoch(text)
    return Time(text, "iso8601" if text[:1].isdigit() else "rfc3164")


def set_labelled(op: Operation, pairs: list[tuple[str, str]]) -> None:
    """Values that have a label of their own: old and new of a field, a session, an object; the rest under its label."""
    change: dict[str, Any] = {}
    for label, value in pairs:
        plain = _not_word("", label.lower())
        if plain in _OLD and "old" not in change:
            change["old"] = value
        elif plain in _NEW and "new" not in change:
            change["new"] = value
        elif plain in _FIELD and "field" not in change:
            change["field"] = value
        elif plain in _LABELLED and _LABELLED[plain] not in op.fields and value:
            op.fields[_LABELLED[plain]] = value
        elif plain in _OBJECT and getattr(op, _OBJECT[plain]) is None and value:
            setattr(op, _OBJECT[plain], value)
        else:
            add(op.raw, label, value)
    if "old" in change or "new" in change:
        # An empty text may stand for no value, or for none that was given: it is kept as it is.
        old, new = change.get("old", UNKNOWN), change.get("new", UNKNOWN)
        derivation = "native" if old is not UNKNOWN and new is not UNKNOWN else "new_only"
        op.changes.append(Change(change.get("field") or "value", old, new, derivation=derivation))
        op.no_change = old is not UNKNOWN and old is not ABSENT and old == new
    elif change.get("field"):
        add(op.raw, "field", change["field"])


def set_action(op: Operation, code: str, verbs: tuple[str | None, ...]) -> None:
    """Our action from the event's id where that is one, else from a word that is plain everywhere."""
    op.code = code or None
    if _action_shape(code):
        op.action = code
        return
    for verb in (*verbs, code):
        known = _VERBS.get(verb.strip().lower().replace("_", " ")) if verb else None
        if known:
            op.action = known
            break
    if op.changes and op.action in {"log.message", "record.create", "record.delete", "record.view"}:
        op.action = "field.update"


def outcome_of(text: str | None) -> str | None:
    """Success or failure, where a text is plain about it."""
    return _OUTCOMES.get(text.strip().lower()) if text else None


def set_user(op: Operation) -> None:
    """Who: the account on the source side, or at a login the one that was logged in to."""
    fields = op.fields
    if op.action in {"auth.login", "auth.logout"} and "user.name" not in fields and "user.id" not in fields:
        for name in ("name", "id"):
            if f"user.target.{name}" in fields:
                fields[f"user.{name}"] = fields.pop(f"user.target.{name}")
    if "user.name" in fields or "user.id" in fields or "user.email" in fields:
        failed = op.action == "auth.login" and op.outcome == "failure"
        op.actor_type, op.actor_confidence = ("unknown", "unknown") if failed else ("user", "asserted")
