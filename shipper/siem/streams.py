"""Our data streams: making those that are missing, and rolling over those that still write by older templates."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import mappings
from shipper.siem.install import INSTALLED, Step

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client

ROLLED_OVER: Final = "rolled over"
WAITS: Final = "takes the templates at its next rollover"


class DataStream(NamedTuple):
    """A data stream and its backing indices, the newest last."""

    name: str
    indices: tuple[str, ...]


def data_streams(
    client: Client, namespace: str | None = None, kinds: Collection[str] | None = None
) -> list[DataStream]:
    """Our data streams that are there: of all namespaces or of `namespace` alone, of these `kinds` (`change` …) or all.

    Asked for with a wildcard: a name of which there is none would make a 404 of the whole answer.
    """
    parts = mappings.component_templates()
    head = f"logs-{parts.owner}."
    told = client.ask("list the data streams", "GET", f"/_data_stream/{head}*", absent=True)
    out = []
    for one in (told or {}).get("data_streams", ()):
        kind, _, rest = one["name"].removeprefix(head).partition("-")
        if kind in (parts.streams if kinds is None else kinds) and namespace in {None, rest}:
            out.append(DataStream(one["name"], tuple(index["index_name"] for index in one["indices"])))
    return out


def make_missing(client: Client, namespace: str, *, dry_run: bool = False) -> Iterator[Step]:
    """A step for each of our data streams that this namespace has not got yet, and makes it, empty.

    The first document would make it as well. But Dashboards finds no fields for an index pattern of two streams of
    which one is missing, and a monitor takes a search without any index for an error. `UnavailableError`.
    """
    there = {stream.name for stream in data_streams(client, namespace)}
    parts = mappings.component_templates()
    for kind in parts.streams:
        name = f"logs-{parts.owner}.{kind}-{namespace}"
        if name not in there:
            if not dry_run:
                client.ask(f"make the data stream {name}", "PUT", f"/_data_stream/{name}")
            yield Step("data stream", name, INSTALLED)


def roll_over(client: Client, namespace: str | None = None, *, do: bool, dry_run: bool = False) -> Iterator[Step]:
    """A step for each data stream whose newest index was made from older templates; rolled over if `do`.

    An index keeps the mapping and settings of the day it was made. The version of its templates stands in `_meta` of
    its mapping. `UnavailableError`.
    """
    version = mappings.component_templates().version
    streams = data_streams(client, namespace)
    if not streams:
        return
    path = f"/logs-{mappings.component_templates().owner}.*-{namespace or '*'}/_mapping"
    params = {"filter_path": "*.mappings._meta.version"}
    there = client.ask("read the mappings", "GET", path, params=params, absent=True) or {}
    for stream, indices in streams:
        made_from = _version(there.get(indices[-1]))
        if made_from is not None and made_from >= version:
            continue
        if do and not dry_run:
            client.ask(f"roll over {stream}", "POST", f"/{stream}/_rollover")
        difference = f"templates: version {'1' if made_from is None else made_from} -> {version}"
        yield Step("data stream", stream, ROLLED_OVER if do else WAITS, (difference,))


def _version(entry: Any) -> int | None:
    """None for the first version, whose indices do not tell it."""
    found = entry["mappings"]["_meta"]["version"] if entry else None
    return found if isinstance(found, int) else None
