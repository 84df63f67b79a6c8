"""Component and index templates as kinds of the install engine; their bodies come from shipper/templates.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shipper.siem.install import Part, Stored
from shipper.templates import templates

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client


@dataclass(frozen=True, slots=True)
class TemplateKind:
    """`GET` and `PUT /_component_template/<name>` or `/_index_template/<name>`. `member`: that word without `_`."""

    member: str
    plugin: str | None = None

    @property
    def label(self) -> str:
        """`component template` or `index template`."""
        return self.member.replace("_", " ")

    def path(self, name: str) -> str:
        """Where one is read and written."""
        return f"/_{self.member}/{name}"

    def read(self, client: Client, name: str) -> Stored | None:
        """The stored template; None: there is none."""
        told = client.ask(f"read {name}", "GET", self.path(name), absent=True)
        entries = told.get(f"{self.member}s") if told else None
        return Stored(entries[0][self.member]) if entries else None

    def write(self, client: Client, name: str, body: Mapping[str, Any], _stored: Stored | None) -> None:
        """Put it, whatever was there."""
        client.ask(f"install {name}", "PUT", self.path(name), body=body)

    def normal(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Without the ways in which a server writes the same template: nested settings, numbers as text."""
        out = {name: value for name, value in body.items() if name not in {"template", "data_stream"}}
        inner = body.get("template", {})
        out["settings"] = dict(_flat(inner.get("settings", {}), ""))
        # An empty mapping and none are the same.
        out["mappings"] = inner.get("mappings") or {}
        out["data_stream"] = "data_stream" in body
        return out

    def version(self, body: Mapping[str, Any]) -> int | None:
        """The template's own version number."""
        number = body.get("version")
        return number if isinstance(number, int) else None


COMPONENTS: Final = TemplateKind("component_template")
INDICES: Final = TemplateKind("index_template")


def template_parts(namespace: str | None = None) -> list[Part]:
    """All templates, for all namespaces or for `namespace` alone; the components first, as they must be installed."""
    made = templates(namespace)
    return [Part(COMPONENTS, made["component_templates"]), Part(INDICES, made["index_templates"])]


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flat(item, f"{path}.{name}" if path else str(name))
    else:
        name = path if path.startswith("index.") else f"index.{path}"
        yield name, [str(item) for item in value] if isinstance(value, list) else _setting(value)


def _setting(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
