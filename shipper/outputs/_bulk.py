"""OpenSearch's `_bulk`, the pure part: what is sent, and what an answer means. No network, no clock.

A request is pairs of lines, an action and a document, each ending in a newline. The answer to n documents is 200 with
n items in the order of the request, each with a status of its own; the status of the answer says nothing about them.
So an answer is read item by item, and an answer that does not fit the request decides nothing: the request is
repeated, which the fixed `_id`s make harmless.

Texts for people (`Reply.error`) are made of statuses, error types and words of ours. The `reason` of an error quotes
values of the document: it goes into a `Refusal` and nowhere else.

Facts: tests/integration/test_opensearch_facts.py (OpenSearch 3.8).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from enum import Enum
from itertools import accumulate, repeat
from typing import Any, Final, NamedTuple

import orjson

from shipper.model import Document, Documents, Run, datasets, payloads
from shipper.seal.canonical import exact

ONE_EACH: Final = "took,errors,items.*.status,items.*.error,items.*._index"
"""The `filter_path` that makes an answer small and still keeps one entry per item, in order."""

LONG_PAUSE: Final = 60.0
"""Seconds to wait where a person has to act first."""

CLOCK_IS_OFF: Final = "the signature's time is not the server's: the clock of this machine is off (403)"
_CLOCK: Final = re.compile(rb"Signature expired|Signature not yet current|RequestTimeTooSkewed")
_PRESSED: Final = frozenset({408, 429, 503, 504})

MOST_DOCUMENTS: Final = 5_000
SYSTEMIC_AT: Final = 20
"""From this many documents on, the same refusal for more than half of them is no fault of the documents."""


class Answer(NamedTuple):
    """An HTTP response: header names in lower case, the body as it came (decompressed)."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, None if it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


def clock_is_off(answer: Answer) -> bool:
    """Whether AWS refuses a signature for its time."""
    return _CLOCK.search(answer.body[:2000]) is not None


# -- what is sent ------------------------------------------------------------------------------------------------------


def stream(dataset: str, namespace: str) -> str:
    """The data stream of a dataset: `logs-fieldtrail.change-default`."""
    return f"logs-{dataset}-{namespace}"


def pattern(namespace: str) -> str:
    """All data streams of a namespace."""
    return f"logs-fieldtrail.*-{namespace}"


_BLOCK: Final = 4096
_ENDS: Final = tuple(b'%03x"}}\n' % number for number in range(_BLOCK))
"""How the action lines of a block of ids end; what stands before its last three digits is the same for all of them."""


def body(documents: Sequence[Document], namespace: str) -> bytes:
    """The lines that create these documents, each in the data stream of its dataset."""
    heads = {
        dataset: b'{"create":{"_index":' + orjson.dumps(stream(dataset, namespace)) + b',"_id":'
        for dataset in datasets(documents)
    }
    parts: list[bytes] = []
    if isinstance(documents, Documents):
        for run in documents.runs:
            parts += _lines(heads[run.dataset] + orjson.dumps(run.prefix)[:-1], run)
    else:
        for document in documents:
            parts += (heads[document.dataset], orjson.dumps(document.id), b"}}\n", document.data, b"\n")
    return b"".join(parts)


def _lines(head: bytes, run: Run) -> list[bytes]:
    """The texts of a run, four for each document; in a row of ids none of them is made for one document alone."""
    numbers, count = run.numbers, len(run.data)
    lines = [b"\n"] * (4 * count)
    lines[2::4] = run.data
    if not isinstance(numbers, range):
        lines[0::4] = repeat(head, count)
        lines[1::4] = map(b'%014x"}}\n'.__mod__, numbers)
        return lines
    at = 0
    while at < count:
        block, first = divmod(numbers[at], _BLOCK)
        some = min(_BLOCK - first, count - at)
        place, end = 4 * at, 4 * (at + some)
        lines[place:end:4] = repeat(head + b"%011x" % block, some)
        lines[place + 1 : end : 4] = _ENDS[first : first + some]
        at += some
    return lines


_ACTION = 128
"""About the length of an action line."""


def size(documents: Sequence[Document]) -> int:
    """About the bytes that `body` gives for them."""
    return sum(map(len, payloads(documents))) + _ACTION * len(documents)


def split(documents: Sequence[Document], limit: int) -> Iterator[Sequence[Document]]:
    """Runs of documents of at most `limit` bytes and `MOST_DOCUMENTS`, but of one document at least."""
    count = len(documents)
    if 0 < count <= MOST_DOCUMENTS and size(documents) <= limit:
        yield documents  # as usual: batches are made to fit
        return
    ends = list(accumulate((len(data) + _ACTION for data in payloads(documents)), initial=0))
    start = 0
    while start < count:
        fitting = bisect_right(ends, ends[start] + limit) - 1
        stop = min(max(fitting, start + 1), start + MOST_DOCUMENTS)
        yield documents[start:stop]
        start = stop


def same(ours: bytes, theirs: Any) -> bool:
    """Whether a stored `_source` (parsed) says what we sent.

    Key order and the spelling of numbers are the server's business; nonce, index and values are not. What only
    differs so has the same leaf.
    """
    try:
        if orjson.dumps(theirs) == ours:
            return True
        return exact(theirs) == exact(orjson.loads(ours))
    except (ValueError, TypeError, RecursionError):
        return False


# -- what an item means ------------------------------------------------------------------------------------------------


class Fate(Enum):
    """What becomes of a document."""

    DELIVERED = "delivered"
    EXISTS = "exists"
    """The `_id` is taken: what is there must be compared."""
    RETRY = "retry"
    PAUSE = "pause"
    """Try again, slowly: a person or a full disk is the cause."""
    REFUSED = "refused"


class Verdict(NamedTuple):
    """An item, read. `place`: the concrete index it speaks of; `cause`: for people, without values."""

    fate: Fate
    status: int
    place: str = ""
    type: str = ""
    reason: str = ""
    field: str | None = None
    cause: str = ""


_WORD = re.compile(r"[a-z][a-z0-9_]{0,79}")
_BLOCKED = frozenset({"cluster_block_exception", "index_create_block_exception"})
# Anchored, and never tried on mapper errors: their reasons quote values, and no text in a log may stop an output.
_SYSTEMIC = tuple(
    (re.compile(text), words)
    for text, words in (
        (
            r"(?:Validation Failed: \d+: )?this action would add \[\d+\] total (?:\w+ )?shards",
            "the cluster has its maximum of shards open; raise cluster.max_shards_per_node or delete indices",
        ),
        (r"Limit of (?:total fields|mapping depth|nested fields)", "the index has its maximum of fields"),
        (r"pipeline with id \[[^\]]*\] does not exist", "the ingest pipeline named by the index is missing"),
    )
)
_FIELDS = tuple(
    re.compile(text)
    for text in (
        r"failed to parse field \[([^\]]+)\]",
        r"object mapping for \[([^\]]+)\]",
        r"mapping set to strict, dynamic introduction of \[([^\]]+)\]",
        r'Document contains at least one immense term in field="([^"]+)"',
    )
)
_FIELD_NAME = re.compile(r"[A-Za-z0-9_@.-]{1,200}")
_FOREIGN = ("trail.raw", "trail.values", "labels")
"""Below these the names are the source's own, and may be values themselves."""


def word(kind: Any) -> str:
    """An error type as a bounded word; `unknown` for anything else a server may say."""
    return kind if isinstance(kind, str) and _WORD.fullmatch(kind) else "unknown"


def error_of(value: Any) -> tuple[str, str]:
    """(type, reason) of an `error` member, the causes' reasons included; ("unknown", text) where it is plain text."""
    if not isinstance(value, dict):
        return "unknown", value[:1000] if isinstance(value, str) else ""
    reasons = []
    cause: Any = value
    for _ in range(5):
        if not isinstance(cause, dict):
            break
        if isinstance(cause.get("reason"), str) and cause["reason"] not in reasons:
            reasons.append(cause["reason"])
        cause = cause.get("caused_by")
    return word(value.get("type")), ": ".join(reasons)[:2000]


def field_of(reason: str) -> str | None:
    """The field that a refusal names, None where it names none in words we know. Never a value, never a foreign key."""
    for expression in _FIELDS:
        match = expression.match(reason)
        if match and _FIELD_NAME.fullmatch(match[1]):
            name = match[1]
            return next((top for top in _FOREIGN if name.startswith(top + ".")), name)
    return None


def verdict(item: Any) -> Verdict | None:
    """What an item of a bulk answer (without the name of its operation) means; None if it is no such item."""
    if not isinstance(item, dict) or type(item.get("status")) is not int:
        return None
    status: int = item["status"]
    index = item.get("_index")
    index = index if isinstance(index, str) else ""
    if 200 <= status < 300:
        return Verdict(Fate.DELIVERED, status, index) if "error" not in item else None
    kind, reason = error_of(item.get("error"))
    if status == 409 and kind in {"version_conflict_engine_exception", "unknown"}:
        return Verdict(Fate.EXISTS, status, index, kind)
    fate, cause = _failure(status, kind, reason)
    field = field_of(reason) if fate is Fate.REFUSED else None
    return Verdict(fate, status, index, kind, reason, field, cause)


def _failure(status: int, kind: str, reason: str) -> tuple[Fate, str]:
    """The fate of one document or, where there are no items, of a request."""
    if kind in _BLOCKED:
        return Fate.PAUSE, f"writing is blocked ({kind}, {status}): a full disk or a read-only index"
    if status in {401, 403}:
        return Fate.PAUSE, f"not allowed ({kind}, {status})"
    if status == 404 and kind == "index_not_found_exception":
        return Fate.PAUSE, "the data stream is missing and may not be created (action.auto_create_index)"
    if status in {408, 409, 425, 429} or status >= 500:
        return Fate.RETRY, f"{kind} ({status})" if kind != "unknown" else f"status {status}"
    if kind != "mapper_parsing_exception":
        for expression, words in _SYSTEMIC:
            if expression.match(reason):
                return Fate.PAUSE, f"{words} ({kind}, {status})"
    return Fate.REFUSED, f"{kind} ({status})"


# -- what an answer means ----------------------------------------------------------------------------------------------


class Kind(Enum):
    """What to do with the answer to a whole request."""

    ITEMS = "items"
    RETRY = "retry"
    TOO_LARGE = "too large"
    """Send less at once."""
    MALFORMED = "malformed"
    """One of the documents spoils the request: find it by halving."""
    BROKEN = "broken"
    """The server failed over it (500). Once is its trouble, again and again it is a document."""


class Reply(NamedTuple):
    """An answer, read. For ITEMS either `created` or `verdicts`, one per document.

    `created`: all documents are, as usual, created (201), and these are the names of the indexes that took them ("" for
    an unnamed one). `pause`: seconds to wait, None = as usual. `uncertain`: documents may have been stored although
    nothing says so.
    """

    kind: Kind
    verdicts: Sequence[Verdict] = ()
    created: frozenset[str] | None = None
    error: str = ""
    pause: float | None = None
    uncertain: bool = False
    type: str = ""
    reason: str = ""
    pressed: bool = False
    """The server asks for less at once."""
    denied: bool = False
    """It does not accept who we are, or we may not write."""


def read_reply(answer: Answer, count: int) -> Reply:
    """What the answer to a request of `count` documents means."""
    status = answer.status
    if 200 <= status < 300:
        return _read_items(answer, count)
    if 300 <= status < 400:
        error = f"the address redirects ({status}): hosts must name OpenSearch itself"
        return Reply(Kind.RETRY, error=error, pause=LONG_PAUSE, uncertain=True)
    if status == 413:
        return Reply(Kind.TOO_LARGE, error="the request is too large (413)", type="request_too_large")
    content = answer.json()
    kind, reason = error_of(content.get("error")) if isinstance(content, dict) else ("unknown", "")
    wait = retry_after(answer.headers)
    pressed = status in _PRESSED
    if status == 401:
        return Reply(Kind.RETRY, error="wrong user name or password (401)", pause=wait or LONG_PAUSE, denied=True)
    if status == 403 and clock_is_off(answer):
        return Reply(Kind.RETRY, error=f"{CLOCK_IS_OFF} (hint: timedatectl status)", pause=LONG_PAUSE, denied=True)
    if status == 400:
        fate, cause = _failure(status, kind, reason)
        if fate is Fate.REFUSED:
            return Reply(Kind.MALFORMED, error=cause, type=kind, reason=reason)
        return Reply(Kind.RETRY, error=cause, pause=LONG_PAUSE)
    if status == 500:
        return Reply(Kind.BROKEN, error=f"{kind} (500)", pause=wait, uncertain=True, type=kind, reason=reason)
    if status in {403, 408, 425, 429} or status >= 500:
        fate, cause = _failure(status, kind, reason)
        pause = wait if wait is not None or fate is Fate.RETRY else LONG_PAUSE
        uncertain, denied = status >= 500 or status == 408, status == 403 and kind not in _BLOCKED
        return Reply(Kind.RETRY, error=cause, pause=pause, uncertain=uncertain, pressed=pressed, denied=denied)
    return Reply(Kind.RETRY, error=f"no _bulk at this address ({status})", pause=LONG_PAUSE)


def _read_items(answer: Answer, count: int) -> Reply:
    created = _created(answer.body, count)
    if created is not None:
        return Reply(Kind.ITEMS, created=created)
    content = answer.json()
    items = content.get("items") if isinstance(content, dict) else None
    if not isinstance(items, list):
        return Reply(
            Kind.RETRY, error=f"status {answer.status} without a bulk answer: is this OpenSearch?", uncertain=True
        )
    if len(items) != count:
        return Reply(Kind.RETRY, error=f"answered for {len(items)} of {count} documents", uncertain=True)
    verdicts = []
    for item in items:
        inner = next(iter(item.values()), None) if isinstance(item, dict) and len(item) == 1 else None
        read = verdict(inner)
        if read is None:
            return Reply(Kind.RETRY, error="an item of the bulk answer cannot be read", uncertain=True)
        verdicts.append(read)
    return Reply(
        Kind.ITEMS,
        verdicts,
        pressed=any(one.status in _PRESSED for one in verdicts),
        denied=any(one.status == 403 and one.type not in _BLOCKED for one in verdicts),
    )


_PLAIN = re.compile(rb'\{"took":(?:0|[1-9]\d{0,14}),"errors":false,"items":\[\{')
_DISTINCT: Final = 16
_ITEM_BYTES: Final = 500


def _created(body: bytes, count: int) -> frozenset[str] | None:
    """`Reply.created` where every item is a plain 201, as usual; else None, and the answer is read item by item.

    The text is cut wherever two items may meet, and each distinct piece is read once. That is no guess: if the pieces
    are JSON objects, commas between them make them the elements of the array.
    """
    head = _PLAIN.match(body)
    if head is None or not body.endswith(b"}]}"):
        return None
    pieces = body[head.end() : -3].split(b"},{")
    distinct = set(pieces)
    if len(pieces) != count or len(distinct) > _DISTINCT or max(map(len, distinct)) > _ITEM_BYTES:
        return None
    places = set()
    for piece in distinct:
        try:
            item = orjson.loads(b"{%b}" % piece)
        except orjson.JSONDecodeError:
            return None
        read = verdict(item.get("create")) if len(item) == 1 else None
        if read is None or read.status != 201:
            return None
        places.add(read.place)
    return frozenset(places)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a `Retry-After` header (RFC 9110 section 10.2.3); a date counts from the answer's own `Date`."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(headers["date"])).total_seconds())
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return None


def systemic(verdicts: Sequence[Verdict]) -> str | None:
    """The error type by which more than half of a request of `SYSTEMIC_AT` documents or more was refused, else None."""
    if len(verdicts) < SYSTEMIC_AT:
        return None
    kinds = Counter(one.type for one in verdicts if one.fate is Fate.REFUSED)
    return next((kind for kind, count in kinds.most_common(1) if count * 2 > len(verdicts)), None)


def summary(verdicts: Sequence[Verdict], when: Callable[[Verdict], bool]) -> str:
    """The causes of those verdicts, the most frequent first: `es_rejected (429): 12 of 500 documents`."""
    causes = Counter(one.cause for one in verdicts if when(one))
    return "; ".join(f"{cause}: {count} of {len(verdicts)} documents" for cause, count in causes.most_common(3))
