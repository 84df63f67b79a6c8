"""Roles of the security plugin: `mappings/opensearch/roles.yaml`, and users of the operator's that get them.

No user is made here, and no password: who has a role is said by name (`setup --security --grant writer=NAME`), and a
name that is not given keeps what it has. Facts: OpenSearch documentation, "Security plugin: access control, API".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import mappings
from shipper.errors import UsageError
from shipper.siem.install import Part, Stored

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client

PLUGIN: Final = "opensearch-security"
_API: Final = "/_plugins/_security/api"
_PREFIX: Final = "fieldtrail_"
_OF_THE_SERVER: Final = frozenset({"hidden", "reserved", "static"})


def roles() -> dict[str, dict[str, Any]]:
    """Role name -> body. Nothing is masked or hidden: dls, fls and masked_fields are empty."""
    version, facts = mappings.roles()
    return {
        one.name: {
            "description": f"{one.about} (Fieldtrail, version {version})",
            "cluster_permissions": list(one.cluster),
            "index_permissions": [
                {
                    "index_patterns": list(patterns),
                    "dls": "",
                    "fls": [],
                    "masked_fields": [],
                    "allowed_actions": list(actions),
                }
                for patterns, actions in one.indices
            ],
            "tenant_permissions": [],
        }
        for one in facts
    }


def role_parts(grants: Sequence[str] = ()) -> list[Part]:
    """All roles, then who gets them. `grants`: `writer=NAME` and the like; `UsageError`."""
    users: dict[str, list[str]] = {}
    for grant in grants:
        short, _, user = grant.partition("=")
        name = _PREFIX + short.removeprefix(_PREFIX)
        if name not in roles() or not user.strip():
            known = ", ".join(one.removeprefix(_PREFIX) for one in roles())
            raise UsageError(
                "read --grant", grant, f"not ROLE=USER with a role of {known}", "--grant writer=fieldtrail"
            )
        users.setdefault(name, []).append(user.strip())
    mapped = [Part(RoleMappingKind(frozenset(names)), {name: {"users": names}}) for name, names in users.items()]
    return [Part(RoleKind(), roles()), *mapped]


def _read(client: Client, path: str, name: str) -> Stored | None:
    told = client.ask(f"read {name}", "GET", path, absent=True)
    body = told.get(name) if isinstance(told, Mapping) else None
    return Stored(body) if isinstance(body, Mapping) else None


@dataclass(frozen=True, slots=True)
class RoleKind:
    """`GET` and `PUT /_plugins/_security/api/roles/<name>`."""

    label: str = "role"
    plugin: str | None = PLUGIN

    def path(self, name: str) -> str:
        """Where one is read and written."""
        return f"{_API}/roles/{name}"

    def read(self, client: Client, name: str) -> Stored | None:
        """The role."""
        return _read(client, self.path(name), name)

    def write(self, client: Client, name: str, body: Mapping[str, Any], stored: Stored | None) -> None:
        """Put it, whatever was there."""
        del stored
        client.ask(f"install {name}", "PUT", self.path(name), body=body)

    def normal(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Without the marks of the server; permissions in one order; no filter is the same as an empty one."""
        entries = [
            {
                "index_patterns": sorted(entry.get("index_patterns") or ()),
                "dls": entry.get("dls") or "",
                "fls": sorted(entry.get("fls") or ()),
                "masked_fields": sorted(entry.get("masked_fields") or ()),
                "allowed_actions": sorted(entry.get("allowed_actions") or ()),
            }
            for entry in body.get("index_permissions") or ()
        ]
        return {
            "description": body.get("description"),
            "cluster_permissions": sorted(body.get("cluster_permissions") or ()),
            "index_permissions": sorted(entries, key=lambda entry: entry["index_patterns"]),
            "tenant_permissions": list(body.get("tenant_permissions") or ()),
        }

    def version(self, body: Mapping[str, Any]) -> int | None:
        """The number at the end of the description, since a role has no other place for it."""
        found = re.search(r"\(Fieldtrail, version (\d+)\)$", str(body.get("description") or ""))
        return int(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class RoleMappingKind:
    """Who has a role: `/_plugins/_security/api/rolesmapping/<role>`. `wanted`: the users to be in it.

    Users, backend roles and hosts that are in it already stay.
    """

    wanted: frozenset[str]
    label: str = "role mapping"
    plugin: str | None = PLUGIN

    def path(self, name: str) -> str:
        """Where one is read and written."""
        return f"{_API}/rolesmapping/{name}"

    def read(self, client: Client, name: str) -> Stored | None:
        """The mapping of this role."""
        return _read(client, self.path(name), name)

    def write(self, client: Client, name: str, body: Mapping[str, Any], stored: Stored | None) -> None:
        """Put it, with whom it had before."""
        there = dict(stored.body) if stored is not None else {}
        kept = {key: value for key, value in there.items() if key not in _OF_THE_SERVER and value is not None}
        users = [*(kept.get("users") or ()), *body["users"]]
        kept["users"] = list(dict.fromkeys(users))
        client.ask(f"install {name}", "PUT", self.path(name), body=kept)

    def normal(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Of the users only those that are wanted: others are none of our business."""
        return {"users": sorted(self.wanted.intersection(body.get("users") or ()))}

    def version(self, body: Mapping[str, Any]) -> None:
        """None: it is made from the command line."""
        del body
