"""One change of one field as `trail.change` (docs/reference/event.md): states, texts, numbers, types. Pure."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

import orjson

from parsers._contract import ABSENT, SECRET, UNKNOWN, Change
from parsers._json import Number
from shipper.seal.canonical import conform_value

_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?", re.ASCII).fullmatch
_DATE: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII
).fullmatch
_CANONICAL: Final = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS
_DIGITS: Final = frozenset("-0123456789")
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+").findall
_NAMING: Final = frozenset(
    """account assignee category code codes currency fax field folder followers form group guid iban id ids key kind
    label layout list location mailbox manager mobile name no nr number numbers option owner owners parent phase phone
    pin pipeline plan postal postcode priority queue reason recruiter ref reference role roles segment serial source
    ssn stage state status step tag tags team template territory token type user users uuid version workflow zip
    """.split()  # noqa: SIM905 - a list of sixty quoted words reads worse
)
"""Last words of field names whose digits name something: a difference of two of them means nothing."""
_LONGEST_NAME: Final = 256


@lru_cache(maxsize=4096)
def _names_something(field: str) -> bool:
    words = [word.lower() for word in _WORDS(field.replace("IDs", "Ids"))]
    return bool(words) and (words[-1] in _NAMING or words[-2:] in (["assigned", "to"], ["reports", "to"]))


def is_quantity(field: str) -> bool:
    """Whether digits in a field of this name may be counted with: not in `owner_id`, `stage`, `zipCode`."""
    return not _names_something(field[-_LONGEST_NAME:])


def _exact(value: Any) -> Any:
    """What orjson cannot write: a number keeps the characters of its source, anything else is its text."""
    return orjson.Fragment(str(value)) if isinstance(value, Number) else str(value)


def text_of(value: Any) -> str:
    """A JSON value as the text that is indexed: scalars as written, lists and objects as canonical JSON.

    A number within a list or an object keeps the characters of its source too.
    """
    if type(value) is str:
        return value
    if isinstance(value, str):
        return str(value)
    if value is True:
        return "true"
    if value is False:
        return "false"
    try:
        if isinstance(value, int):
            return str(value)
        return orjson.dumps(value, option=_CANONICAL, default=_exact).decode()
    except (TypeError, ValueError):  # what only a parser of its own could make: integers and texts that JSON has not
        value = conform_value(value, 0)
        return value if isinstance(value, str) else orjson.dumps(value, option=_CANONICAL).decode()


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
    if type(value) is str:
        if text[:1] not in _DIGITS:
            return "string"
        if _NUMBER(text):
            return "number"
        return "date" if _DATE(text) else "string"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, list):
        return "list"
    return "object" if isinstance(value, dict) else "number"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Number)) and value is not True and value is not False


def type_of(field: str, text: str) -> str:
    """`value_type` of a text, as `document` says it."""
    kind = _type_of(text, text)
    return "string" if kind == "number" and not is_quantity(field) else kind


def _decimal(value: Any) -> Decimal:
    return Decimal(repr(value) if isinstance(value, float) else str(value))


def same(old: Any, new: Any) -> bool:
    """Whether nothing changed, compared as JSON: `1` is `1.0` and not `true`; what is not known is never the same."""
    if type(old) is str and type(new) is str:
        return bool(old == new)
    if old is UNKNOWN or new is UNKNOWN or old is SECRET:
        return False
    if old is new:
        return True
    if _is_number(old) and _is_number(new):
        if type(old) is type(new) and old == new:
            return True
        try:
            return _decimal(old) == _decimal(new)
        except InvalidOperation:  # an exponent that Decimal cannot hold
            return str(old) == str(new)
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(same(value, new[name]) for name, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(same(*pair) for pair in zip(old, new, strict=True))
    return type(old) is type(new) and bool(old == new)


def _plain(number: Decimal) -> int | float | None:
    """A decimal as the JSON number whose canonical text has no exponent, else None."""
    if number == number.to_integral_value():
        whole = int(number)
        return whole if abs(whole) < 2**53 else None
    value = float(number)
    return None if "e" in repr(value) else value


def document(change: Change, index: int) -> dict[str, Any]:
    """`change` as the `trail.change` object, before the privacy policy; keys are not sorted yet."""
    field, old, new, label, old_label, new_label, derivation, after, before = change
    out: dict[str, Any] = {"derivation": derivation, "field": field, "index": index}
    # The usual pair of two texts first: this runs for every event.
    if type(old) is str and old:
        out["old_state"], out["old"], old_text, old_there = "value", old, old, True
    else:
        out["old_state"] = state = state_of(old)
        old_there = old is not SECRET and state in {"value", "empty"}
        old_text = ""
        if old_there:
            out["old"] = old_text = text_of(old)
    if type(new) is str and new:
        out["new_state"], out["new"], new_text, new_there = "value", new, new, True
    else:
        out["new_state"] = state = state_of(new)
        new_there = new is not SECRET and state in {"value", "empty"}
        new_text = ""
        if new_there:
            out["new"] = new_text = text_of(new)
    if old is None or old is ABSENT:
        out["op"] = "add"
    elif new is None or new is ABSENT:
        out["op"] = "remove"
    else:
        out["op"] = "update"
    if new_there and (new_text != "" or not old_there):
        value, kind = new, _type_of(new, new_text)
    elif old_there:
        value, kind = old, _type_of(old, old_text)
    else:
        kind = ""
    if kind == "number":
        if is_quantity(field):
            if old_there and new_there:
                _add_numbers(out, old_text, new_text)
        elif type(value) is str:
            kind = "string"
    if old is SECRET or new is SECRET:
        out["redaction"] = "drop"
    if kind:
        out["value_type"] = kind
    if label:
        out["label"] = label
    if old_label:
        out["old_label"] = old_label
    if new_label:
        out["new_label"] = new_label
    if after:
        out["changed_after"] = after
    if before:
        out["changed_before"] = before
    return out


def percent_change(a: int, b: int) -> int | float | None:
    """By how many per cent of itself `a` became `b`, to two digits; None for nothing that can be said so."""
    if not a:
        return None
    percent = round((b - a) * 100 / abs(a), 2)
    if percent == int(percent):
        return int(percent)
    return None if "e" in repr(percent) else percent


def _add_numbers(out: dict[str, Any], old_text: str, new_text: str) -> None:
    """The numeric copies and their difference, exact: computed in decimal from the source's characters."""
    if not (_NUMBER(old_text) and _NUMBER(new_text)):
        return
    if "." not in old_text and "." not in new_text:
        a, b = int(old_text), int(new_text)
        out["old_number"], out["new_number"], out["delta"] = a, b, b - a
        percent_of = percent_change(a, b)
        if percent_of is not None:
            out["delta_pct"] = percent_of
        return
    x, y = Decimal(old_text), Decimal(new_text)
    numbers = {"old_number": _plain(x), "new_number": _plain(y), "delta": _plain(y - x)}
    if any(value is None for value in numbers.values()):
        return
    out.update(numbers)
    if x:
        percent_plain = _plain(round((y - x) * 100 / abs(x), 2))
        if percent_plain is not None:
            out["delta_pct"] = percent_plain
