"""What the bodies of each vendor tell beyond their records: the delivery's id, objects to look at, handshakes.

Read only after the signature was found to be right. A body of another shape tells nothing; what it holds is the
format's matter.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import orjson

from shipper.inputs._hint import Hint
from shipper.inputs.webhook._schemes_parts import any_time, digest_id, id_of, iso

MOST_HINTS: Final = 10_000
"""Objects in one body; Keap sends 1,000 at the most."""

_LEVER_OBJECTS: Final = (
    ("opportunityId", "opportunity"),
    ("interviewId", "interview"),
    ("contactId", "contact"),
    ("candidateId", "candidate"),
)
"""Which object an event of Lever is about: the narrowest that it names, but a candidate's events name all of them."""
_highlevel_type = re.compile(
    r"(Contact|Opportunity|User|Record|Task|Note|Appointment|Location|Product|Price|Invoice|Order|Association|Relation)"
    r"(Create|Update|Delete|DndUpdate|TagUpdate|StageUpdate|StatusUpdate|AssignedToUpdate|MonetaryValueUpdate)"
).fullmatch
_hubspot_type = re.compile(r"([a-z_]{1,40})\.([A-Za-z]{1,40})").fullmatch


def json_of(body: bytes) -> Any:
    """The body's value, or None where it is not JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def member(value: Any, *path: str) -> Any:
    """A member of nested objects, or None."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def text_of(value: Any) -> str | None:
    """An id: text, or a whole number as text; None for anything else and for what is empty."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def id_in(value: Any, path: str) -> str | None:
    """The delivery's id at a dotted path of the body."""
    found = text_of(member(value, *path.split(".")))
    return None if found is None else id_of(found)


def is_ping(value: Any) -> bool:
    """The test that Greenhouse and Ashby send when a webhook is made."""
    return isinstance(value, dict) and value.get("action") == "ping"


def _kind(*, deleted: bool) -> Literal["changed", "deleted"]:
    return "deleted" if deleted else "changed"


# -- vendors -----------------------------------------------------------------------------------------------------------


def keap_hints(value: Any) -> tuple[Hint, ...]:
    """The objects that a hook of Keap names: `{event_key, object_type, object_keys: [{id, timestamp}]}`."""
    event, keys = text_of(member(value, "event_key")), member(value, "object_keys")
    kind_of = text_of(member(value, "object_type")) or (event or "").partition(".")[0]
    if not kind_of or not isinstance(keys, list):
        return ()
    deleted = (event or "").endswith(".delete")
    hints = []
    for one in keys[:MOST_HINTS]:
        identity = text_of(member(one, "id"))
        if identity is not None:
            when = iso(text_of(member(one, "timestamp")) or "")
            hints.append(Hint(_kind(deleted=deleted), kind_of, identity, time=when))
    return tuple(hints)


def lever_hints(value: Any) -> tuple[Hint, ...]:
    """The object that an event of Lever is about."""
    data, event = member(value, "data"), text_of(member(value, "event")) or ""
    when = any_time(text_of(member(value, "triggeredAt")) or "")
    for name, kind_of in _LEVER_OBJECTS:
        identity = text_of(member(data, name))
        if identity is not None:
            return (Hint(_kind(deleted=event.endswith("Deleted")), kind_of, identity, time=when),)
    return ()


def highlevel_hints(value: Any, body: bytes) -> tuple[Hint, ...]:
    """The object that an event of HighLevel carries whole."""
    identity, event = text_of(member(value, "id")), text_of(member(value, "type")) or ""
    found = _highlevel_type(event)
    if found is None or identity is None:
        return ()
    deleted = found[2] == "Delete"
    when = any_time(text_of(member(value, "timestamp")) or "")
    return (Hint(_kind(deleted=deleted), found[1].lower(), identity, None if deleted else body, when),)


def bamboohr_hints(value: Any) -> tuple[Hint, ...]:
    """The employees that a webhook of BambooHR names, in either of its layouts."""
    one = text_of(member(value, "data", "employeeId"))
    if one is not None:
        deleted = member(value, "type") == "employee.deleted"
        when = iso(text_of(member(value, "timestamp")) or "")
        return (Hint(_kind(deleted=deleted), "employee", one, time=when),)
    employees = member(value, "employees")
    if not isinstance(employees, list):
        return ()
    return tuple(
        Hint(_kind(deleted=member(item, "action") == "Deleted"), "employee", identity)
        for item in employees[:MOST_HINTS]
        if (identity := text_of(member(item, "id"))) is not None
    )


def bamboohr_delivery(value: Any, body: bytes) -> str | None:
    """An id for a body of BambooHR that tells when it happened: a retry is signed anew, but holds the same.

    A body without its time (a form) can be that of two changes: it has none.
    """
    employees = member(value, "employees")
    told = employees if isinstance(employees, list) and employees else [value]
    return digest_id("body", body) if all(text_of(member(one, "timestamp")) is not None for one in told) else None


def hubspot_hints(value: Any) -> tuple[Hint, ...]:
    """The objects of the events that HubSpot sends as one array, each object once."""
    hints: dict[tuple[str, str], Hint] = {}
    for item in value[:MOST_HINTS] if isinstance(value, list) else ():
        found = _hubspot_type(text_of(member(item, "subscriptionType")) or "")
        identity = text_of(member(item, "objectId"))
        if found is None or identity is None:
            continue
        when = any_time(text_of(member(item, "occurredAt")) or "")
        hint = Hint(_kind(deleted=found[2] in {"deletion", "privacyDeletion"}), found[1], identity, time=when)
        hints[found[1], identity] = hint
    return tuple(hints.values())


def hubspot_delivery(value: Any) -> str | None:
    """An id for the events of a request: a retry is signed anew and counts its attempts, but holds the same events."""
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        return None
    events = [{name: one for name, one in item.items() if name != "attemptNumber"} for item in value]
    return digest_id("hubspot", orjson.dumps(events, option=orjson.OPT_SORT_KEYS))


def slack_challenge(value: Any) -> str | None:
    """The text that Slack wants back when an address is entered."""
    if member(value, "type") != "url_verification":
        return None
    text = member(value, "challenge")
    return text if isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,200}", text) else None


def zoom_delivery(value: Any, body: bytes) -> str | None:
    """An id for an event of Zoom that tells when it happened, as `bamboohr_delivery`."""
    return None if text_of(member(value, "event_ts")) is None else digest_id("body", body)


def zoom_token(value: Any) -> str | None:
    """The token that Zoom wants back with its HMAC.

    Letters and digits only: an HMAC of a text of the asker's choice, such as `v0:<time>:<body>`, would be a signature.
    """
    if member(value, "event") != "endpoint.url_validation":
        return None
    token = member(value, "payload", "plainToken")
    return token if isinstance(token, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,128}", token) else None
