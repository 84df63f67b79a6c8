"""Dashboards, saved searches and index patterns as saved objects of OpenSearch Dashboards. Pure and deterministic.

Made from `mappings/opensearch/dashboards/*.yaml`. Ids are stable, so an import with `overwrite=true` replaces what an
earlier one made, and nothing else. Every field name, query and aggregation in them is run against a real OpenSearch by
our tests; an import into a running Dashboards has not been tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import mappings
from shipper.siem import _panels

_OWNER: Final = "fieldtrail"
_INDEX: Final = "kibanaSavedObjectMeta.searchSourceJSON.index"
"""The reference to the index pattern; Dashboards knows it by this name only."""
_MIGRATIONS: Final = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
"""The newest migration of each type that what we write has behind it."""
_PANEL_VERSION: Final = "2.19.0"
_COLUMNS: Final = 48
_NOTE_HEIGHT: Final = 4

_FORMATS: Final[Mapping[str, Mapping[str, Any]]] = {
    "link": {"id": "url", "params": {"type": "a", "labelTemplate": "open"}},
    "bytes": {"id": "bytes", "params": {"pattern": "0,0.[0]b"}},
    "nanoseconds": {
        "id": "duration",
        "params": {"inputFormat": "nanoseconds", "outputFormat": "asSeconds", "outputPrecision": 1},
    },
}


class _Names:
    """Ids, titles and streams, of all namespaces or of one."""

    def __init__(self, namespace: str | None) -> None:
        # A namespace holds no dot and no hyphen: the two kinds of ids cannot be the same.
        self._prefix = f"{_OWNER}.{namespace}" if namespace else _OWNER
        self._suffix = f" ({namespace})" if namespace else ""
        self._namespace = namespace or "*"

    def id(self, *parts: str) -> str:
        """`fieldtrail-<part>-…`; the default index pattern has no part."""
        return "-".join([self._prefix, *(part for part in parts if part)])

    def title(self, text: str) -> str:
        return text + self._suffix

    def streams(self, words: list[str]) -> str:
        """Title of an index pattern: data streams, never the indices behind them."""
        if words == ["all"]:
            if self._namespace == "*":
                return f"logs-{_OWNER}.*"
            words = list(mappings.component_templates().streams)
        return ",".join(f"logs-{_OWNER}.{word}-{self._namespace}" for word in words)


def saved_objects(namespace: str | None = None) -> list[dict[str, Any]]:
    """Every saved object, what is referred to before what refers to it; of all namespaces or of one."""
    sources = mappings.dashboards()
    names = _Names(namespace)
    streams = {name: names.streams(facts["streams"]) for name, facts in sources.patterns.items()}
    return [
        *(_pattern(names, name, facts) for name, facts in sources.patterns.items()),
        *(_search(names, name, facts) for name, facts in sources.searches.items()),
        *(made for name, facts in sources.dashboards.items() for made in _dashboard(names, name, facts, streams)),
    ]


def ndjson(namespace: str | None = None) -> bytes:
    """The saved objects as Dashboards exports and imports them: one a line."""
    return "".join(_panels.dumps(one) + "\n" for one in saved_objects(namespace)).encode()


def _object(
    kind: str, name: str, attributes: Mapping[str, Any], references: list[tuple[str, str, str]]
) -> dict[str, Any]:
    """`references`: (name, type, id)."""
    return {
        "type": kind,
        "id": name,
        "attributes": attributes,
        "references": [{"name": of, "type": to, "id": target} for of, to, target in references],
        "migrationVersion": {kind: _MIGRATIONS[kind]},
    }


def _pattern(names: _Names, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {"title": names.streams(facts["streams"]), "timeFieldName": _panels.TIME}
    if "formats" in facts:
        shown = {field: _FORMATS[word] for field, word in facts["formats"].items()}
        attributes["fieldFormatMap"] = _panels.dumps(shown)
    return _object("index-pattern", names.id(name), attributes, [])


def _search(names: _Names, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {
        "title": names.title(facts["title"]),
        "description": facts["about"],
        "hits": 0,
        "columns": [column for line in facts["columns"] for column in line.split()],
        "sort": [[_panels.TIME, "desc"]],
        "version": 1,
        "kibanaSavedObjectMeta": {
            "searchSourceJSON": _panels.search_source(facts["query"], highlightAll=True, version=True)
        },
    }
    target = (_INDEX, "index-pattern", names.id(facts.get("index", "")))
    return _object("search", names.id(name), attributes, [target])


def _visualization(
    title: str, about: str, state: Mapping[str, Any], source: str, references: list[tuple[str, str, str]], name: str
) -> dict[str, Any]:
    attributes = {
        "title": title,
        "description": about,
        "visState": _panels.dumps(state),
        "uiStateJSON": "{}",
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": source},
    }
    return _object("visualization", name, attributes, references)


def _panel(names: _Names, name: str, panel: Mapping[str, Any], streams: Mapping[str, str]) -> dict[str, Any]:
    index = panel.get("index", "")
    title = names.title(panel["title"])
    state = _panels.vis_state(panel, title, streams[index])
    about = f"If it is empty: {panel['empty']}" if "empty" in panel else ""
    if panel["type"] in {"vega-lite", "markdown"}:  # the first names its data itself, the second has none
        return _visualization(title, about, state, _panels.search_source("", index=False), [], name)
    source = _panels.search_source(panel.get("query", ""))
    return _visualization(title, about, state, source, [(_INDEX, "index-pattern", names.id(index))], name)


class _Board:
    """What stands where on one dashboard, from top to bottom."""

    def __init__(self) -> None:
        self.panels: list[dict[str, Any]] = []
        self.references: list[tuple[str, str, str]] = []

    def place(self, target: Mapping[str, str], where: tuple[int, int, int, int], *, titled: bool = True) -> None:
        """`target`: type and id. `where`: left, top, width, height."""
        number, name = str(len(self.panels) + 1), f"panel_{len(self.panels)}"
        self.panels.append(
            {
                "version": _PANEL_VERSION,
                "gridData": {**dict(zip("xywh", where, strict=True)), "i": number},
                "panelIndex": number,
                "embeddableConfig": {} if titled else {"hidePanelTitles": True},
                "panelRefName": name,
            }
        )
        self.references.append((name, target["type"], target["id"]))


def _dashboard(
    names: _Names, name: str, facts: Mapping[str, Any], streams: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The panels, the texts under the rows, and last the dashboard itself."""
    board, top = _Board(), 0
    for number, row in enumerate(facts["rows"], 1):
        left, panels = 0, [_titled(panel) for panel in row["panels"]]
        for panel in panels:
            if panel["type"] == "search":
                target = {"type": "search", "id": names.id(panel["search"])}
            else:
                target = _panel(names, names.id(name, panel["id"]), panel, streams)
                yield target
            board.place(target, (left, top, panel["width"], row["height"]))
            left += panel["width"]
        assert left == _COLUMNS, f"{name}, row {number}: {left} columns"
        top += row["height"]
        text = _panels.why_empty(panels)
        if text:
            title = names.title(f"{facts['title']}: why row {number} may be empty")
            source = _panels.search_source("", index=False)
            note = _visualization(
                title, "", _panels.markdown(title, text), source, [], names.id(name, f"note-{number}")
            )
            yield note
            board.place(note, (0, top, _COLUMNS, _NOTE_HEIGHT), titled=False)
            top += _NOTE_HEIGHT
    attributes = {
        "title": names.title(facts["title"]),
        "description": facts["about"],
        "hits": 0,
        "version": 1,
        "timeRestore": True,
        "timeFrom": facts["time"]["from"],
        "timeTo": facts["time"]["to"],
        "refreshInterval": {"pause": True, "value": 0},
        "optionsJSON": _panels.dumps({"hidePanelTitles": False, "useMargins": True}),
        "panelsJSON": _panels.dumps(board.panels),
        "kibanaSavedObjectMeta": {"searchSourceJSON": _panels.search_source("", index=False)},
    }
    yield _object("dashboard", names.id(name), attributes, board.references)


def _titled(panel: Mapping[str, Any]) -> Mapping[str, Any]:
    """A panel with its title: a saved search has its own."""
    if panel["type"] != "search":
        return panel
    return {**panel, "title": mappings.dashboards().searches[panel["search"]]["title"]}
