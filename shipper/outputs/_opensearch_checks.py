"""What is checked before the first document: that this is an OpenSearch, and that it has our index templates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from shipper.errors import UnavailableError
from shipper.outputs._bulk import pattern, stream
from shipper.templates import templates

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client

OLDEST: Final = (2, 12)
"""The first version that has every field type of our templates (match_only_text)."""

_TEMPLATE_FACTS: Final = ",".join(
    f"index_templates.index_template.{name}"
    for name in ("index_patterns", "priority", "data_stream", "composed_of", "version")
)


def check_server(client: Client) -> str:
    """The version in words; `UnavailableError` when this is not an OpenSearch of at least `OLDEST`."""
    op = "check the server"
    answer = client.request("GET", "/")
    if answer.status == 403:
        return "version not told (403)"  # a role without cluster:monitor/main may well be able to write
    told = client.understood(op, answer)
    version = told.get("version") if isinstance(told, dict) else None
    number = str(version.get("number", "")) if isinstance(version, dict) else ""
    if not isinstance(version, dict) or version.get("distribution") != "opensearch":
        cause = f"this is not OpenSearch (version {number[:20] or 'unknown'})"
        raise UnavailableError(op, client.place, cause, f"curl {client.place}/")
    match = re.match(r"(\d+)\.(\d+)", number)
    # 7.10.2 is what OpenSearch says of itself with compatibility.override_main_response_version.
    if match and (int(match[1]), int(match[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        cause = f"OpenSearch {number[:20]} is too old: {oldest} or newer is needed"
        raise UnavailableError(op, client.place, cause, f"update OpenSearch to {oldest} or newer")
    return f"OpenSearch {number[:20]}"


def check_templates(client: Client, namespace: str, datasets: set[str] | None = None) -> None:
    """`UnavailableError` when a first document would not make a data stream of ours in this namespace."""
    op = "check the index templates"
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
