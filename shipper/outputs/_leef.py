r"""Events as LEEF messages: IBM Log Event Extended Format, version 2.0.

    LEEF:2.0|Fieldtrail|Fieldtrail|0.1.0|field.update|^|devTime=1770114600000^cat=database^usrName=kim@co.example^…

A LEEF message is a translation, not the sealed document: it cannot be verified, but names the document (`documentId`).

The format knows no escape at all, so nothing in a value is changed but control characters, line ends among them, which
go as pictures (`shipper.outputs._dialect`), and the separator: a backslash stays one, for `ACME\kim` must be found as
such. The separator of version 2.0 is free for each message; it is always `^` here, and `^` in a value goes as its wide
form (U+FF3E). A message with another one would be exact, but a receiver that was told one separator for all messages
would then read in it what the author of a value wrote: `x^newValue=90001^y`. Syslog daemons rewrite TAB, that of
version 1.0, and other control characters (`#011`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import mappings
from shipper.outputs._dialect import Table, plain

if TYPE_CHECKING:
    from shipper.model import Event

SEPARATOR: Final = "^"
_WIDE: Final = str.maketrans({SEPARATOR: "\uff3e"})


def header_field(text: str) -> str:
    """`text` between the bars of the header, where a bar cannot be said."""
    return plain(text).replace("|", "_")


def value(text: str) -> str:
    """`text` between two separators."""
    return plain(text).translate(_WIDE)


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
        attributes = [f"sev={max(1, severity)}", *(f"{key.key}={value(text)}" for key, text in pairs)]
        head = f"{self._head}{header_field(version)}|{header_field(action)}|{SEPARATOR}|"
        return head + SEPARATOR.join(attributes)
