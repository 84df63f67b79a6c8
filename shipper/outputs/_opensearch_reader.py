"""Reading back from OpenSearch: everything for the verifier and `pull`, what was asked for for `search` and `trace`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import orjson

from shipper.errors import UnavailableError, UsageError
from shipper.model import CONTROL_DATASETS, Event
from shipper.outputs._opensearch_scan import Hit, Snapshot, index_path
from shipper.outputs._query import DEFAULT_FIELDS
from shipper.outputs._query_string import query_string
from shipper.outputs._when import parse_when
from shipper.seal.sources import RawDocument

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client

DEFAULT_INDEX: Final = "logs-fieldtrail.*"


def _by(field: str, order: str, kind: str) -> dict[str, Any]:
    return {field: {"order": order, "unmapped_type": kind}}


def _tie(order: str) -> list[dict[str, Any]]:
    return [{"_index": order}, {"_shard_doc": order}]


_BY_SEAL: Final = [_by("seal.log", "asc", "keyword"), _by("seal.i", "asc", "long"), *_tie("asc")]
_SEALED: Final = {"exists": {"field": "seal.log"}}


def _by_time(order: str) -> list[dict[str, Any]]:
    return [_by("@timestamp", order, "date"), _by("seal.i", order, "long"), *_tie(order)]


def _everything(snapshot: Snapshot, query: Mapping[str, Any]) -> Iterator[Hit]:
    """Leaves by log and index, then what carries no seal: checkpoints.

    Two scans, because OpenSearch (3.8) fails over a page that begins after a document without the first sort field.
    """
    yield from snapshot.scan({"bool": {"filter": [query, _SEALED]}}, _BY_SEAL)
    yield from snapshot.scan({"bool": {"filter": [query], "must_not": [_SEALED]}}, _tie("asc"))


# By the name of the index too: it cannot be changed in a document.
CONTROL: Final[dict[str, Any]] = {
    "bool": {
        "should": [
            {"terms": {"data_stream.dataset": sorted(CONTROL_DATASETS)}},
            *({"wildcard": {"_index": f"*logs-{dataset}-*"}} for dataset in sorted(CONTROL_DATASETS)),
        ]
    }
}


# -- search, trace, pull -----------------------------------------------------------------------------------------------


def search_events(
    client: Client,
    query: str,
    *,
    now: float,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    control: bool = False,
    index: str = DEFAULT_INDEX,
) -> Iterator[Event]:
    """The events that a Lucene query string finds, newest first; the arguments are those of the store's `search`.

    Terms that only stand side by side must all match, as in the store.
    """
    if limit is not None and limit < 0:
        raise UsageError("search", str(limit), "the limit is negative", "--limit 100")
    filters = [_between(since, until, now)]
    if query.strip():
        text = {"query": query_string(query, now), "fields": list(DEFAULT_FIELDS), "lenient": True}
        filters.append({"query_string": text})
    full = {"bool": {"filter": filters, "must_not": [] if control else [CONTROL]}}
    return _events(client, index, full, _by_time("desc"), limit, query)


def trace_events(
    client: Client,
    module: str | None,
    kind: str,
    identity: str,
    *,
    index: str = DEFAULT_INDEX,
) -> Iterator[Event]:
    """The events of the record of type `kind`, oldest first; `module` None = of every module."""
    terms = {"trail.object.key": f"{module}:{kind}/{identity}"}
    if module is None:
        terms = {"trail.object.type": kind, "trail.object.id": identity}
    full = {"bool": {"filter": [{"term": {name: value}} for name, value in terms.items()], "must_not": [CONTROL]}}
    return _events(client, index, full, _by_time("asc"), None, None)


def _events(
    client: Client,
    index: str,
    query: Mapping[str, Any],
    sort: Sequence[Mapping[str, Any]],
    most: int | None,
    asked: str | None,
) -> Iterator[Event]:
    snapshot = Snapshot(client, index)
    try:
        for hit in snapshot.scan(query, sort, most=most, asked=asked):
            yield hit.event
    finally:
        snapshot.close()


def pull_documents(
    client: Client,
    *,
    now: float,
    since: str | None = None,
    until: str | None = None,
    index: str = DEFAULT_INDEX,
) -> Iterator[bytes]:
    """Documents as they are stored, one line each: leaves by log and index, then checkpoints.

    `since` and `until` choose events by `@timestamp`; control and checkpoint documents always come whole, because a
    part of a log cannot be verified without them.
    """
    query = {"bool": {"should": [CONTROL, _between(since, until, now)]}}

    def lines() -> Iterator[bytes]:
        snapshot = Snapshot(client, index)
        try:
            snapshot.settle()
            for hit in _everything(snapshot, query):
                # JSON has line ends between its tokens only, where a blank does as well.
                yield hit.source.translate(_ONE_LINE)
        finally:
            snapshot.close()

    return lines()


_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")


def _between(since: str | None, until: str | None, now: float) -> dict[str, Any]:
    """`since` inclusive; `until` includes all of what it names."""
    bounds: dict[str, Any] = {}
    if since is not None:
        bounds["gte"] = parse_when(since, now, "--since").lo // 1000
    if until is not None:
        bounds["lt"] = parse_when(until, now, "--until").hi // 1000
    return {"range": {"@timestamp": {**bounds, "format": "epoch_millis"}}} if bounds else {"match_all": {}}


# -- the verifier's source ---------------------------------------------------------------------------------------------


class OpenSearchSource:
    """What an index pattern shows, for the verifier (`seal.sources.Source`). It closes the client with itself.

    Settings that make the stored differ from the sent, or the shown from the stored, become notices. Field masking
    and document-level security of the account used cannot be seen from outside: what they hide will be missing.
    """

    partial = False
    writers = frozenset({"opensearch"})
    live = True

    def __init__(self, client: Client, index: str = DEFAULT_INDEX) -> None:
        self.name = f"{client.hosts[0]}/{index}"
        self._client, self._snapshot = client, Snapshot(client, index)
        self._seen: Counter[str] = Counter()
        self._notices: list[str] = []
        self._asked = False

    def control(self) -> Iterator[RawDocument]:
        """First pass: control leaves and checkpoints."""
        if not self._asked:
            self._asked = True
            self._notices += _settings_notices(self._client, self._snapshot.index)
            if not self._snapshot.settle():
                self._notices.append(
                    "documents were written while the snapshot was taken: a finding at the very end may be one that"
                    " was not visible yet; run again"
                )
        self._seen.clear()
        return self._read(CONTROL)

    def events(self) -> Iterator[RawDocument]:
        """Second pass: the rest. `UnavailableError` when fewer or more documents came than the server counts."""
        yield from self._read({"bool": {"must_not": [CONTROL]}})
        counted = self._snapshot.counts()
        wrong = sorted(name for name in {*counted, *self._seen} if counted[name] != self._seen[name])
        if wrong:
            name = wrong[0]
            cause = f"{name}: {self._seen[name]} documents came, {counted[name]} are counted"
            raise UnavailableError("read all documents", self.name, cause, "run the verification again")

    def notices(self) -> Sequence[str]:
        """Settings to know of."""
        return self._notices

    def close(self) -> None:
        """Give the point in time back and close the connections."""
        self._snapshot.close()
        self._client.close()

    def _read(self, query: Mapping[str, Any]) -> Iterator[RawDocument]:
        for hit in _everything(self._snapshot, query):
            self._seen[hit.place] += 1
            yield RawDocument(hit.source, hit.id, f"{hit.place}/{hit.id}")


def _settings_notices(client: Client, index: str) -> list[str]:
    """What in settings, mappings and aliases changes documents on their way in or out."""
    op, path = "read index settings", index_path(index)
    out: list[str] = []
    found = client.ask(op, "GET", f"{path}/_settings", params={"flat_settings": "true"}, absent=True) or {}
    for name, entry in sorted(found.items()):
        settings = entry.get("settings", {})
        out += [
            f"{name}: {key} is {settings[key]}: an ingest pipeline rewrites documents on their way in"
            for key in ("index.default_pipeline", "index.final_pipeline")
            if settings.get(key, "_none") != "_none"
        ]
        if str(settings.get("index.derived_source.enabled", "false")) == "true":
            out.append(f"{name}: derived source is on: what is shown is rebuilt from fields, not what was sent")
    mappings = client.ask(op, "GET", f"{path}/_mapping", params={"filter_path": "*.mappings._source"}, absent=True)
    for name, entry in sorted((mappings or {}).items()):
        source = entry.get("mappings", {}).get("_source")
        if source:
            out.append(f"{name}: the mapping filters _source ({orjson.dumps(source).decode()}): fields are not stored")
    aliases = client.ask(op, "GET", f"{path}/_alias", absent=True) or {}
    names = index.split(",")
    for name, entry in sorted(aliases.items()):
        for alias, detail in sorted(entry.get("aliases", {}).items()):
            if isinstance(detail, dict) and "filter" in detail and any(fnmatchcase(alias, one) for one in names):
                out.append(f"{alias}: this alias shows only a part of {name} (it has a filter)")
    return out
