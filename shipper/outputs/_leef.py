r"""Events as LEEF messages: IBM Log Event Extended Format, version 2.0.

    LEEF:2.0|Fieldtrail|Fieldtrail|0.1.0|field.update|^|devTime=1770114600000^cat=database^usrName=kim@co.example^…

A LEEF message is a translation, not the sealed document: it cannot be verified, but names the document (`documentId`).

The format knows no escape at all, so nothing in a value is changed but control characters, line ends among them, which
go as pictures (`shipper.outputs._dialect`): a backslash stays one, for `ACME\kim` must be found as such. The separator
of version 2.0 is free for each message: `^`, or if a value holds it, the first of `SEPARATORS` that none holds. Syslog
daemons rewrite TAB, that of version 1.0, and other control characters (`#011`); so one of them, as `x1F`, is taken only
where the values hold every other choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import mappings
from shipper.outputs._dialect import Table, plain

if TYPE_CHECKING:
    from shipper.model import Event

SEPARATORS: Final = "^~`;!#$&*?@%<>{}[]()"
"""In this order; none of them can be part of a key."""
_LAST = "\x1f"


def header_field(text: str) -> str:
    """`text` between the bars of the header, where a bar cannot be said."""
    return plain(text).replace("|", "_")


def separator(values: list[str]) -> str:
    """A character that no value holds. The values are `plain`, so at least a control character is left."""
    everything = "".join(values)
    return next((one for one in SEPARATORS if one not in everything), _LAST)


class Leef:
    """Writes events as LEEF 2.0."""

    def __init__(self) -> None:
        dialect = mappings.dialect("leef")
        self._table = Table(dialect)
        self._head = f"LEEF:2.0|{header_field(dialect.vendor)}|{header_field(dialect.product)}|"

    def __call__(self, event: Event) -> str:
        """One message, in one line. `event`: a shipped document, its `_id` included."""
        pairs, severity = self._table.read(event)
        action = str(event.get("event", {}).get("action", ""))
        version = str(event.get("agent", {}).get("version", ""))
        values = [plain(text) for _, text in pairs]
        between = separator(values)
        told = f"x{ord(between):02X}" if between == _LAST else between
        attributes = [
            f"sev={max(1, severity)}",
            *(f"{key.key}={text}" for (key, _), text in zip(pairs, values, strict=True)),
        ]
        head = f"{self._head}{header_field(version)}|{header_field(action)}|{told}|"
        return head + between.join(attributes)
