"""`message`: the sentence that answers who did what to which field, built after the privacy policy. Pure.

It is read by people and shipped as one line of text: what the source wrote is cut to a readable length, and characters
that cannot be seen (line ends, NUL, marks that turn the writing direction) stand as escapes, so that no value can make
a sentence say something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from mappings import Action
from parsers._contract import Operation

_LONGEST: Final = 120
_VIA: Final = {word: f" via {word}" for word in ("ui", "api", "import", "automation", "mobile", "sync", "system")}
_NAMELESS: Final = {"system": "the system", "api_key": "an API key", "automation": "an automation"}
_CONTROLS: Final = re.compile("[\\x00-\\x1f\\x7f]")
_JOINERS: Final = frozenset("\u200c\u200d")
"""Invisible, and part of how some languages and emoji are written."""
ACCOUNTS: Final = frozenset({"user", "account", "member"})
"""Types of objects that are accounts of people."""


def cut(text: str) -> str:
    """A text short enough for a sentence."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _shown(char: str) -> str:
    if char.isprintable() or char in _JOINERS:
        return char
    escaped = char.encode("unicode_escape").decode()
    return " " if char.isspace() and char > "\x9f" and char not in "\u2028\u2029" else escaped


def printable(text: str) -> str:
    """A sentence without characters that steer a terminal or hide in it."""
    if text.isprintable():
        return text
    text = _CONTROLS.sub(lambda found: _shown(found[0]), text)  # the usual ones, at the speed of a search
    return text if text.isprintable() else "".join(map(_shown, text))


def who(document: Mapping[str, Any]) -> str:
    """The actor as people call them, or an honest word where the source names nobody."""
    trail = document["trail"]
    kind = trail["actor"]["type"] if "actor" in trail else "unknown"
    user = document.get("user")
    if user:
        name = user.get("full_name") or user.get("name") or user.get("email") or user.get("id")
        if name:
            return f"API key {cut(name)}" if kind == "api_key" else cut(name)
    automation = trail.get("automation")
    # A scenario that somebody edited did not edit itself.
    if automation and "automation" in {kind, trail.get("interface")}:
        scenario = automation.get("scenario") or {}
        called = scenario.get("name") or scenario.get("id")
        return f"automation {cut(called)}" if called else "an automation"
    return _NAMELESS.get(kind, "somebody")


def thing(op: Operation, document: Mapping[str, Any]) -> str:
    """The object as `Offer 55`, with its name where it has no id; the name is the one that the privacy policy left."""
    label = op.object_label or op.object_type
    name = op.object_id
    if name is None:
        if not label:
            return ""
        name = document["trail"]["object"].get("name") if "object" in document["trail"] else None
    label = cut(label) if label else "record"
    return f"{label} {cut(name)}" if name else label


def value(change: Mapping[str, Any], side: str) -> str:
    """A value as the sentence shows it."""
    state = change[side + "_state"]
    if state == "value":
        if change["redaction"] != "none":
            return "(withheld)"
        return cut(change.get(side + "_label") or change[side])
    return {"empty": "(empty)", "unknown": "(unknown)"}.get(state, "(none)")


def sentence(document: Mapping[str, Any], op: Operation, vendor: str, spec: Action) -> str:
    """The sentence for one finished document."""
    text = _sentence(document, op, vendor, spec)
    # Our own words are printable, so one look at the whole finds what the source's are not.
    return printable(text)


def by_way_of(interface: str | None) -> str:
    """How it was done, as the sentence says it."""
    return _VIA.get(interface or "", "")


def _sentence(document: Mapping[str, Any], op: Operation, vendor: str, spec: Action) -> str:
    trail = document["trail"]
    subject = who(document)
    via = _VIA.get(trail.get("interface"), "")
    if (via == " via system" and subject == "the system") or (
        via == " via automation" and subject.startswith(("automation ", "an automation"))
    ):
        via = ""  # the subject has said it
    if "change" in trail:
        return _change_sentence(document, op, subject, via, vendor)
    failed = " (failed)" if document["event"].get("outcome") == "failure" else ""
    target, link = thing(op, document), spec.link
    if op.bounds is not None and trail["time"]["precision"] == "bounded":
        time = trail["time"]
        author = _subject_of_diff(document, subject, vendor)
        return f"{target or 'a record'} {spec.words}{_between(time.get('after'), time.get('before'))}{author}"
    if op.object_type == "scenario" and subject.startswith("automation "):
        target = ""
    elif op.object_type in ACCOUNTS and spec.name in {"auth.login", "auth.logout"}:
        link = "as"
        if op.object_id is not None and op.object_id == document.get("user", {}).get("id"):
            target = ""
    elif spec.name == "log.message":
        target = _logged(op, document, target)
        if subject == "somebody":
            return f"{target or 'a record without a message'}{failed}{via} ({vendor})"
    elif not target and spec.words == "changed":
        target = "something"
    verb = f"{spec.words} {link} {target}" if link else f"{spec.words} {target}"
    return f"{subject} {verb if target else spec.words}{failed}{via} ({vendor})"


def _logged(op: Operation, document: Mapping[str, Any], target: str) -> str:
    """What a log line without a message is about: the source's own word for it, and the object."""
    code = document["event"].get("code") or ""
    return f"{cut(code)}{' of ' if code and target else ''}{target}" if op.message is None else target


def _change_sentence(document: Mapping[str, Any], op: Operation, subject: str, via: str, vendor: str) -> str:
    change = document["trail"]["change"]
    field, target = cut(change["field"]), thing(op, document)
    of = f"{field} of {target}" if target else field
    if document["event"].get("outcome") == "failure":
        via = f" (failed){via}"
    if change["derivation"] == "snapshot_diff":
        return _diff_sentence(document, change, of, subject, vendor)
    if change["old_state"] == "unknown":
        if change["new_state"] == "unknown":
            return f"{subject} changed {of}{via} ({vendor}); old and new value: not given"
        if change["op"] == "remove":
            return f"{subject} removed {of}{via} ({vendor}); old value: not given"
        return f"{subject} set {of} to {value(change, 'new')}{via} ({vendor}); old value: not given"
    if change["op"] == "update":
        return f"{subject} changed {of} from {value(change, 'old')} to {value(change, 'new')}{via} ({vendor})"
    if change["op"] == "add":
        return f"{subject} set {of} to {value(change, 'new')}{via} ({vendor})"
    return f"{subject} removed {of}, was {value(change, 'old')}{via} ({vendor})"


def _diff_sentence(document: Mapping[str, Any], change: Mapping[str, Any], of: str, subject: str, vendor: str) -> str:
    """Of a difference between two snapshots: between which moments, and that nobody said who."""
    between = _between(change.get("changed_after"), change.get("changed_before"))
    author = _subject_of_diff(document, subject, vendor)
    if change.get("element"):
        moved = (
            f"{value(change, 'old')} was removed from"
            if change["op"] == "remove"
            else f"{value(change, 'new')} was added to"
        )
        return f"{moved} {of}{between}{author}"
    return f"{of} changed from {value(change, 'old')} to {value(change, 'new')}{between}{author}"


def _between(after: str | None, before: str | None) -> str:
    """Two moments of ours, or the later one, as the sentence says them."""
    if after and before:
        same_day = after[:10] == before[:10]
        first, last = (text[11:16] if same_day else f"{text[:10]} {text[11:16]}" for text in (after, before))
        return f" between {first} and {last} UTC"
    return f" before {before[:10]} {before[11:16]} UTC" if before else ""


def _subject_of_diff(document: Mapping[str, Any], subject: str, vendor: str) -> str:
    editor = document["trail"].get("object", {}).get("last_editor") or {}
    name = editor.get("name") or editor.get("id")
    known = "" if subject == "somebody" else f"; who: {subject}"
    not_given = f"; who: not given by {vendor}" + (f" (last editor {cut(name)})" if name else "")
    return known or not_given
