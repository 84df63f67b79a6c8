"""Lists of custom fields, each an id or a key with one value, as one value per field. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from parsers._json import is_text, scalar_text


def named_properties(body: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The record with its lists of custom fields as one value per field, so that each is found by its name.

    `{"custom_fields": [{"id": "7", "content": "x"}]}` is `{"custom_fields.7": "x"}`. A list of any other shape, or one
    in which a name comes twice, stays as it is.
    """
    for name in names:
        properties = body.get(name)
        if not isinstance(properties, list) or not properties:
            continue
        named: dict[str, Any] = {}
        for entry in properties:
            label = next((label for label in ("key", "id") if isinstance(entry, dict) and _named(entry, label)), None)
            if label is None or len(entry) != 2 or f"{name}.{entry[label]}" in named.keys() | body.keys():
                break
            named[f"{name}.{entry[label]}"] = next(value for key, value in entry.items() if key != label)
        else:
            del body[name]
            body |= named
    return body


def _named(entry: dict[str, Any], label: str) -> bool:
    value = entry.get(label)
    return scalar_text(value) is not None if label == "id" else is_text(value)
