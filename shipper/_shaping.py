"""Parts of the normalizer that know one thing each: what an action says of its events, bounds, the original text.

Pure.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import mappings
from parsers._contract import Operation, Time
from shipper import protect, sentences, timestamps
from shipper._placing import stray
from shipper.model import Event

CHANGE_FACTS: Final = ("trail.change.field", "trail.change.old", "trail.change.new")
_FURTHER_DIGITS: Final = {"epoch_s": 6, "epoch_ms": 3, "epoch_us": 0}
_FRACTION: Final = re.compile(r"[.,](\d+)", re.ASCII).search
_ORIGINAL_LIMIT: Final = 32_000
_BASE64_LIMIT: Final = 16_000
_UTC: Final = ZoneInfo("UTC")


class Plan:
    """What one action of the vocabulary says of every event."""

    __slots__ = ("action", "api", "category", "edit", "iam", "kinds", "outcome", "spec", "stream")

    def __init__(self, spec: mappings.Action, streams: Mapping[str, dict[str, str]]) -> None:
        self.spec = spec
        self.action = spec.name
        self.category = list(spec.category)
        self.api = [*spec.category, "api"] if "database" in spec.category else self.category
        self.kinds = list(spec.type)
        self.outcome = spec.outcome
        self.stream = streams[spec.stream]
        self.iam = "iam" in spec.category
        self.edit = "trail.change.field" in spec.expects
        """An edit of fields: without a change of any it yields no document, or one that says what is missing."""


def plans(streams: Mapping[str, dict[str, str]]) -> dict[str, Plan]:
    """The plans of all actions that a source may name, by action.

    Sources may not speak as Fieldtrail itself: alerts, health and the log have streams of their own.
    """
    return {
        name: Plan(spec, streams)
        for name, spec in mappings.actions().items()
        if spec.stream in streams and name != "log.unparsed"
    }


def set_categories(event: dict[str, Any], op: Operation, plan: Plan, raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Category and type where the operation, its fields or the user's constants name one of them.

    Types that ECS does not expect with the categories stay in `raw`; a category without a fitting type gets `info`,
    which ECS expects with nearly all.
    """
    category = event.get("category") or list(op.category) or plan.category
    if op.interface == "api" and "database" in category and "api" not in category:
        category = [*category, "api"]
    given = event.pop("type", None)
    if not category:
        return raw if given is None else stray(raw, "event.type", given)
    event["category"] = category
    expected = mappings.expected_types()
    known = frozenset().union(*(expected.get(name, frozenset()) for name in category))
    kinds = [kind for kind in given or op.type or plan.kinds if kind in known]
    if given is not None and len(kinds) < len(given):
        raw = stray(raw, "event.type", given)
    for name in category:
        if expected.get(name, known).isdisjoint(kinds):
            kinds.append("info" if "info" in expected[name] else min(expected[name]))
    event["type"] = kinds
    return raw


def set_target(root: Event, op: Operation, related: dict[str, list[Any]]) -> None:
    """An account's change names the account as `user.target` (ECS user usage)."""
    if op.object_type not in sentences.ACCOUNTS or op.object_id is None:
        return
    target = root.setdefault("user", {}).setdefault("target", {})
    users = [*related.get("user", ()), target.setdefault("id", op.object_id)]
    name = root["trail"]["object"].get("name")
    if name:
        users.append(target.setdefault("name", name))
    related["user"] = list(dict.fromkeys(users))


def set_related(root: Event, related: dict[str, list[Any]]) -> None:
    """`related.*`: what the source gave there, and every such value in the document, each once."""
    given = root.get("related")
    if given is None:
        root["related"] = related
        return
    more = {kind: list(dict.fromkeys([*given.get(kind, ()), *values])) for kind, values in related.items()}
    root["related"] = {**given, **more}


def set_bounds(document: Event, shape: dict[str, Any], op: Operation, zone: ZoneInfo) -> None:
    """The time of a change that two snapshots enclose: the source's own if it lies between them, else the later."""
    bounds = []
    for name in ("changed_after", "changed_before"):
        text = timestamps.iso(shape[name], zone) if name in shape else None
        if text is None:
            shape.pop(name, None)
        else:
            shape[name] = text
        bounds.append(text)
    _set_bounded(document, bounds, op)


def set_bounds_of_whole(document: Event, op: Operation, zone: ZoneInfo) -> None:
    """The same for a record that was found created, deleted or restored; a source that says when it was made knows."""
    assert op.bounds is not None
    if op.action.endswith(".create") and document["trail"]["time"]["precision"] == "exact":
        return
    bounds = [None if text is None else timestamps.iso(text, zone) for text in op.bounds]
    _set_bounded(document, bounds, op)
    told = {name: text for name, text in zip(("after", "before"), bounds, strict=True) if text is not None}
    document["trail"]["time"] = {**document["trail"]["time"], **told}


def _set_bounded(document: Event, bounds: list[str | None], op: Operation) -> None:
    after, before = (_seconds(text) for text in bounds)
    exact = document["trail"]["time"]["precision"] == "exact" and op.time is not None
    own = _seconds(document["@timestamp"]) if exact else None
    if before is not None and (own is None or own > before or (after is not None and own < after)):
        document["@timestamp"] = bounds[1]
    if exact or before is not None or after is not None:  # else nothing is known but when it was received
        document["trail"]["time"] = {"precision": "bounded"}


def set_original(
    event: dict[str, Any], trail: dict[str, Any], data: bytes, length: int, policy: protect.Policy, module: str
) -> None:
    r"""The record's own text in `event.original`, after the privacy policy; a byte that is no UTF-8 reads `\xHH`.

    Where the policy took nothing away, the bytes of such a record stay beside it, in base64. `length`: of the record in
    its source, in bytes.
    """
    cut = data[:_ORIGINAL_LIMIT]
    odd = False
    try:
        text = cut.decode()
    except UnicodeDecodeError as error:
        if len(data) > _ORIGINAL_LIMIT and error.start >= len(cut) - 3:
            text = cut[: error.start].decode()  # only the last character was cut in two
        else:
            text, odd = cut.decode(errors="backslashreplace"), True
    event["original"] = kept = protect.protect_original(policy, module, text)
    if odd and kept == text:
        encoded = base64.b64encode(cut[:_BASE64_LIMIT]).decode()
        trail["raw"] = stray(trail.get("raw", {}), "original_base64", encoded)
    if len(data) > _ORIGINAL_LIMIT:
        trail["truncated"] = [{"length": max(len(data), length), "path": "event.original"}]


def has_further_digits(time: Time) -> bool:
    """Whether the source's time has more digits of a second than the six that `@timestamp` takes."""
    found = _FRACTION(str(time.text))
    return found is not None and len(found[1]) > _FURTHER_DIGITS.get(time.layout, 6)


def is_interpreted(time: Time, zone: str | None) -> bool:
    """Whether the moment needed more than the text says: a zone (`zone`: the one that was taken), or a year."""
    if zone:
        return True
    layout = time.layout
    return "%" in layout and "%Y" not in layout and "%y" not in layout and "%s" not in layout


def has(root: Mapping[str, Any], name: str) -> bool:
    """Whether the event holds the field."""
    here: Any = root
    for part in name.split("."):
        if not isinstance(here, dict) or part not in here:
            return False
        here = here[part]
    return True


def _seconds(text: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 text of ours."""
    if text is None:
        return None
    return timestamps.resolve(Time(text), received=0.0, mtime=None, zone=_UTC, previous=None).seconds
