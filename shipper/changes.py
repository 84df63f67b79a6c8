"""One change of one field as `trail.change` (docs/reference/event.md): states, texts, numbers, types. Pure."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson

from parsers._contract import ABSENT, UNKNOWN, Change
from parsers._json import Number

_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?").fullmatch
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?").fullmatch
_NO_QUANTITY: Final = re.compile(
    r"(?:^|[^a-z])(?:ids?|phone|fax|mobile|zip|postcode|postal|code|number|no|ssn|key|uuid)$|(?:Id|ID|Ids|Number|Code|Phone)$"
).search
"""Fields whose digits name something: a difference of two of them means nothing."""


def text_of(value: Any) -> str:
    """A JSON value as the text that is indexed: scalars as written, lists and objects as canonical JSON."""
    if isinstance(value, str):
        return str(value)
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS, default=str).decode()


def state_of(value: Any) -> str:
    """`value` `null` `empty` `absent` `unknown`."""
    if value is None:
        return "null"
    if value is ABSENT:
        return "absent"
    if value is UNKNOWN:
        return "unknown"
    return "empty" if value == "" else "value"


def _type_of(value: Any, text: str) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float, Number)):
        return "number"
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        return "object"
    if _NUMBER(text):
        return "number"
    return "date" if _DATE(text) else "string"


def same(old: Any, new: Any) -> bool:
    """Whether nothing changed, compared as JSON (`1` and `true` differ; `1` and `1.0` do not)."""
    if old is new:
        return True
    if isinstance(old, bool) is not isinstance(new, bool):
        return False
    if type(old) is type(new) and not isinstance(old, (list, dict)):
        return bool(old == new)
    return bool(old == new) and text_of(old) == text_of(new)


def _plain(number: Decimal) -> int | float | None:
    """A decimal as the JSON number whose canonical text has no exponent, else None."""
    if number == number.to_integral_value():
        whole = int(number)
        return whole if abs(whole) < 2**53 else None
    value = float(number)
    return None if "e" in repr(value) else value


def document(change: Change, index: int) -> dict[str, Any]:
    """`change` as the `trail.change` object, before the privacy policy; keys are not sorted yet."""
    old, new = change.old, change.new
    old_state, new_state = state_of(old), state_of(new)
    out: dict[str, Any] = {
        "derivation": change.derivation,
        "field": change.field,
        "index": index,
        "new_state": new_state,
        "old_state": old_state,
    }
    old_there, new_there = old_state in {"value", "empty"}, new_state in {"value", "empty"}
    if old_there:
        out["old"] = old_text = text_of(old)
    if new_there:
        out["new"] = new_text = text_of(new)
    if old_state in {"null", "absent"}:
        out["op"] = "add"
    elif new_state in {"null", "absent"}:
        out["op"] = "remove"
    else:
        out["op"] = "update"
    if new_there and not (new_state == "empty" and old_there):
        kind = _type_of(new, new_text)
    elif old_there:
        kind = _type_of(old, old_text)
    else:
        kind = ""
    if kind == "number" and type(new if new_there else old) is str and _NO_QUANTITY(change.field):
        kind = "string"
    if kind:
        out["value_type"] = kind
    if kind == "number" and old_there and new_there and not _NO_QUANTITY(change.field):
        _add_numbers(out, old_text, new_text)
    if change.label:
        out["label"] = change.label
    if change.old_label:
        out["old_label"] = change.old_label
    if change.new_label:
        out["new_label"] = change.new_label
    if change.changed_after:
        out["changed_after"] = change.changed_after
    if change.changed_before:
        out["changed_before"] = change.changed_before
    return out


def _add_numbers(out: dict[str, Any], old_text: str, new_text: str) -> None:
    """The numeric copies and their difference, exact: computed in decimal from the source's characters."""
    if not (_NUMBER(old_text) and _NUMBER(new_text)):
        return
    if "." not in old_text and "." not in new_text:
        a, b = int(old_text), int(new_text)
        out["old_number"], out["new_number"], out["delta"] = a, b, b - a
        if a:
            percent = round((b - a) * 100 / abs(a), 2)
            if "e" not in repr(percent):
                out["delta_pct"] = int(percent) if percent == int(percent) else percent
        return
    try:
        x, y = Decimal(old_text), Decimal(new_text)
    except InvalidOperation:
        return
    numbers = {"old_number": _plain(x), "new_number": _plain(y), "delta": _plain(y - x)}
    if any(value is None for value in numbers.values()):
        return
    out.update(numbers)
    if x:
        percent_plain = _plain(round((y - x) * 100 / abs(x), 2))
        if percent_plain is not None:
            out["delta_pct"] = percent_plain
