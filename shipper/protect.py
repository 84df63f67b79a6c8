"""The policy stage: what of an event stays, what is withheld, before a sentence is built and anything is sealed. Pure.

A field's name says what it is about (`shipper/_privacy.py`), the policy says what is done with that: `keep`, `mask`
(the value goes, a salted digest of it stays in `trail.sealed_fields`) or `drop` (the value goes, its path stays there).
The digest is that of an RFC 9901 disclosure, see `disclose`. Salts are handed in: 16 random bytes at each call, because
a digest with a guessable salt would give a short value away.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from shipper import _privacy, _scrub
from shipper._privacy import ACTIONS, BUILT_IN, LATER, LONGEST_KEY, Decision, Policy, PolicyRule, classify, decide

__all__ = [
    "ACTIONS", "BUILT_IN", "LATER", "Decision", "Policy", "PolicyRule", "Salt", "Withheld", "classify", "decide",
    "digest_of", "disclose", "protect_change", "protect_original", "protect_text", "protect_values", "sieve",
]  # fmt: skip

Salt = Callable[[], bytes]
Withheld = dict[str, str]
"""One entry of `trail.sealed_fields`: `path`, and with `mask` `digest`."""

_VALUES: Final = ("old", "new", "old_label", "new_label")
_DERIVED: Final = ("old_number", "new_number", "delta", "delta_pct")
"""They follow from the two values, and need no entry of their own."""

_MOST_NAMES: Final = 512
_JSON_BEGINS: Final = frozenset("{[")
_DEEPEST: Final = 64
"""An event is no deeper (event.md, "Canonical bytes")."""


# -- digests ----------------------------------------------------------------------------------------------------------


def digest_of(disclosure: str) -> str:
    """base64url(SHA-256(ASCII(disclosure))) without padding (RFC 9901, section 4.2.3)."""
    return _b64(hashlib.sha256(disclosure.encode("ascii")).digest())


def disclose(salt: bytes, path: str, value: Any) -> tuple[str, str]:
    """`(disclosure, digest)`: the disclosure is base64url of the JSON text of `[base64url(salt), path, value]`.

    Only the digest leaves the machine. The digest is over the disclosure's characters, so nobody ever has to write the
    same JSON twice. Raises `ValueError` for a salt under 16 bytes.
    """
    if len(salt) < 16:
        raise ValueError("a salt has at least 16 bytes")
    text = json.dumps([_b64(salt), path, value], ensure_ascii=False, separators=(",", ":"))
    disclosure = _b64(text.encode("utf-8", "surrogatepass"))
    return disclosure, digest_of(disclosure)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _entry(action: str, path: str, value: Any, salt: Salt) -> Withheld:
    if action == "mask":
        return {"digest": disclose(salt(), path, value)[1], "path": path}
    return {"path": path}


# -- one change -------------------------------------------------------------------------------------------------------


def protect_change(
    policy: Policy, module: str, change: dict[str, Any], salt: Salt, *, object_type: str = ""
) -> list[Withheld]:
    """Apply the policy to one `trail.change`, in place, and return the entries for `trail.sealed_fields`.

    Sets `category` (where the name means something), `sensitivity` and `redaction`. Withheld: `old`, `new`, their
    labels, and without entries of their own the numeric copies and differences. The states stay: that there was a value
    is the point of the record. A field is judged by its name and by its label, whichever is stricter. In a kept value
    that is an object or a list, members that the policy withholds are withheld on their own.
    """
    found = decide(policy, module, change["field"], object_type)
    label = change.get("label")
    if label:
        second = decide(policy, module, label, object_type)
        if (found.action == "keep" and second.action != "keep") or found.category is None:
            found = second if second.action != "keep" or found.action == "keep" else found
    if found.category is not None:
        change["category"] = found.category
    change["sensitivity"] = found.sensitivity
    action = found.action
    if action == "keep":
        change.setdefault("redaction", "none")
        gone: list[Withheld] = []
        for name in ("old", "new"):
            text = change.get(name)
            if text and text[0] in "{[":
                change[name] = _Cleaner(policy, module, salt, gone).text(text, change["field"], f"trail.change.{name}")
        if gone:
            change["redaction"] = "mask"
        return gone
    change["redaction"] = change.get("redaction", action)  # a parser has dropped a secret already
    gone = [_entry(action, f"trail.change.{name}", change.pop(name), salt) for name in _VALUES if change.get(name)]
    for name in _DERIVED:
        change.pop(name, None)
    return gone


# -- containers of foreign names --------------------------------------------------------------------------------------


def _spellings(*phrases: str) -> frozenset[str]:
    """Each phrase as people write member names: `field name` -> fieldName, FieldName, field_name and so on."""
    found = set()
    for phrase in phrases:
        parts = phrase.split()
        pascal = "".join(part.capitalize() for part in parts)
        found |= {pascal, pascal[0].lower() + pascal[1:], "_".join(parts), "-".join(parts), "".join(parts)}
        found |= {"_".join(parts).upper(), " ".join(parts)}
    return frozenset(found)


NAMING: Final = _spellings(
    "attribute", "attribute name", "column", "column name", "custom field", "display name", "field", "field id",
    "field label", "field name", "id", "internal name", "key", "label", "name", "property", "property name", "slug",
)  # fmt: skip
"""Members by which one object names a field whose value stands beside: `{"name": "SSN", "value": …}`."""
_HARMLESS: Final = _spellings("type", "field type", "data type", "value type", "index", "position", "order")
_VALUE_WORDS: Final = frozenset(
    {"after", "amount", "before", "content", "current", "data", "from", "new", "number", "old", "original", "previous"}
    | {"prior", "text", "to", "val", "value"}
)


@lru_cache(maxsize=4096)
def _holds_value(key: str) -> bool:
    return not _VALUE_WORDS.isdisjoint(word.rstrip("s") for word in _privacy.words(key))


@lru_cache(maxsize=256)
def _table(policy: Policy, module: str, context: str) -> dict[str, str]:
    """Names and their actions, for one context: a plain dict, because every member of every event is looked up."""
    del policy, module, context
    return {}


class _Cleaner:
    """One walk over one container; `gone` collects what was withheld."""

    __slots__ = ("_gone", "_module", "_policy", "_salt")

    def __init__(self, policy: Policy, module: str, salt: Salt, gone: list[Withheld]) -> None:
        self._policy, self._module, self._salt, self._gone = policy, module, salt, gone

    def mapping(self, members: Mapping[str, Any], context: str, path: str, depth: int = 0) -> Mapping[str, Any]:
        """The members that may stay; the same object where all may."""
        known = _table(self._policy, self._module, context)
        pair = "keep" if NAMING.isdisjoint(members) else self._pair_action(members, context)
        out: dict[str, Any] | None = None
        for key, value in members.items():
            action = known.get(key) or self._learn(known, key, context)
            kind = type(value)
            if action == "keep":
                if pair != "keep" and key not in NAMING and key not in _HARMLESS:
                    action = pair
                elif kind is str:
                    if value[:1] not in _JSON_BEGINS:
                        continue
                elif kind is not dict and kind is not list:
                    continue
            if value is None or value == "":
                continue
            if action == "keep":
                kept = self._value(
                    value,
                    f"{context}.{key}"[-LONGEST_KEY:] if context else key[-LONGEST_KEY:],
                    f"{path}.{key}",
                    depth,
                )
                if kept is value:
                    continue
            else:
                self._gone.append(_entry(action, f"{path}.{key}", value, self._salt))
                kept = _GONE
            if out is None:
                out = dict(members)
            if kept is _GONE:
                del out[key]
            else:
                out[key] = kept
        return members if out is None else out

    def _learn(self, known: dict[str, str], key: str, context: str) -> str:
        """The action for a name that this context has not met; remembered while there is room."""
        action = decide(self._policy, self._module, key, context).action
        if len(known) < _MOST_NAMES and len(key) <= LONGEST_KEY:
            known[key] = action
        return action

    def _value(self, value: Any, context: str, path: str, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value, context, path) if value[:1] in _JSON_BEGINS else value
        if isinstance(value, dict):
            return self._deeper(value, path, depth) or self.mapping(value, context, path, depth + 1)
        if isinstance(value, list):
            return self._deeper(value, path, depth) or self._list(value, context, path, depth + 1)
        return value

    def _deeper(self, value: Any, path: str, depth: int) -> Any:
        """`_GONE` for a container deeper than an event may be: it is withheld rather than let through unread."""
        if depth < _DEEPEST:
            return None
        self._gone.append(_entry("drop", path, value, self._salt))
        return _GONE

    def _list(self, items: Sequence[Any], context: str, path: str, depth: int) -> Any:
        out: list[Any] | None = None
        for index, item in enumerate(items):
            kept = self._value(item, context, f"{path}.{index}", depth) if isinstance(item, (dict, list, str)) else item
            if kept is not item:
                out = list(items) if out is None else out
                out[index] = None if kept is _GONE else kept
        return items if out is None else out

    def _pair_action(self, members: Mapping[str, Any], context: str) -> str:
        """The strictest action for a field that this object names by one of its members, if it has a value beside."""
        if not any(_holds_value(key) for key in members if key not in NAMING and len(key) <= LONGEST_KEY):
            return "keep"
        for key in members:
            if key in NAMING and isinstance(name := members[key], str):
                action = decide(self._policy, self._module, name, context).action
                if action != "keep":
                    return action
        return "keep"

    def text(self, text: str, context: str, path: str) -> str:
        """A text that looks like JSON: cleaned as what it holds, or as plain text where it is none."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return scrub_pairs(self._policy, self._module, text)
        before = len(self._gone)
        kept = self._value(value, context, path, 0) if isinstance(value, (dict, list)) else value
        if len(self._gone) == before:
            return text
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


_GONE: Final = object()


def protect_values(
    policy: Policy, module: str, values: Mapping[str, Any], path: str, salt: Salt, *, object_type: str = ""
) -> tuple[dict[str, Any], list[Withheld]]:
    """`(what may stay, entries for trail.sealed_fields)` of a container of foreign names, at any depth.

    `path`: where the container stands, `trail.values` or `trail.raw`. Withheld are the values of members whose name the
    policy withholds, with all that is inside them; the values of objects that name such a field
    (`{"name": "SSN", "value": …}`, `{"field": …, "old": …, "new": …}`); the same within texts that hold JSON. null and
    `""` stay. A container deeper than an event may be is withheld whole. `values` is not changed.
    """
    gone: list[Withheld] = []
    kept = _Cleaner(policy, module, salt, gone).mapping(values, object_type, path)
    return (kept if isinstance(kept, dict) else dict(kept)), gone


# -- texts ------------------------------------------------------------------------------------------------------------


def scrub_pairs(policy: Policy, module: str, text: str) -> str:
    """`text` with `(withheld)` for the value of each `key: value` and `key=value` whose key the policy withholds."""
    return _scrub.pairs(text, lambda key: decide(policy, module, key).action != "keep")


@lru_cache(maxsize=256)
def _withholds(policy: Policy) -> bool:
    return policy.withholds()


def sieve(policy: Policy, module: str) -> Callable[[str], bool]:
    """A function that tells of most texts at a glance that `protect_text` gives them back (`_scrub.Sieve.passes`)."""
    if not _withholds(policy):
        return lambda text: True  # noqa: ARG005 - whatever it says
    return _scrub.Sieve(lambda key: decide(policy, module, key).action != "keep").passes


def protect_text(policy: Policy, module: str, text: str) -> str:
    """A sentence of the source's own: without withheld `key: value` pairs, IBANs, social security and card numbers."""
    if not _withholds(policy):
        return text
    return _scrub.patterns(scrub_pairs(policy, module, text), numbers=False)


def protect_original(policy: Policy, module: str, text: str) -> str:
    """The text of a record for `event.original`: as `protect_text`, and every number of six or more digits starred.

    A text that is JSON is cleaned by its names first. Nothing is done under a policy that withholds nothing. What
    stands in other words than these is not found: docs/explanation/privacy.md says so.
    """
    if not _withholds(policy):
        return text
    if text.lstrip()[:1] in _JSON_BEGINS:
        text = _Cleaner(policy, module, _no_salt, []).text(text, "", "event.original")
    return _scrub.patterns(scrub_pairs(policy, module, text), numbers=True)


def _no_salt() -> bytes:
    """For texts, whose digests nobody keeps: the entries are thrown away."""
    return bytes(16)
