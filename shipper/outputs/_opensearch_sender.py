"""What is done about each answer to `_bulk`: the delivery of one batch to OpenSearch.

Every document of a batch ends as delivered, refused, forked or pending, and pending is the answer to all doubt. Before
anything is sent the server is asked whether it is an OpenSearch that has our index templates: without them the first
document would silently make a plain index that maps every field it meets.

An `_id` is unique within one backing index only. So after any doubt (a restart, an answer that did not come) the
streams are searched for the batch before it is sent: a rollover in between would otherwise duplicate it. After a
restart that goes for every batch up to the highest document that is there: the run before may have delivered several
since it last saved its cursor.

A batch that needs several requests has as many in flight as the server has shown to manage (`Pace`). Threads only send
and read; what an answer means for the batch is decided here, in one thread, answer by answer. After the first that
does not come through no further one begins, and nothing is decided before the last of them is back: so no request of
ours is under way when the streams are searched.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shipper.errors import UnavailableError
from shipper.http_client.errors import NoAnswerError
from shipper.model import Batch, Document, Receipt, Refusal, datasets
from shipper.outputs._bulk import (
    LONG_PAUSE,
    ONE_EACH,
    SYSTEMIC_AT,
    Fate,
    Kind,
    Reply,
    body,
    pattern,
    read_reply,
    same,
    size,
    split,
    summary,
    systemic,
)
from shipper.outputs._gzip import quickest
from shipper.outputs._opensearch_checks import check_server, check_templates
from shipper.outputs._opensearch_errors import DeniedError
from shipper.outputs._opensearch_lanes import Lanes
from shipper.outputs._opensearch_pace import Pace
from shipper.outputs._opensearch_tally import Tally

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client

_SMALLEST_LIMIT: Final = 64_000
_MOST_SPLITS: Final = 64
_LOOK_UP: Final = 500
_BROKEN_OFTEN: Final = 5
_CHECK_PAUSE: Final = 10.0


class _HoldError(Exception):
    """Stop sending; what is pending stays so."""

    def __init__(
        self, error: str, pause: float | None = None, *, uncertain: bool = False, denied: bool = False
    ) -> None:
        super().__init__(error)
        self.error, self.pause, self.uncertain, self.denied = error, pause, uncertain, denied


_Failure = _HoldError | UnavailableError


class _Part(NamedTuple):
    """The documents of one request, and where in the batch they begin."""

    start: int
    documents: Sequence[Document]


class _Outcome(NamedTuple):
    """What came of a request: the answer, or why there is none; `took`: seconds from its first byte to its end."""

    reply: Reply | None
    error: UnavailableError | None
    took: float


class _Round:
    """The requests of one batch: those that wait, and what came of the others."""

    def __init__(self, parts: Iterable[_Part]) -> None:
        self.queue = deque(parts)
        self.there: list[_Part] = []
        self.suspects: list[tuple[Document, Reply]] = []
        self.failures: list[_Failure] = []
        self.splits = 0

    @property
    def goes_on(self) -> bool:
        """Whether the next request may begin."""
        return bool(self.queue) and not self.failures and self.splits < _MOST_SPLITS

    def halve(self, part: _Part) -> None:
        """Have the two halves sent next."""
        self.splits += 1
        start, documents = part
        middle = len(documents) // 2
        self.queue.extendleft((_Part(start + middle, documents[middle:]), _Part(start, documents[:middle])))

    def split(self, part: _Part, limit: int) -> None:
        """Send this part and all that waits in pieces of at most `limit` bytes."""
        self.queue = deque(piece for one in (part, *self.queue) for piece in _parts(*one, limit))


def _parts(start: int, documents: Sequence[Document], limit: int) -> Iterator[_Part]:
    for piece in split(documents, limit):
        yield _Part(start, piece)
        start += len(piece)


class Sender:
    """Delivers batches through a client. Used by one thread at a time.

    `batch_bytes`: the size of a request before compression. `concurrency`: the most requests in flight at once; 1 keeps
    the order of the documents. `monotonic`: the clock, in seconds.
    """

    def __init__(
        self,
        client: Client,
        *,
        batch_bytes: int,
        compress: bool,
        concurrency: int = 1,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._compress = quickest() if compress else None
        self._ceiling = self._limit = batch_bytes
        self._checked: set[str] = set()
        self._uncertain = True
        self._before = ("", -1)
        """The log and the highest leaf index that was there at the start: up to it an earlier run may have sent."""
        self._broken: dict[str, int] = {}
        """By the id of a request's first document, how often the server failed over it."""
        self._monotonic = monotonic
        self._pace = Pace(concurrency)
        self._lanes: Lanes[_Outcome] = Lanes(client.beside)
        self.denied = ""
        """What a person has to put right before anything is accepted again; "" while nothing is known of the kind."""

    @property
    def appetite(self) -> int:
        """Bytes that a batch may have to be sent at once: what may be in flight, and so in memory."""
        return self._limit * self._pace.limit

    def close(self) -> None:
        """End the threads; may be called twice."""
        self._lanes.close()

    def highest(self, log: str, namespace: str) -> int:
        """The highest leaf index held of `log`, -1 for none; `UnavailableError` when it cannot be told now."""
        op, where = "ask for the highest document", pattern(namespace)
        self._client.ask(op, "POST", f"/{where}/_refresh", absent=True)
        query = {
            "size": 1,
            "_source": False,
            "query": {"term": {"seal.log": log}},
            "sort": [{"seal.i": {"order": "desc", "unmapped_type": "long"}}],
        }
        found = self._client.ask(
            op, "POST", f"/{where}/_search", body=query, params={"allow_partial_search_results": "false"}, absent=True
        )
        try:
            hits = found["hits"]["hits"] if found else []
            highest = int(hits[0]["sort"][0]) if hits and hits[0]["sort"][0] is not None else -1
        except (KeyError, IndexError, TypeError, ValueError):
            raise UnavailableError(op, self._client.place, "the answer is no search result") from None
        self._before = (log, highest)
        return highest

    def deliver(self, batch: Batch) -> Receipt:
        """Send what is not there yet. Never raises for what the server answers or fails to answer."""
        tally = Tally(batch.documents)
        self.denied = ""
        failures: Sequence[_Failure]
        try:
            if batch.namespace not in self._checked:
                check_server(self._client)
                check_templates(self._client, batch.namespace, datasets(batch.documents))
                self._checked.add(batch.namespace)
            if self._uncertain or self._may_be_there(batch):
                self._find(tally, batch.namespace)
                self._uncertain = False
                tally.accepted = 0  # from here on it counts what the server takes now
            failures = self._send(tally, batch.namespace)
        except UnavailableError as error:
            failures = [error]
        if not failures:
            self._broken.clear()
            return tally.receipt()
        told = [self._noted(error) for error in failures]
        pauses = [pause for _, pause in told if pause is not None]
        return tally.receipt(told[0][0], max(pauses, default=None))

    def _noted(self, failure: _Failure) -> tuple[str, float | None]:
        """What is said of it and how long to wait, None = as usual; what it leaves in doubt is remembered."""
        if isinstance(failure, _HoldError):
            self._uncertain = self._uncertain or failure.uncertain
            if failure.denied:
                self.denied = failure.error
            return failure.error, failure.pause
        text = f"{failure} (hint: {failure.hint})" if failure.hint else str(failure)
        if isinstance(failure, NoAnswerError):
            # Whoever answers next may be another server, or one restored from a backup.
            self._checked.clear()
            self._uncertain = self._uncertain or failure.sent
            return text, _CHECK_PAUSE if failure.tls and failure.wait is None else failure.wait
        if isinstance(failure, DeniedError):
            self.denied = text
            return text, LONG_PAUSE
        return text, _CHECK_PAUSE

    # -- before the first document ------------------------------------------------------------------------------------

    def _may_be_there(self, batch: Batch) -> bool:
        """Whether an earlier run may have sent the beginning of a batch; batches come in the order of the log."""
        log, highest = self._before
        if highest < 0 or batch.log != log:
            return False
        first = next((document.index for document in batch.documents if document.index >= 0), highest)
        if first <= highest:
            return True
        self._before = ("", -1)
        return False

    def _find(self, tally: Tally, namespace: str) -> None:
        """Settle what the streams hold already, in whichever backing index."""
        op, where = "look for what is there already", pattern(namespace)
        self._client.ask(op, "POST", f"/{where}/_refresh", absent=True)
        documents = tally.left()
        for at in range(0, len(documents), _LOOK_UP):
            part = {document.id: document for document in documents[at : at + _LOOK_UP]}
            query = {"size": 10_000, "query": {"ids": {"values": list(part)}}, "sort": ["_doc"]}
            params = {"allow_partial_search_results": "false"}
            found = self._client.ask(op, "POST", f"/{where}/_search", body=query, params=params, absent=True)
            try:
                hits = [(hit["_id"], hit["_source"]) for hit in found["hits"]["hits"]] if found else []
            except (KeyError, TypeError):
                raise UnavailableError(op, self._client.place, "the answer is no search result") from None
            equal: dict[str, bool] = {}
            for identity, source in hits:
                if identity in part:
                    equal[identity] = equal.get(identity, False) or same(part[identity].data, source)
            for identity, is_ours in equal.items():
                (tally.settle if is_ours else tally.conflict)(part[identity])

    # -- sending ------------------------------------------------------------------------------------------------------

    def _send(self, tally: Tally, namespace: str) -> list[_Failure]:
        """All that is pending, up to the first request that does not come through; what failed.

        A request that fails as a whole over one of its documents is halved until that document stands alone.
        """
        made = _Round(_parts(tally.first, tally.left(), self._limit))
        for part, outcome in self._flights(made, namespace):
            try:
                self._consider(made, part, self._reply(outcome), tally)
            except (_HoldError, UnavailableError) as error:
                made.failures.append(error)
        for start, documents in sorted(made.there, key=lambda one: one.start):
            tally.settle_all(start, documents)
        failures = made.failures
        if any(isinstance(failure, NoAnswerError) and failure.late for failure in failures):
            self._limit = min(self._limit, max(_SMALLEST_LIMIT, self._limit // 2))
        held = None if failures else self._judge(made.suspects, tally)
        if held is not None:
            failures.append(held)
        elif made.queue and not failures:
            text = "requests fail as a whole too often to find the documents at fault"
            failures.append(_HoldError(text, LONG_PAUSE))
        return failures

    def _consider(self, made: _Round, part: _Part, reply: Reply, tally: Tally) -> None:
        """What follows from one answer."""
        documents = part.documents
        if reply.kind is Kind.ITEMS:
            self._broken.pop(documents[0].id, None)
            if reply.created is not None:
                made.there.append(part)
                self._look_at(reply.created)
            else:
                self._settle(documents, reply, tally)
            self._limit = min(self._ceiling, self._limit + self._limit // 5)
        elif reply.kind is Kind.TOO_LARGE and len(documents) == 1:
            tally.refuse(Refusal(documents[0], reply.type, reply.error))
        elif reply.kind is Kind.TOO_LARGE:
            # What the server takes does not grow: this limit stays. Requests of the same size may be under way.
            self._ceiling = max(1, min(self._ceiling, size(documents) // 2))
            self._limit = min(self._limit, self._ceiling)
            made.split(part, self._limit)
        elif reply.kind is Kind.RETRY or not (made.splits or made.suspects or self._is_poisoned(reply, documents)):
            raise _HoldError(reply.error, reply.pause, uncertain=reply.uncertain, denied=reply.denied)
        elif len(documents) == 1:
            made.suspects.append((documents[0], reply))
        else:
            made.halve(part)

    def _flights(self, made: _Round, namespace: str) -> Iterator[tuple[_Part, _Outcome]]:
        """What came of each request, in the order in which they end; `made` may change in between.

        A request that is alone is made here, without a thread.
        """
        pace, flying = self._pace, 0
        while True:
            if made.goes_on and not flying and (pace.limit == 1 or len(made.queue) == 1):
                part = made.queue.popleft()
                pace.began()
                yield part, self._attempt(self._client, part, namespace)
                continue
            while made.goes_on and flying < pace.limit:
                part = made.queue.popleft()
                pace.began()
                flying += 1
                self._lanes.start(part, partial(self._attempt, part=part, namespace=namespace))
            if not flying:
                return
            part, outcome = self._lanes.ended()
            flying -= 1
            yield part, outcome

    def _attempt(self, client: Client, part: _Part, namespace: str) -> _Outcome:
        """Send the part by this client; in whichever thread, so nothing of ours is changed here."""
        data = body(part.documents, namespace)
        headers = {"content-type": "application/x-ndjson"}
        if self._compress is not None:
            data = self._compress(data)
            headers["content-encoding"] = "gzip"
        params = {
            "filter_path": ONE_EACH,
            # A pipeline would write every document anew, and with other bytes.
            "pipeline": "_none",
            # The server gives up on a missing shard before we give up on the server.
            "timeout": f"{max(1, int(client.timeout * 0.8))}s",
        }
        began = self._monotonic()
        try:
            answer = client.request("POST", "/_bulk", body=data, headers=headers, params=params)
        except UnavailableError as error:
            return _Outcome(None, error, self._monotonic() - began)
        took = self._monotonic() - began
        return _Outcome(read_reply(answer, len(part.documents)), None, took)

    def _reply(self, outcome: _Outcome) -> Reply:
        """The answer, after the pace was told of it; raises why there is none."""
        reply, error, took = outcome
        if reply is None:
            late = isinstance(error, NoAnswerError) and error.late
            self._pace.ended(self._monotonic(), None, pressed=late)
            assert error is not None, "an outcome is an answer or an error"
            raise error
        timed = took if reply.kind is Kind.ITEMS else None  # a refusal takes no time and tells of none
        self._pace.ended(self._monotonic(), timed, pressed=reply.pressed)
        return reply

    def _is_poisoned(self, reply: Reply, part: Sequence[Document]) -> bool:
        """Whether a document is at fault: at once where the request is malformed, later where the server broke."""
        if reply.kind is Kind.MALFORMED:
            return True
        first = part[0].id
        self._broken[first] = self._broken.get(first, 0) + 1
        return self._broken[first] > _BROKEN_OFTEN

    def _judge(self, suspects: Sequence[tuple[Document, Reply]], tally: Tally) -> _HoldError | None:
        """Refuse the documents that fail alone, where the server proved that it takes others; else hold them."""
        held: Reply | None = None
        for document, reply in suspects:
            few = reply.kind is Kind.MALFORMED and tally.total < SYSTEMIC_AT
            if tally.accepted or few:
                tally.refuse(Refusal(document, reply.type, reply.reason or reply.error))
            else:
                held = reply
        if held is None:
            return None
        pause = LONG_PAUSE if held.kind is Kind.MALFORMED else held.pause
        return _HoldError(f"every request fails: {held.error}", pause, uncertain=held.uncertain)

    def _settle(self, part: Sequence[Document], reply: Reply, tally: Tally) -> None:
        """Each item's consequence; `_HoldError` when one of them is to be tried again."""
        verdicts = reply.verdicts
        paired = list(zip(part, verdicts, strict=True))
        taken = [(document, one.place) for document, one in paired if one.fate is Fate.EXISTS]
        common = systemic(verdicts)
        if any(one.status >= 500 for one in verdicts):
            self._uncertain = True
        for document, one in paired:
            if one.fate is Fate.DELIVERED:
                tally.settle(document)
            elif one.fate is Fate.REFUSED and one.type != common:
                tally.refuse(Refusal(document, one.type, one.reason, one.field))
        self._look_at({one.place for one in verdicts if one.fate is Fate.DELIVERED})
        for at in range(0, len(taken), _LOOK_UP):
            self._compare(taken[at : at + _LOOK_UP], tally)
        if common is not None:
            text = summary(verdicts, lambda one: one.fate is Fate.REFUSED and one.type == common)
            raise _HoldError(f"{text}: so many are the index's fault (hint: fieldtrail setup)", LONG_PAUSE)
        waiting = [one for one in verdicts if one.fate in {Fate.RETRY, Fate.PAUSE}]
        if waiting:
            slow = any(one.fate is Fate.PAUSE for one in waiting)
            text = summary(verdicts, lambda one: one.fate in {Fate.RETRY, Fate.PAUSE})
            raise _HoldError(text, LONG_PAUSE if slow else None, denied=reply.denied)

    def _look_at(self, places: Iterable[str]) -> None:
        """Have the templates checked again where no data stream took a document: then they are gone."""
        if any(place and not place.startswith(".ds-") for place in places):
            self._checked.clear()

    def _compare(self, taken: Sequence[tuple[Document, str]], tally: Tally) -> None:
        """An `_id` that is taken: delivered where the same document holds it, else a fork. By id, so never stale."""
        op = "read back what is there"
        wanted = [{"_index": place, "_id": document.id} for document, place in taken]
        found = self._client.ask(op, "POST", "/_mget", body={"docs": wanted})
        answers = found.get("docs") if isinstance(found, Mapping) else None
        if not isinstance(answers, list) or len(answers) != len(taken):
            raise _HoldError("the answer to _mget does not fit the question", uncertain=True)
        missing = 0
        for (document, _), told in zip(taken, answers, strict=True):
            source: Any = told.get("_source") if isinstance(told, dict) and told.get("found") is True else None
            if source is None:
                missing += 1
            elif same(document.data, source):
                tally.settle(document)
            else:
                tally.conflict(document)
        if missing:
            text = f"{missing} of {len(taken)} documents have their _id taken and cannot be read back"
            raise _HoldError(text, LONG_PAUSE, uncertain=True)
