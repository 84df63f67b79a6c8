"""The configuration's text as plain values: YAML with duplicate keys refused, and references in scalar values.

Values that came out of a reference are never parsed again, so nothing in a secret can be taken for YAML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.CSafeLoader):
    """YAML with duplicate keys refused (YAML 1.2 forbids them; PyYAML keeps the last)."""


class _DuplicateKeyError(yaml.MarkedYAMLError):
    pass


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, (str, int, float, bool, type(None))):
            raise _DuplicateKeyError(None, None, "a key must be a plain scalar", key_node.start_mark)
        if key in result:
            raise _DuplicateKeyError(None, None, f"duplicate key {key!r}", key_node.start_mark)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# A date such as 2026-01-01 stays text: every date of ours is read by its own field.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}

_REFERENCE = re.compile(r"\$\{(env|file):([^}]*)\}")


def expand(
    value: Any, path: str, problems: list[tuple[str, str]], env: Mapping[str, str], secrets: dict[str, str]
) -> Any:
    """`value` with its references replaced; a reference that cannot be resolved is a problem with its path.

    `secrets` takes each value that was made this way, by its path.
    """
    if isinstance(value, dict):
        return {
            key: expand(item, f"{path}.{key}" if path else str(key), problems, env, secrets)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [expand(item, f"{path}[{i}]", problems, env, secrets) for i, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def replace(match: re.Match[str]) -> str:
        kind, name = match[1], match[2]
        if kind == "env":
            if name not in env:
                problems.append((path, f"environment variable {name} is not set"))
                return ""
            return env[name]
        try:
            return Path(name).read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            cause = getattr(error, "strerror", None) or "not UTF-8 text"
            problems.append((path, f"cannot read {name}: {cause}"))
            return ""

    secrets[path] = _REFERENCE.sub(replace, value)
    return secrets[path]


def read(text: str) -> Any:
    """The document in `text`; raises `yaml.YAMLError` (with a place where it can), `RecursionError`, `ValueError`."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
