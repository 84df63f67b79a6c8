"""Labels out of the JSON that a vendor's API answers: its stages, owners, custom fields. Pure.

A path is names with dots between; `*` stands for each item of a list: `results.*.stages.*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from shipper.directory.people import Label

_SLOT: Final = re.compile(r"\{([^{}]+)\}")
_LONGEST: Final = 256


def at(value: Any, path: str) -> Iterator[Any]:
    """What stands at a path: nothing, one value, or with `*` several."""
    head, _, rest = path.partition(".")
    if not head:
        yield value
    elif head == "*":
        for item in value if isinstance(value, list) else ():
            yield from at(item, rest)
    elif isinstance(value, dict) and head in value:
        yield from at(value[head], rest)


def text_at(value: Any, path: str) -> str:
    """The text or number at a path, as text; "" where there is none."""
    found = next(at(value, path), None)
    if isinstance(found, bool) or not isinstance(found, (str, int)):
        return ""
    return str(found)


def filled(template: str, value: Any) -> str:
    """`{firstName} {lastName}` with the texts at these paths; a template without braces is a path itself."""
    if "{" not in template:
        return text_at(value, template)
    return " ".join(_SLOT.sub(lambda slot: text_at(value, slot[1]), template).split())


def labels_of(answer: Any, *, items: str, id_path: str, label: str, module: str, field: str) -> list[Label]:
    """The labels of one answer; items without an id or a label are left out."""
    found = []
    for item in at(answer, items):
        key, text = text_at(item, id_path), filled(label, item)
        if key and text:
            found.append(Label(module or "*", field.lower(), key, text[:_LONGEST]))
    return found
