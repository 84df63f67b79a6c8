"""What is done about each answer to `_bulk`: the delivery of one batch to OpenSearch, in order.

Every document of a batch ends as delivered, refused, forked or pending, and pending is the answer to all doubt. Before
anything is sent the server is asked whether it is an OpenSearch that has our index templates: without them the first
document would silently make a plain index that maps every field it meets.

An `_id` is unique within one backing index only. So after any doubt (a restart, an answer that did not come) the
streams are searched for the batch before it is sent: a rollover in between would otherwise duplicate it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from shipper.errors import UnavailableError
from shipper.model import Batch, Document, Receipt, Refusal, datasets
from shipper.outputs._bulk import (
    LONG_PAUSE,
    ONE_EACH,
    SYSTEMIC_AT,
    Answer,
    Fate,
    Kind,
    Reply,
    Verdict,
    body,
    pattern,
    read_reply,
    same,
    size,
    split,
    stream,
    summary,
    systemic,
)
from shipper.outputs._gzip import quickest
from shipper.outputs._opensearch_errors import NoAnswerError
from shipper.templates import templates

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client

OLDEST: Final = (2, 12)
"""The first version that has every field type of our templates (match_only_text)."""

_TEMPLATE_FACTS: Final = ",".join(
    f"index_templates.index_template.{name}"
    for name in ("index_patterns", "priority", "data_stream", "composed_of", "version")
)
_SMALLEST_LIMIT: Final = 64_000
_MOST_SPLITS: Final = 64
_LOOK_UP: Final = 500
_BROKEN_OFTEN: Final = 5
_CHECK_PAUSE: Final = 10.0


class _HoldError(Exception):
    """Stop sending; what is pending stays so."""

    def __init__(self, error: str, pause: float | None = None, *, uncertain: bool = False) -> None:
        super().__init__(error)
        self.error, self.pause, self.uncertain = error, pause, uncertain


class _Tally:
    """What has become of each document of a batch.

    As long as every answer is the usual one, the documents that are there are the first of the batch and one number
    tells; `pending` is made when it has to be known of each by itself.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self.total = len(documents)
        self.refused: list[Refusal] = []
        self.fork: list[Document] = []
        self.accepted = 0
        self._documents = documents
        self._first = 0
        """Where what is not there yet begins, before `pending` is made."""
        self._pending: dict[str, Document] | None = None

    @property
    def pending(self) -> dict[str, Document]:
        """What is not decided, by id and in order."""
        if self._pending is None:
            self._pending = {document.id: document for document in self._documents[self._first :]}
        return self._pending

    def left(self) -> Sequence[Document]:
        """What is not decided, in order."""
        return self._documents[self._first :] if self._pending is None else tuple(self._pending.values())

    def settle(self, document: Document) -> None:
        """It is there."""
        if self.pending.pop(document.id, None) is not None:
            self.accepted += 1

    def settle_all(self, documents: Sequence[Document]) -> None:
        """All of them, which stand one after the other in the batch, are there."""
        if self._pending is None and documents[0].id == self._documents[self._first].id:
            self._first += len(documents)
            self.accepted += len(documents)
            return
        for document in documents:
            self.settle(document)

    def refuse(self, refusal: Refusal) -> None:
        """It will never be there."""
        if self.pending.pop(refusal.document.id, None) is not None:
            self.refused.append(refusal)

    def conflict(self, document: Document) -> None:
        """Another document has its id."""
        if self.pending.pop(document.id, None) is not None:
            self.fork.append(document)

    def receipt(self, error: str = "", pause: float | None = None) -> Receipt:
        """The account: whatever is not decided is to be sent again."""
        retry = self.left()
        delivered = self.total - len(retry) - len(self.refused) - len(self.fork)
        return Receipt(delivered, self.refused, retry, error if retry else "", pause if retry else None, self.fork)


class Sender:
    """Delivers batches through a client. `batch_bytes`: the size of a request before compression."""

    def __init__(self, client: Client, *, batch_bytes: int, compress: bool) -> None:
        self._client = client
        self._compress = quickest() if compress else None
        self._ceiling = self._limit = batch_bytes
        self._checked: set[str] = set()
        self._uncertain = True
        self._broken: tuple[str, int] = ("", 0)

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
            return int(hits[0]["sort"][0]) if hits and hits[0]["sort"][0] is not None else -1
        except (KeyError, IndexError, TypeError, ValueError):
            raise UnavailableError(op, self._client.place, "the answer is no search result") from None

    def deliver(self, batch: Batch) -> Receipt:
        """Send what is not there yet. Never raises for what the server answers or fails to answer."""
        tally = _Tally(batch.documents)
        try:
            if batch.namespace not in self._checked:
                self.check_server()
                self.check_templates(batch.namespace, datasets(batch.documents))
                self._checked.add(batch.namespace)
            if self._uncertain:
                self._find(tally, batch.namespace)
                self._uncertain = False
                tally.accepted = 0  # from here on it counts what the server takes now
            self._send(tally, batch.namespace)
        except _HoldError as hold:
            self._uncertain = self._uncertain or hold.uncertain
            return tally.receipt(hold.error, hold.pause)
        except UnavailableError as error:
            if isinstance(error, NoAnswerError):
                # Whoever answers next may be another server, or one restored from a backup.
                self._checked.clear()
                self._uncertain = self._uncertain or error.sent
            hint = f" (hint: {error.hint})" if error.hint else ""
            pause = None if isinstance(error, NoAnswerError) and not error.tls else _CHECK_PAUSE
            return tally.receipt(f"{error}{hint}", pause)
        return tally.receipt()

    # -- before the first document ------------------------------------------------------------------------------------

    def check_server(self) -> str:
        """The version in words; `UnavailableError` when this is not an OpenSearch of at least `OLDEST`."""
        op = "check the server"
        answer = self._client.request("GET", "/")
        if answer.status == 403:
            return "version not told (403)"  # a role without cluster:monitor/main may well be able to write
        told = self._client.understood(op, answer)
        version = told.get("version") if isinstance(told, dict) else None
        number = str(version.get("number", "")) if isinstance(version, dict) else ""
        if not isinstance(version, dict) or version.get("distribution") != "opensearch":
            cause = f"this is not OpenSearch (version {number[:20] or 'unknown'})"
            raise UnavailableError(op, self._client.place, cause, f"curl {self._client.place}/")
        match = re.match(r"(\d+)\.(\d+)", number)
        # 7.10.2 is what OpenSearch says of itself with compatibility.override_main_response_version.
        if match and (int(match[1]), int(match[2])) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            cause = f"OpenSearch {number[:20]} is too old: {oldest} or newer is needed"
            raise UnavailableError(op, self._client.place, cause, f"update OpenSearch to {oldest} or newer")
        return f"OpenSearch {number[:20]}"

    def check_templates(self, namespace: str, datasets: set[str] | None = None) -> None:
        """`UnavailableError` when a first document would not make a data stream of ours in this namespace."""
        op, client = "check the index templates", self._client
        wanted: dict[str, int] = {}
        for template in templates()["index_templates"].values():
            for name in template["index_patterns"]:
                wanted[name.removesuffix("*") + namespace] = template["version"]
        for dataset in datasets or ():
            wanted.setdefault(stream(dataset, namespace), 0)
        found = client.ask(op, "GET", "/_index_template", params={"filter_path": _TEMPLATE_FACTS})
        try:
            known = [entry["index_template"] for entry in found.get("index_templates", ())]
            lacking = [name for name in wanted if not _has_template(name, known)]
            old = [name for name in wanted if name not in lacking and _version(name, known) < wanted[name]]
        except (KeyError, TypeError, AttributeError):
            raise UnavailableError(op, client.place, "the answer lists no index templates") from None
        if lacking:
            cause = f"index templates are missing: {', '.join(sorted(lacking)[:3])}"
            cause += f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            raise UnavailableError(op, client.place, cause, f"fieldtrail setup --opensearch {client.place}")
        answer = client.request("GET", f"/_resolve/index/{pattern(namespace)}")
        told = answer.json() if answer.status == 200 else None  # a role may lack this right; the check is a courtesy
        plain = {entry.get("name") for entry in told.get("indices", ())} & set(wanted) if isinstance(told, dict) else ()
        if plain:
            name = min(str(one) for one in plain)
            cause = f"{name} is a plain index, not a data stream: it was made before the templates were installed"
            raise UnavailableError(op, client.place, cause, f"reindex and delete it: DELETE {client.place}/{name}")
        if old:
            structlog.get_logger("fieldtrail").warning(
                "index templates are older than this program", streams=old, hint="fieldtrail setup"
            )

    def _find(self, tally: _Tally, namespace: str) -> None:
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

    def _send(self, tally: _Tally, namespace: str) -> None:
        """All that is pending, request by request; `_HoldError` at the first that does not come through.

        A request that fails as a whole over one of its documents is halved until that document stands alone.
        """
        queue = deque(split(tally.left(), self._limit))
        suspects: list[tuple[Document, Reply]] = []
        splits = 0
        while queue and splits < _MOST_SPLITS:
            part = queue.popleft()
            reply = self._request(part, namespace)
            if reply.kind is Kind.ITEMS:
                self._broken = ("", 0)
                if reply.created is not None:
                    tally.settle_all(part)
                    self._look_at(reply.created)
                else:
                    self._settle(part, reply.verdicts, tally)
                self._limit = min(self._ceiling, self._limit + self._limit // 5)
            elif reply.kind is Kind.TOO_LARGE and len(part) == 1:
                tally.refuse(Refusal(part[0], reply.type, reply.error))
            elif reply.kind is Kind.TOO_LARGE:
                # What the server takes does not grow: this limit stays.
                self._ceiling = self._limit = max(1, min(self._limit, size(part)) // 2)
                rest = [*part, *(document for later in queue for document in later)]
                queue = deque(split(rest, self._limit))
            elif reply.kind is Kind.RETRY or not (splits or suspects or self._is_poisoned(reply, part)):
                raise _HoldError(reply.error, reply.pause, uncertain=reply.uncertain)
            elif len(part) == 1:
                suspects.append((part[0], reply))
            else:
                splits += 1
                middle = len(part) // 2
                queue.extendleft((part[middle:], part[:middle]))
        self._judge(suspects, tally)
        if queue:
            raise _HoldError("requests fail as a whole too often to find the documents at fault", LONG_PAUSE)

    def _is_poisoned(self, reply: Reply, part: Sequence[Document]) -> bool:
        """Whether a document is at fault: at once where the request is malformed, later where the server broke."""
        if reply.kind is Kind.MALFORMED:
            return True
        first, times = self._broken
        self._broken = (part[0].id, times + 1 if part[0].id == first else 1)
        return times >= _BROKEN_OFTEN

    def _judge(self, suspects: Sequence[tuple[Document, Reply]], tally: _Tally) -> None:
        """Refuse the documents that fail alone, where the server proved that it takes others; else hold them."""
        held: Reply | None = None
        for document, reply in suspects:
            few = reply.kind is Kind.MALFORMED and tally.total < SYSTEMIC_AT
            if tally.accepted or few:
                tally.refuse(Refusal(document, reply.type, reply.reason or reply.error))
            else:
                held = reply
        if held is not None:
            pause = LONG_PAUSE if held.kind is Kind.MALFORMED else held.pause
            raise _HoldError(f"every request fails: {held.error}", pause, uncertain=held.uncertain)

    def _request(self, part: Sequence[Document], namespace: str) -> Reply:
        data = body(part, namespace)
        headers = {"content-type": "application/x-ndjson"}
        if self._compress is not None:
            data = self._compress(data)
            headers["content-encoding"] = "gzip"
        params = {
            "filter_path": ONE_EACH,
            # A pipeline would write every document anew, and with other bytes.
            "pipeline": "_none",
            # The server gives up on a missing shard before we give up on the server.
            "timeout": f"{max(1, int(self._client.timeout * 0.8))}s",
        }
        try:
            answer: Answer = self._client.request("POST", "/_bulk", body=data, headers=headers, params=params)
        except NoAnswerError as error:
            if error.late:
                self._limit = max(_SMALLEST_LIMIT, self._limit // 2)
            raise
        return read_reply(answer, len(part))

    def _settle(self, part: Sequence[Document], verdicts: Sequence[Verdict], tally: _Tally) -> None:
        """Each item's consequence; `_HoldError` when one of them is to be tried again."""
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
            raise _HoldError(text, LONG_PAUSE if slow else None)

    def _look_at(self, places: Iterable[str]) -> None:
        """Have the templates checked again where no data stream took a document: then they are gone."""
        if any(place and not place.startswith(".ds-") for place in places):
            self._checked.clear()

    def _compare(self, taken: Sequence[tuple[Document, str]], tally: _Tally) -> None:
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


def _winner(name: str, known: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The template that an index of this name gets: of those that match, the one of the highest priority."""
    fitting = [one for one in known if any(_matches(name, glob) for glob in one["index_patterns"])]
    return max(fitting, key=lambda one: int(one.get("priority") or 0), default={})


def _has_template(name: str, known: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it is a data stream with our mappings: our template, or one that is composed of our parts."""
    ours = set(templates()["component_templates"])
    template = _winner(name, known)
    return template.get("data_stream") is not None and ours <= set(template.get("composed_of") or ())


def _version(name: str, known: Sequence[Mapping[str, Any]]) -> int:
    """The version of the template; one that a customer composed of our parts may have none, which is no reproach."""
    version = _winner(name, known).get("version")
    return version if isinstance(version, int) else 1 << 31


def _matches(name: str, glob: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, glob.split("*"))), name) is not None
