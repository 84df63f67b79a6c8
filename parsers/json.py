"""Any JSON object, one a line, as a plain activity: what `auto` takes where no other format understands the objects.

What it records: whatever the application wrote, unread. Nothing is known of who, what or from where, so this is a place
to start: map the log's own names under `formats:` in the configuration, and the same lines become changes and
activities that can be searched and alerted on.

How to get it: any logger that writes one JSON object a line.

One line in:

```json
{"time":"2026-02-03T10:30:00Z","message":"salary saved","who":"kim","was":90000,"is":120000}
```

One event out: `event.action` log.message, `@timestamp`, `message`, and `trail.raw` with `who`, `was` and `is`.

The time is the first of `@timestamp` `timestamp` `time` `ts` `datetime` that is an ISO 8601 text; a number is not
taken, since its unit would be a guess. The message is the first of `message` `msg` that is a text. All else, and all
where neither fits, stays in `trail.raw`. Secrets, by their names or inside of texts (`password=…`), become
`(secret dropped)`.

Missing: user.id, source.ip, trail.session.id, trail.interface, and the changes. Options: none.
"""

from __future__ import annotations

import re
from typing import Final

from parsers._contract import Context, Format, Gives, Operation, Rejected, Time
from parsers._json import decode
from parsers._logged import drop_logged_secrets

FORMAT = Format(
    name="json",
    module="json",
    vendor="JSON",
    title="Any JSON object a line, unmapped",
    generic=True,
    gives=Gives.of("when"),
)
LITERALS = (b"{",)

_TIMES: Final = ("@timestamp", "timestamp", "time", "ts", "datetime")
_MESSAGES: Final = ("message", "msg")
_iso_like = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}[0-9:.,TtZz+\- ]{0,40}").fullmatch


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One activity per object."""
    del ctx
    data = decode(record)
    if isinstance(data, Rejected):
        return data
    if not isinstance(data, dict):
        return Rejected("not a JSON object")
    operation = Operation(action="log.message", kind="log", raw=data)
    for name in _TIMES:
        value = data.get(name)
        if isinstance(value, str) and _iso_like(value):
            operation.time = Time(data.pop(name))
            break
    for name in _MESSAGES:
        if isinstance(data.get(name), str):
            operation.message = data.pop(name)
            break
    drop_logged_secrets(operation)
    return [operation]
