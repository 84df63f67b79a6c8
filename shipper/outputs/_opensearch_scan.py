"""A point in time over OpenSearch indices, read page by page, each document with its bytes.

Sort orders must end in `_index` and `_shard_doc`: `_shard_doc` alone is not unique across backing indices, and a page
that begins after a value that two documents share would lose one of them. The bytes of `_source` are cut out of the
answer as they are stored, since a parser would hide what an auditor must see (a key that stands twice, the spelling of
a number).
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import orjson

from shipper.errors import UnavailableError, UsageError
from shipper.model import Event
from shipper.outputs._bulk import error_of
from shipper.outputs._opensearch_errors import explain

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client

_KEEP_ALIVE: Final = "5m"
_SETTLE_TRIES: Final = 5
_PAGE_BYTES: Final = 8_000_000
_FIRST_PAGE, _SMALLEST_PAGE, _LARGEST_PAGE = 500, 10, 5_000


def index_path(index: str) -> str:
    """An index pattern as the first part of a path."""
    return "/" + quote(index, safe="*,.-_")


class Hit(NamedTuple):
    """A document of the concrete index `place` as it is stored: `source` are the bytes, `event` the same parsed."""

    place: str
    id: str
    source: bytes
    event: Event


class Snapshot:
    """A point in time over an index pattern; nothing that is written later is in it. Opened at the first use."""

    def __init__(self, client: Client, index: str) -> None:
        self.index = index
        self._client = client
        self._path = index_path(index)
        self._pit: str | None = None
        self._empty = False

    def _open(self) -> bool:
        """False where the pattern matches nothing."""
        if self._pit is None and not self._empty:
            # A point in time over no index at all is refused by a server error: asked for first.
            op = "list indices"
            found = self._client.ask(op, "GET", f"{self._path}/_settings/index.uuid", absent=True)
            if not found:
                self._empty = True
                return False
            params = {"keep_alive": _KEEP_ALIVE, "allow_partial_pit_creation": "false"}
            made = self._client.ask(
                "open a point in time", "POST", f"{self._path}/_search/point_in_time", params=params
            )
            self._pit = _member(made, "pit_id", str, self._client)
        return self._pit is not None

    def settle(self) -> bool:
        """Open at a moment when nothing is being written; False, and open all the same, where none was found.

        Streams become visible one by one. A moment at which a checkpoint can be seen and a leaf under it cannot would
        make a verifier report a document as missing that is only young.
        """
        for _ in range(_SETTLE_TRIES):
            self._give_back()
            self._refresh()
            if not self._open():
                return True
            seen = sum(self.counts().values())
            self._refresh()
            found = self._client.ask("count documents", "GET", f"{self._path}/_count")
            if isinstance(found, dict) and found.get("count") == seen:
                return True
        return False

    def _refresh(self) -> None:
        # An account that may only read may not do this; what is older than the refresh interval is visible anyway.
        self._client.request("POST", f"{self._path}/_refresh")

    def counts(self) -> Counter[str]:
        """Documents per concrete index."""
        if not self._open():
            return Counter()
        aggregation = {"per_index": {"terms": {"field": "_index", "size": 10_000}}}
        found = self._search({"size": 0, "aggs": aggregation}, None)
        buckets = found["aggregations"]["per_index"]["buckets"]
        return Counter({str(bucket["key"]): int(bucket["doc_count"]) for bucket in buckets})

    def scan(
        self,
        query: Mapping[str, Any],
        sort: Sequence[Mapping[str, Any]],
        *,
        most: int | None = None,
        asked: str | None = None,
    ) -> Iterator[Hit]:
        """The documents that `query` matches, `most` at the most, in the order of `sort`.

        `asked`: the user's own query, for which a refusal is a `UsageError`.
        """
        if most == 0 or not self._open():
            return
        left, page = most, _FIRST_PAGE
        body: dict[str, Any] = {"query": query, "sort": list(sort), "track_total_hits": False}
        while True:
            body["size"] = page if left is None else min(page, left)
            data, found = self._page(body, asked)
            hits = found["hits"]["hits"]
            for hit, source in zip(hits, raw_sources(data, hits), strict=True):
                yield Hit(str(hit["_index"]), str(hit["_id"]), source, hit.get("_source") or {})
            if left is not None:
                left -= len(hits)
            if len(hits) < body["size"] or left == 0:
                return
            body["search_after"] = hits[-1]["sort"]
            page = max(_SMALLEST_PAGE, min(_LARGEST_PAGE, page * _PAGE_BYTES // max(1, len(data)), page * 2))

    def _search(self, body: Mapping[str, Any], asked: str | None) -> Any:
        return self._page(body, asked)[1]

    def _page(self, body: Mapping[str, Any], asked: str | None) -> tuple[bytes, Any]:
        op, client = "search", self._client
        sent = orjson.dumps({**body, "pit": {"id": self._pit, "keep_alive": _KEEP_ALIVE}})
        answer = client.request("POST", "/_search", body=sent, params={"allow_partial_search_results": "false"})
        if answer.status == 400 and asked is not None:
            raise UsageError("read query", asked, _query_error(answer.json()) or explain(answer)[0], _QUERY_HINT)
        found = client.understood(op, answer)
        shards = found.get("_shards") if isinstance(found, dict) else None
        hits = found.get("hits") if isinstance(found, dict) else None
        if not isinstance(shards, dict) or not isinstance(hits, dict) or not isinstance(hits.get("hits"), list):
            raise UnavailableError(op, client.place, "the answer is no search result", f"curl {client.place}/")
        if shards.get("failed") or found.get("timed_out"):
            raise UnavailableError(op, client.place, "not every shard answered", f"curl {client.place}/_cluster/health")
        self._pit = found.get("pit_id", self._pit)
        return answer.body, found

    def close(self) -> None:
        """Give the point in time back; may be called twice. It is not opened again."""
        self._give_back()
        self._empty = True

    def _give_back(self) -> None:
        if self._pit is None:
            return
        sent = orjson.dumps({"pit_id": [self._pit]})
        self._pit = None
        with contextlib.suppress(UnavailableError):  # it ends by itself after its keep-alive
            self._client.request("DELETE", "/_search/point_in_time", body=sent, timeout=10)


_QUERY_HINT: Final = 'put values with spaces, colons or slashes into quotes: field:"2001:db8::1"'


def _query_error(content: Any) -> str | None:
    error = content.get("error") if isinstance(content, dict) else None
    causes = error.get("root_cause") if isinstance(error, dict) else None
    reason = error_of(causes[0])[1] if isinstance(causes, list) and causes else ""
    return reason.split(": ")[0][:300] or None


def _member(value: Any, name: str, kind: type[str], client: Client) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind):
        raise UnavailableError("search", client.place, f"the answer has no {name}", f"curl {client.place}/")
    return found


# -- bytes -------------------------------------------------------------------------------------------------------------

_SOURCE: Final = re.compile(rb'"_source"\s*:\s*')
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)


def raw_sources(body: bytes, hits: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """The bytes of each hit's `_source` in a search response; written anew only where they cannot be found there."""
    found: list[bytes] = []
    at = 0
    for hit in hits:
        source = hit.get("_source")
        if source is None:
            found.append(b"{}")  # the index stores no source, or hides it
            continue
        # Before it stand only names and ids of this hit, in which every quotation mark is escaped.
        match = _SOURCE.search(body, at)
        if match is None:
            found.append(orjson.dumps(source))
            continue
        start = match.end()
        written = orjson.dumps(source)
        at = start + len(written) if body.startswith(written, start) else _object_end(body, start)
        found.append(body[start:at])
    return found


def _object_end(body: bytes, start: int) -> int:
    """Where the JSON object that begins at `start` ends. The response has been parsed, so it does end."""
    depth = 0
    for token in _TOKEN.finditer(body, start):
        if token[0] == b"{":
            depth += 1
        elif token[0] == b"}":
            depth -= 1
            if depth == 0:
                return token.end()
    return len(body)
