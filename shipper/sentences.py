"""`message`: the sentence that answers who did what to which field, built after the privacy policy. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mappings import Action
from parsers._contract import Operation

_LONGEST: Final = 120
_INTERFACES: Final = frozenset({"ui", "api", "import", "automation", "mobile", "sync", "system"})


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def who(document: Mapping[str, Any]) -> str:
    """The actor as people call them, or an honest word where the source names nobody."""
    user = document.get("user")
    if user:
        for name in ("full_name", "name", "email", "id"):
            value = user.get(name)
            if value:
                return _cut(str(value))
    trail = document["trail"]
    automation = trail.get("automation")
    if automation:
        scenario = automation.get("scenario") or {}
        called = scenario.get("name") or scenario.get("id")
        return f"automation {called}" if called else "an automation"
    kind = trail.get("actor", {}).get("type")
    return {"system": "the system", "api_key": "an API key", "automation": "an automation"}.get(kind, "somebody")


def thing(op: Operation) -> str:
    """The object as `Offer 55`, with its name where it has no id."""
    label = op.object_label or op.object_type
    if not label:
        return ""
    name = op.object_id if op.object_id is not None else op.object_name
    return f"{label} {_cut(name)}" if name else str(label)


def _value(change: Mapping[str, Any], side: str) -> str:
    """A value as the sentence shows it."""
    state = change[f"{side}_state"]
    if state in {"value", "empty"}:
        if change.get("redaction", "none") != "none":
            return "(withheld)"
        if state == "empty":
            return "(empty)"
        return _cut(change.get(f"{side}_label") or change.get(side, ""))
    return "(unknown)" if state == "unknown" else "(none)"


def sentence(document: Mapping[str, Any], op: Operation, vendor: str, spec: Action) -> str:
    """The sentence for one finished document."""
    trail = document["trail"]
    change = trail.get("change")
    interface = trail.get("interface")
    via = f" via {interface}" if interface in _INTERFACES else ""
    target = thing(op)
    if change is not None:
        return _change_sentence(document, change, target, via, vendor)
    subject = who(document)
    if subject.startswith("automation "):
        # It says already what ran, and by which way.
        via = ""
        target = "" if op.object_type == "scenario" else target
    failed = " (failed)" if document["event"].get("outcome") == "failure" else ""
    verb = f"{spec.words} {spec.link} {target}".replace("  ", " ") if target else spec.words
    return f"{subject} {verb}{failed}{via} ({vendor})"


def _change_sentence(document: Mapping[str, Any], change: Mapping[str, Any], target: str, via: str, vendor: str) -> str:
    field = _cut(change["field"])
    of = f" of {target}" if target else ""
    old, new = _value(change, "old"), _value(change, "new")
    if change["derivation"] == "snapshot_diff":
        after, before = change.get("changed_after", ""), change.get("changed_before", "")
        between = f" between {after} and {before}" if after and before else ""
        editor = trail_editor(document)
        return (
            f"{field}{of} changed from {old} to {new}{between}; who: not given by {vendor}"
            f"{f' (last editor {editor})' if editor else ''}"
        )
    subject = who(document)
    if change["old_state"] == "unknown":
        return f"{subject} set {field}{of} to {new}{via} ({vendor}); old value: not given"
    if change["op"] == "add":
        return f"{subject} set {field}{of} to {new}{via} ({vendor})"
    if change["op"] == "remove":
        return f"{subject} removed {field}{of}, was {old}{via} ({vendor})"
    return f"{subject} changed {field}{of} from {old} to {new}{via} ({vendor})"


def trail_editor(document: Mapping[str, Any]) -> str | None:
    """Whom the source names as last editor of the record."""
    editor = document["trail"].get("object", {}).get("last_editor") or {}
    name = editor.get("id") or editor.get("name")
    return str(name) if name else None
