"""The benchmark's input: audit lines of an invented CRM, the same for every run of the same size. Pure.

One line is one JSON object that tells one change, 538 bytes on average. A third of
the lines holds characters beyond ASCII; one in nine holds JSON escapes (quotes, newlines, tabs, backslashes).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

SEED = 42
STEP = timedelta(milliseconds=37)
"""Between two lines."""

_START = datetime(2026, 3, 2, 6, 0, 0, tzinfo=UTC)
_FIRST = ("Ada", "Bruno", "Chloé", "Dmitri", "Eun-ji", "Fatou", "Grzegorz", "Hana", "Ines", "Jo", "Kim", "Łukasz")
_LAST = ("Abel", "Brandt", "Castro", "Dale", "Ekman", "Fischer", "Green", "Horvath", "Ito", "Jensen", "Kovacs", "Q")
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36",
    "crm-sync/4.2 (+https://crm.example/sync)",
)
_INTERFACES = ("ui", "ui", "ui", "api", "mobile", "import")
_STAGES = ("new", "qualified", "proposal", "negotiation", "won", "lost", "waiting for customer", "on hold")
_WORDS = (
    "called", "again", "asked", "for", "the", "revised", "offer", "by", "Friday", "wants", "delivery", "to", "site",
    "contact", "prefers", "e-mail", "about", "contract", "renewal", "in", "Q3", "needs", "review", "with", "legal",
    "team", "the", "and", "price", "list", "ok", "early", "estimate", "office", "will", "confirm",
)  # fmt: skip
_FOREIGN = ("müssen noch klären", "naïve Schätzung", "Malmö", "東京", "déjà vu", "✓ erledigt 😀")
_ESCAPED = (' said "yes"', "\nsecond line", "\tindented", " \\\\server\\share", ' 24" screen')


def line(rng: random.Random, number: int) -> bytes:
    """Line `number` (from 0), without its newline; `rng` is advanced."""
    person = rng.randrange(400)
    first, last = _FIRST[person % 12], _LAST[person // 12 % 12]
    company = f"{_LAST[rng.randrange(12)]} & {_LAST[rng.randrange(12)]} {rng.choice(('GmbH', 'AB', 'Ltd', 'S.A.'))}"
    field, old, new = _change(rng)
    value = {
        "ts": (_START + number * STEP).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "seq": 1_000_000 + number,
        "action": "update",
        "actor": {
            "id": f"u-{1000 + person}",
            "email": f"user{person}@co.example",
            "ip": f"198.51.100.{person % 250 + 1}" if person % 5 else f"2001:db8::{person:x}",
            "session": f"{rng.getrandbits(128):032x}",
        },
        "request": {
            "id": f"req-{rng.getrandbits(64):016x}",
            "interface": _INTERFACES[rng.randrange(6)],
            "user_agent": _AGENTS[rng.randrange(4)],
        },
        "object": {
            "type": ("contact", "deal", "company")[rng.randrange(3)],
            "id": str(rng.randrange(90_000)),
            "name": f"{first} {last}, {company}",
        },
        "changes": [{"field": field, "old": old, "new": new}],
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _change(rng: random.Random) -> tuple[str, object, object]:
    """(field, old, new): half of them free text, the rest short values."""
    kind = rng.randrange(8)
    if kind < 5:
        return ("note", "description", "next_step")[kind % 3], _text(rng), _text(rng)
    if kind == 5:
        old = rng.randrange(8)
        return "stage", _STAGES[old], _STAGES[(old + 1 + rng.randrange(7)) % 8]
    if kind == 6:
        old_amount = rng.randrange(1_000, 90_000)
        return "amount", old_amount, old_amount + rng.randrange(1, 9_000)
    return "due_date", None, f"2026-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"


def _text(rng: random.Random) -> str:
    words = [_WORDS[rng.randrange(len(_WORDS))] for _ in range(rng.randrange(5, 12))]
    if rng.randrange(7) == 0:
        words[rng.randrange(len(words))] = _FOREIGN[rng.randrange(6)]
    text = " ".join(words)
    return text + _ESCAPED[rng.randrange(5)] if rng.randrange(10) == 0 else text


def lines(count: int, seed: int = SEED) -> Iterator[bytes]:
    """`count` lines with their newlines."""
    rng = random.Random(seed)
    for number in range(count):
        yield line(rng, number) + b"\n"
