r"""Events as CEF messages: ArcSight Common Event Format, version 0 (implementation standard, revision 25).

    CEF:0|Fieldtrail|Fieldtrail|0.1.0|field.update|Field update|7| rt=1770114600000 … cs1Label=Old Value cs1=90000 …

A CEF message is a translation, not the sealed document: it cannot be verified, but names the document (`cs6`, `cn1`).
In the header `\` and `|` are escaped, in values `\`, `=` and line ends (`\n`, `\r`), nothing else: a parser that takes
the format at its word refuses any other escape. Other control characters go as pictures (`shipper.outputs._dialect`).

A blank stands before the first key. The format does not ask for it, but parsers skip it, and one that is widely used
(liblognorm, in rsyslog) takes the first character after the header for granted and would lose it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import mappings
from shipper.outputs._dialect import PICTURES, Table, cut

if TYPE_CHECKING:
    from shipper.model import Event

_HEAD: Final = {**PICTURES, ord("\\"): "\\\\", ord("|"): "\\|"}
_VALUE: Final = {**PICTURES, ord("\\"): "\\\\", ord("="): "\\=", ord("\n"): "\\n", ord("\r"): "\\r"}
_special = re.compile(r"[\x00-\x1f\x7f\\=]").search


def header_field(text: str) -> str:
    """`text` between the bars of the header."""
    return text.translate(_HEAD)


def value(text: str) -> str:
    """`text` as the value of a key."""
    return text.translate(_VALUE) if _special(text) else text


class Cef:
    """Writes events as CEF. `standard`: values that the format's dictionary holds too long are cut, and say so."""

    def __init__(self, *, standard: bool) -> None:
        dialect = mappings.dialect("cef")
        self._table = Table(dialect)
        self._standard = standard
        self._head = f"CEF:0|{header_field(dialect.vendor)}|{header_field(dialect.product)}|"

    def __call__(self, event: Event) -> str:
        """One message, in one line. `event`: a shipped document, its `_id` included."""
        pairs, severity = self._table.read(event)
        action = str(event.get("event", {}).get("action", ""))
        version = str(event.get("agent", {}).get("version", ""))
        # The name says what kind of event it is, and nothing of this one: receivers group by it.
        name = action.replace(".", " ").replace("_", " ").capitalize()
        parts = [f"{self._head}{header_field(version)}|{header_field(action)}|{header_field(name)}|{severity}|"]
        for key, text in pairs:
            fitting = cut(text, key.length) if self._standard and key.length is not None else text
            if key.label:
                parts.append(f"{key.key}Label={key.label}")
            parts.append(f"{key.key}={value(fitting)}")
        return " ".join(parts)
