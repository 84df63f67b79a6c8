"""The nouns between the rooms. A stage maps one to the next; nobody edits an earlier noun."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, compress, repeat
from operator import eq
from typing import Any, NamedTuple, Protocol, overload

Event = dict[str, Any]
"""An ECS document as a plain dict, before `seal` is added; shape: docs/reference/event.md."""


class Record(NamedTuple):
    """One framed record: its bytes without line end, and where it stood in its stream (bytes, line end included)."""

    data: bytes
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one stream that were read together, and the position after them.

    `stream` is the stream's stable id, `path` what people call it. `position` is opaque to all but the input: a JSON
    object that goes into the journal frame with the records and comes back at the next start. `format` is the format
    chosen for the stream. `mtime`: the file's modification time (s since the epoch) or None.
    """

    input: str
    stream: str
    path: str
    format: str
    records: Sequence[Record]
    position: Mapping[str, Any]
    received: float
    """Seconds since the epoch, UTC, from the Clock."""
    mtime: float | None = None
    deliveries: Mapping[int, str] = field(default_factory=dict)
    """Offset of a record -> the source's id of it or of its delivery, where it has one: `trail.origin.delivery`."""


class Document(NamedTuple):
    """One shipped document as outputs see it.

    `index`: leaf index, or -1 for a checkpoint document. `dataset`: `data_stream.dataset`. `data`: the exact bytes to
    ship, with the `seal` member. `id`: `_id` (`<log>-<14 hex digits>` or `<log>-c<size>`).
    """

    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody wants of a document
    dataset: str
    id: str
    data: bytes


CONTROL_DATASETS = frozenset({"fieldtrail.log", "fieldtrail.checkpoint"})


class Run(NamedTuple):
    """Documents of one dataset and one log, in order, as columns.

    `numbers`: the leaf index of each; of a checkpoint document the size of the tree that it signs. `data`: as in
    `Document`, as many.
    """

    dataset: str
    log: str
    numbers: Sequence[int]
    data: Sequence[bytes]

    @property
    def prefix(self) -> str:
        """What stands before the 14 hex digits of the number in an `_id` of this run."""
        return f"{self.log}-c" if self.dataset == "fieldtrail.checkpoint" else f"{self.log}-"

    def documents(self) -> Iterator[Document]:
        """Each as an object."""
        numbers = self.numbers
        indexes = repeat(-1) if self.dataset == "fieldtrail.checkpoint" else numbers
        return map(Document, indexes, repeat(self.dataset), map(f"{self.prefix}%014x".__mod__, numbers), self.data)


class Documents(Sequence[Document]):
    """Documents as columns: an output handles thousands of them without an object for each.

    `runs`: none is empty. As a sequence it makes the `Document`s that somebody asks for; a slice is columns again.
    """

    __slots__ = ("_ends", "runs")

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = tuple(run for run in runs if run.data)
        self._ends = list(accumulate(len(run.data) for run in self.runs))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Document]:
        return chain.from_iterable(run.documents() for run in self.runs)

    @overload
    def __getitem__(self, at: int) -> Document: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Document]: ...

    def __getitem__(self, at: int | slice) -> Document | Sequence[Document]:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            return self._between(start, stop) if step == 1 else list(self)[at]
        place = range(len(self))[at]
        return next(iter(self._between(place, place + 1)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # equal to lists and tuples, of which lists have none

    def _between(self, start: int, stop: int) -> Documents:
        if (start, stop) == (0, len(self)):
            return self
        runs = []
        first = bisect_right(self._ends, start)
        for run, end in zip(self.runs[first:], self._ends[first:], strict=True):
            begin = end - len(run.data)
            if begin >= stop:
                break
            part = slice(max(0, start - begin), stop - begin)
            runs.append(run._replace(numbers=run.numbers[part], data=run.data[part]))
        return Documents(runs)

    def chosen(self, mask: Sequence[bool]) -> Documents:
        """Those for which `mask`, one value for each document, is true."""
        runs, at = [], 0
        for run in self.runs:
            mine = mask[at : at + len(run.data)]
            at += len(run.data)
            numbers, data = list(compress(run.numbers, mine)), list(compress(run.data, mine))
            runs.append(run._replace(numbers=numbers, data=data))
        return Documents(runs)


def payloads(documents: Sequence[Document]) -> list[bytes]:
    """The bytes of each document."""
    if isinstance(documents, Documents):
        return list(chain.from_iterable(run.data for run in documents.runs))
    return [document.data for document in documents]


def datasets(documents: Sequence[Document]) -> set[str]:
    """The datasets that occur among them."""
    if isinstance(documents, Documents):
        return {run.dataset for run in documents.runs}
    return {document.dataset for document in documents}


@dataclass(frozen=True, slots=True)
class Batch:
    """One journal frame, or several of one log in a row, as an output reads it: documents in journal order.

    `seq` counts frames from 0 without gaps; an output's cursor is the `seq` of the next frame to deliver. `log` is the
    16-hex-digit short id, `origin` the full one.
    """

    seq: int
    log: str
    origin: str
    documents: Sequence[Document]
    namespace: str = "default"


class Refusal(NamedTuple):
    """A document that the destination refuses for good: it goes to the dead letters.

    `type` is a bounded word (`mapper_parsing_exception`); `reason` the destination's text, which may quote values and
    therefore never enters the sealed log; `field` the field it names, where it names one.
    """

    document: Document
    type: str
    reason: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch. Every document is in exactly one of the three.

    `delivered`: number of documents accepted (duplicates that proved equal included). `refused`: for the dead letters.
    `retry`: documents to send again later, in order, with `error` saying why in one line; without an `error` they were
    not tried yet, and are given to the output again at once.
    `fork`: documents of whose `_id` the destination holds another content.
    """

    delivered: int
    refused: Sequence[Refusal] = ()
    retry: Sequence[Document] = ()
    error: str = ""
    retry_after: float | None = None
    """Seconds the destination asked us to wait."""
    fork: Sequence[Document] = ()


class Output(Protocol):
    """A destination. One thread calls it; it may block on its socket but must return within its request deadline."""

    id: str

    def open(self, stored: Mapping[str, Any]) -> None:
        """Prepare, given what `state()` returned when the cursor was last saved ({} the first time)."""

    def highest(self, log: str) -> int | None:
        """The highest leaf index the destination holds of this log, -1 for none, None if it cannot be asked.

        Raises `UnavailableError` when it can be asked but does not answer now.
        """

    def deliver(self, batch: Batch) -> Receipt:
        """Send; never raises for what the destination answers or for an unreachable destination."""

    def flush(self) -> Mapping[str, Any]:
        """Make what was delivered durable where that is the output's job; returns the state to keep in the cursor."""

    def cursor(self) -> int | None:
        """The next `seq` by the destination's own durable account (store), or None to use the cursor file."""

    def close(self) -> None:
        """Release everything; may be called twice."""


class Health(NamedTuple):
    """What an input has to tell of itself: a document of stream `fieldtrail.health`.

    `action`: of `mappings/fields.yaml` (`source.gap`). `origin`: members of `trail.origin` beside the input's id;
    `trail`: of `trail`; `outcome`: `success`, `failure` or none. One of an action, an input and a path a moment.
    """

    action: str
    message: str
    origin: Mapping[str, Any] = {}
    trail: Mapping[str, Any] = {}
    outcome: str | None = None


class Input(Protocol):
    """A source that is polled without blocking by the pipeline thread.

    An input may also have these, which are looked for by name:

    `kept(positions)`, {stream: position}: the frame with these positions is durable. Only now may anything be
    acknowledged to the source. Called by the journal's thread; must neither block nor raise.
    `set_aside()` -> {"deduplicated": n, "filtered": n}: records since the last call that were read and not given out.
    `reports()` -> a list of `Health`, to be sealed with what was read. `problems()` -> (place, cause) of what does not
    work now, to be logged once. `losses()`, `ended()`, `cuts()`, `left()`, `statistics()`: as of `FileInput`.
    `finish()` -> chunks: at the end, what was taken from the source and cannot be read again. An input that has it is
    handed on as it runs when a new configuration says the same of it: `rewire(wake)` gives it the new agent's event,
    then `restore` is called again. `leave()`: `close` follows, for a new configuration.
    `connect(other)`: the input that this one `feeds`; before each `restore`.
    """

    id: str

    def restore(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """Given every stored position of this input by stream id, before the first `read`."""

    def read(self, budget: int) -> Iterable[Chunk]:
        """What can be read now, about `budget` bytes at the most; empty when there is nothing."""

    def done(self) -> bool:
        """True when nothing more can come (`--once`, end of stdin)."""

    def close(self) -> None:
        """Release everything; may be called twice."""


READ_PARTS = ("with_events", "rejected", "no_change", "filtered", "deduplicated")
"""Conservation, per input: the records read are the sum of these."""
KEPT_PARTS = ("delivered", "dead_lettered", "filtered", "dropped", "pending")
"""Conservation, per output: the documents kept for it are the sum of these."""


@dataclass(slots=True)
class Counts:
    """Conservation, per input: read = with_events + rejected + no_change + filtered + deduplicated."""

    read: int = 0
    with_events: int = 0
    rejected: int = 0
    no_change: int = 0
    filtered: int = 0
    deduplicated: int = 0
    bytes: int = 0
    events: int = 0
    extra: dict[str, int] = field(default_factory=dict)
