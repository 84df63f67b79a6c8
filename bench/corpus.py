"""The benchmark's input, all of it invented, the same for every run of the same size. Pure.

- `json`: audit lines of a CRM. One line is one JSON object that tells one change, 538 bytes on average. A third of the
  lines holds characters beyond ASCII; one in nine holds JSON escapes (quotes, newlines, tabs, backslashes).
- `json3`: the same with three changes a line.
- `pairs`: the same, one change a line, as `{"changes": {field: [old, new]}}`, and the time as a number of milliseconds.
- `nginx`: access lines in the combined form, 180 bytes on average.
- `sshd`: lines of an OpenSSH server as a syslog daemon writes them to a file, 120 bytes on average.

Addresses are of the documentation ranges, names of the example domains.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

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
_CLIENTS = (*_AGENTS, "curl/8.5.0")
_METHODS = ("GET", "GET", "GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE")
_STATUS = (200, 200, 200, 200, 200, 200, 201, 204, 301, 304, 304, 400, 401, 403, 404, 500)
_PATHS = ("/", "/contacts/", "/api/v2/deals/", "/static/js/app.", "/reports/2026/", "/search/")
_GUESSED = ("admin", "root", "test", "oracle", "postgres", "ubuntu", "git", "deploy", "guest", "backup")
_FOREIGN = ("müssen noch klären", "naïve Schätzung", "Malmö", "東京", "déjà vu", "✓ erledigt 😀")
_ESCAPED = (' said "yes"', "\nsecond line", "\tindented", " \\\\server\\share", ' 24" screen')


def _audit(rng: random.Random, number: int, changes: int) -> dict[str, Any]:
    """Audit line `number` (from 0) as a value, with so many changes of as many fields; `rng` is advanced."""
    person = rng.randrange(400)
    first, last = _FIRST[person % 12], _LAST[person // 12 % 12]
    company = f"{_LAST[rng.randrange(12)]} & {_LAST[rng.randrange(12)]} {rng.choice(('GmbH', 'AB', 'Ltd', 'S.A.'))}"
    changed: dict[str, tuple[object, object]] = {}
    while len(changed) < changes:
        field, old, new = _change(rng)
        changed[field] = (old, new)
    return {
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
        "changes": [{"field": field, "old": old, "new": new} for field, (old, new) in changed.items()],
    }


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _one(rng: random.Random, number: int) -> bytes:
    return _json(_audit(rng, number, 1))


def _three(rng: random.Random, number: int) -> bytes:
    return _json(_audit(rng, number, 3))


def _pairs(rng: random.Random, number: int) -> bytes:
    value = _audit(rng, number, 1)
    value["ts"] = round((_START + number * STEP).timestamp() * 1000)
    value["changes"] = {item["field"]: [item["old"], item["new"]] for item in value["changes"]}
    return _json(value)


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


def _access(rng: random.Random, number: int) -> bytes:
    kind = rng.randrange(16)
    client = f"203.0.113.{rng.randrange(1, 255)}" if kind else f"2001:db8:7::{rng.randrange(1, 65535):x}"
    user = "-" if rng.randrange(5) else f"user{rng.randrange(400)}"
    time = (_START + number * STEP).strftime("%d/%b/%Y:%H:%M:%S +0000")
    status = _STATUS[rng.randrange(len(_STATUS))]
    path = f"{_PATHS[rng.randrange(len(_PATHS))]}{rng.randrange(90_000)}"
    if rng.randrange(3) == 0:
        path += f"?q={_WORDS[rng.randrange(len(_WORDS))]}&page={rng.randrange(1, 40)}"
    size = 0 if status in {204, 304} else rng.randrange(120, 90_000)
    referrer = "-" if rng.randrange(3) else f"https://www.shop.example{_PATHS[rng.randrange(len(_PATHS))]}"
    return (
        f'{client} - {user} [{time}] "{_METHODS[rng.randrange(len(_METHODS))]} {path} HTTP/1.1" {status} {size} '
        f'"{referrer}" "{_CLIENTS[rng.randrange(5)]}"'
    ).encode()


def _login(rng: random.Random, number: int) -> bytes:
    moment = _START + number * STEP
    time = f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}"
    head = f"{time} bastion-{rng.randrange(1, 5):02d} sshd[{rng.randrange(900, 65000)}]:"
    client = f"192.0.2.{rng.randrange(1, 255)}" if rng.randrange(10) else f"2001:db8:22::{rng.randrange(1, 65535):x}"
    where = f"{client} port {rng.randrange(1024, 65536)}"
    known, guessed = f"user{rng.randrange(400)}", _GUESSED[rng.randrange(len(_GUESSED))]
    kind = rng.randrange(20)
    if kind < 6:
        return f"{head} Failed password for invalid user {guessed} from {where} ssh2".encode()
    if kind < 10:
        return f"{head} Failed password for {known} from {where} ssh2".encode()
    if kind < 15:
        key = base64.b64encode(rng.randbytes(32)).rstrip(b"=").decode()
        return f"{head} Accepted publickey for {known} from {where} ssh2: ED25519 SHA256:{key}".encode()
    if kind < 16:
        return f"{head} Accepted password for {known} from {where} ssh2".encode()
    if kind < 18:
        return f"{head} Invalid user {guessed} from {where}".encode()
    return f"{head} Connection closed by authenticating user {known} {where} [preauth]".encode()


KINDS: Final[Mapping[str, Callable[[random.Random, int], bytes]]] = MappingProxyType(
    {"json": _one, "json3": _three, "pairs": _pairs, "nginx": _access, "sshd": _login}
)
"""(generator of random numbers, number of the line from 0) -> the line without its newline."""


def lines(count: int, kind: str = "json", seed: int = SEED) -> Iterator[bytes]:
    """`count` lines of one of the `KINDS`, with their newlines."""
    rng, line = random.Random(seed), KINDS[kind]
    for number in range(count):
        yield line(rng, number) + b"\n"
