r"""Any CSV with a header, one row a record: exports and reports of programs that have no format of their own.

**What the source records.** Whatever the columns hold. Who, from where and in which session are known where a column
is called so (below); what changed is not: map the columns in a format of your own (`formats:` with `decode: csv`) for
that.

**How to get it out.** Point an input at the file. Separators are `,` `;` TAB or `|`, told from the header; fields in
quotes may hold separators, doubled quotes and line ends; a byte order mark is skipped. A file that grows is read as
it grows; a new file has its own header.

**One line in**: a header, and one row.

```text
Time,User,IP Address,Message,Employee
2026-02-03T10:30:00Z,kim,192.0.2.10,salary saved,55
```

**What comes out.** One `log.message` a row: `@timestamp`, the message, `user.name`, `source.ip`; here `Employee`
stays in `trail.raw`. The names are those of the format `kv`; case, blanks, `_` and `-` make no difference. Further
times: `When`, `Date & Time`. The time must be ISO 8601 or a number of seconds (larger ones: milli-, microseconds)
since the epoch; any other form stays in `trail.raw`, since its order of day and month would be a guess, and the time
is that of receipt. Secrets, by the column's name or inside of texts, become `(secret dropped)`. Empty fields stay
empty texts.

A first line that does not look like a header is refused with all of its rows, so that `auto` never takes a log whose
lines have commas for CSV. A column's name has at most 64 characters and ten words, three where the names stand like
words in a sentence (`a, b`), and a letter, if it is not `#`, `%`, `№` or a year. It holds no date, time, address,
`name=value`, quotes, braces or control characters; brackets only as a unit or an index (`Weight [kg]`, `tags[0]`).
Columns without a name may be the first and the last ones. For a table whose first line breaks these rules, map a format
of your own with `decode: csv`.

Missing: trail.interface, and what no column tells. Options: none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from parsers._contract import Context, Format, Gives, Operation, Rejected
from parsers._csv import Header, fields, header, row
from parsers._named import described
from parsers._text import readable

FORMAT: Final = Format(
    name="csv",
    module="csv",
    vendor="CSV",
    title="Any CSV with a header, unmapped",
    missing=("trail.interface",),
    generic=True,
    framing="csv",
    gives=Gives.of("who when ip session"),
)
LITERALS: Final = (b",", b";", b"\t", b"|")

_LONGEST: Final = 64
_MOST_WORDS: Final = 10
_MOST_IN_SENTENCE: Final = 3
_LONGEST_CACHED: Final = 20_000
_SIGNS: Final = frozenset({"#", "%", "№"})
_year = re.compile(r"(?:19|20)[0-9]{2}").fullmatch
# `Weight [kg]`, and what tools that flatten JSON write: `tags[0]`, `emails[].value`.
_without_brackets = re.compile(
    r"(?<=\w)(?: ?\[[^\W\d_][^\[\]]{0,19}\]$| ?\[[%€$£°][^\[\]]{0,9}\]$|\[[0-9]{0,3}\](?=[.\[]|$))"
).sub
_no_name = re.compile(
    r"""["{}<>\[\]\\\x00-\x1f\x7f]|^'|'$|://|[0-9]:[0-9]{2}|[0-9]{1,4}([./-])[0-9]{1,2}\1[0-9]{1,4}|\w@\w|\w=\S"""
    r"|^(?:trace|debug|info|notice|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe|panic|alert|emerg):",
    re.IGNORECASE,
).search


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One activity per row."""
    del ctx
    if record[:1] in {b"{", b"["}:
        return Rejected("JSON, not CSV")
    found = row(record)
    if isinstance(found, Rejected):
        return found
    line = record[: record.index(b"\n")].removesuffix(b"\r")
    problem = _problem(line) if len(line) <= _LONGEST_CACHED else _problem.__wrapped__(line)
    if problem is not None:
        return problem
    data: dict[str, Any] = dict(found)
    return [described(data)]


@lru_cache(maxsize=256)
def _problem(line: bytes) -> Rejected | None:
    """Why a first line is no header; None if it is one."""
    found = header(line)
    if not isinstance(found, Header):
        return found
    names = fields(readable(line).removeprefix("\ufeff"), found.separator)
    if not isinstance(names, list):
        return names
    sentence = found.separator == "," and all(name[:1] == " " for name in names[1:])
    names = [name.strip() for name in names]
    named = [position for position, name in enumerate(names) if name]
    if len(named) < 2:
        return Rejected("no CSV header: fewer than two columns have a name")
    # A data frame's index stands first, and a separator at the end of the line makes an empty column.
    if named[0] > 1 or len(named) != named[-1] - named[0] + 1:
        return Rejected("no CSV header: a column without a name")
    for position in named:
        if not _is_name(names[position], sentence=sentence):
            return Rejected(f"no CSV header: column {position + 1} has a text that is no name")
    return None


def _is_name(text: str, *, sentence: bool) -> bool:
    if len(text) > _LONGEST or len(text.split()) > (_MOST_IN_SENTENCE if sentence else _MOST_WORDS):
        return False
    if not any(map(str.isalpha, text)):
        return text in _SIGNS or _year(text) is not None
    return not (_no_name(_without_brackets("", text)) or (sentence and ":" in text))
