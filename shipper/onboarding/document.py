"""The text of a configuration: a new one with comments, or inputs added to one that is there.

A text is changed only where it can be shown that nothing else changed: the result is read back, and must be the old
document with the new inputs at the end of its list. Comments and order stay as they are.
"""

from __future__ import annotations

import copy
import json
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from shipper import _yaml
from shipper.onboarding.answers import Answers
from shipper.onboarding.sources import OWN_FORMAT, Wanted

Section = Mapping[str, Any]

OUTPUTS: Final = {
    "store": """\
outputs:
  # The embedded store: SQLite in the state folder. `fieldtrail search` and `fieldtrail trace` read it.
  - {id: local, type: store}
""",
    "opensearch": """\
outputs:
  # Install the index templates first: fieldtrail setup -c THIS_FILE
  - id: siem
    type: opensearch
    hosts: ["https://search.example:9200"]
    # auth: {basic: {username: fieldtrail, password: "${file:/run/secrets/opensearch}"}}
    # tls: {ca: /etc/fieldtrail/ca.pem}
""",
    "syslog": """\
outputs:
  # RFC 5424, octet-counted. tls://, tcp:// or udp:// (over UDP nothing can be proved to have arrived).
  - id: soc
    type: syslog
    address: "tls://soc.example:6514"
    format: rfc5424
    # tls: {ca: /etc/fieldtrail/ca.pem}
""",
}
_OWN_FORMAT: Final = """\
formats:
  # Your own JSON log, mapped without Python: event field: path in your line.
  my_audit:
    decode: json
    time: {field: ts, layout: iso8601}
    map: {user.id: actor.id, user.email: actor.email, source.ip: actor.ip,
          trail.session.id: actor.session,
          event.action: action, trail.object.type: object.type, trail.object.id: object.id}
    changes: {list: changes, field: field, old: old, new: new}
    actions: {edit: field.update, create: record.create, remove: record.delete}
"""
_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def section_of(one: Wanted, answers: Answers, files: Mapping[str, Path], feeds: str | None) -> Section:
    """The input's section. `files`: where each secret lies, by its question; `feeds`: the id of a poll input."""
    section: dict[str, Any] = {"id": one.id, **copy.deepcopy(dict(one.input))}
    for key, answer in answers.items():
        question = one.questions[key]
        if not question.into:
            continue
        value: Any = answer.value if isinstance(answer.value, str) else list(answer.value)
        if key in files:
            value = str(files[key]) if question.into.endswith("_file") else f"${{file:{files[key]}}}"
        _put(section, question.into.split("."), value)
    if feeds is not None:
        section["feeds"] = feeds
    # As people read it: what it is, what it reads, and how it shows who it is.
    first = ("id", "type", "preset", "api", "settings", "listen", "path", "paths", "format", "auth", "tls")
    return {key: section[key] for key in (*first, *(key for key in section if key not in first)) if key in section}


def _put(section: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for name in path[:-1]:
        section = section.setdefault(name, {})
    section[path[-1]] = value


def flow(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def written(one: Wanted, section: Section, indent: int) -> str:
    """A section as an item of a list, with comments."""
    pad = " " * indent
    lines = [f"# {one.title}" + (f": {one.needs}" if one.needs and section["type"] != "file" else "")]
    lines += [
        f"{'-' if number == 0 else ' '} {key}: {flow(value)}" for number, (key, value) in enumerate(section.items())
    ]
    if section["type"] == "file":
        at = next(number for number, line in enumerate(lines) if line.startswith("  paths:"))
        lines[at] += "   # where this log lies; globs are fine, ** too"
        lines.append("  # timezone: Europe/Berlin        # of times that name none")
    if section["type"] == "poll":
        lines.append("  # every: 10m                     # between two readings; limits: {requests: 40, per: 60s}")
        lines.append("  # choose: {NAME: {enabled: false}} # of what is read:")
        lines += [f"  #   {comment}" for comment in one.comments]
    return "".join(f"{pad}{line}\n" for line in lines)


def new(items: Sequence[tuple[Wanted, Section]], to: str, state_dir: Path | None) -> str:
    """A whole configuration."""
    host = re.sub(r"[\s+]", "-", socket.gethostname())
    lines = [
        "# Fieldtrail. Check it with: fieldtrail validate -c THIS_FILE",
        "agent:",
        f"  name: {host}",
        f"  origin: local/{host}          # the log's identity is <origin>/<name>/<generation>; choose it once",
    ]
    if state_dir is not None:
        lines.append(f"  state_dir: {flow(str(state_dir))}")
    else:
        lines.append("  # state_dir: /var/lib/fieldtrail   # journal, keys, cursors; default: in the user's home")
    lines += [
        "",
        "# What is sealed cannot be unsaid: decide here what may be sealed in clear text.",
        "# Without rules, bank, tax and government ids are masked and credentials dropped.",
        "privacy:",
        "  rules:",
        "    - {category: bank, action: mask}",
        "    - {category: tax, action: mask}",
        "    - {category: gov_id, action: mask}",
        "    - {category: credential, action: drop}",
        "    # - {field: salary, action: mask}",
        "",
        "inputs:",
    ]
    text = "\n".join(lines) + "\n" + "".join(written(one, section, 2) for one, section in items)
    own = f"\n{_OWN_FORMAT}" if _needs_format(section for _, section in items) else ""
    return f"{text}{own}\n{OUTPUTS[to]}"


def _needs_format(sections: Iterable[Section]) -> bool:
    return any(section.get("format") == OWN_FORMAT for section in sections)


def added(text: str, items: Sequence[tuple[Wanted, Section]]) -> str | None:
    """The text with these inputs added; None where that cannot be done without changing anything else."""
    document = _yaml.read(text)
    if document is not None and not isinstance(document, dict):
        return None
    before: dict[str, Any] = document or {}
    made = _with_inputs(text, items)
    expected = {**before, "inputs": [*(before.get("inputs") or []), *(dict(section) for _, section in items)]}
    if (
        made is not None
        and _needs_format(section for _, section in items)
        and OWN_FORMAT not in before.get("formats", {})
    ):
        made = None if "formats" in before else f"{_ended(made)}\n{_OWN_FORMAT}"
        expected["formats"] = _yaml.read(_OWN_FORMAT)["formats"]
    try:
        return made if made is not None and _yaml.read(made) == expected else None
    except yaml.YAMLError:
        return None


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _with_inputs(text: str, items: Sequence[tuple[Wanted, Section]]) -> str | None:
    # The loader in Python: its marks count characters, wherever it runs.
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is not None and (not isinstance(root, yaml.MappingNode) or root.flow_style):
        return None
    found = [pair for pair in (root.value if root else []) if pair[0].value == "inputs"]
    if not found:
        return f"{_ended(text)}\ninputs:\n" + "".join(written(one, section, 2) for one, section in items)
    key, value = found[0]
    lines = text.splitlines(keepends=True)
    if isinstance(value, yaml.SequenceNode) and value.flow_style and not value.value:
        at, indent = value.end_mark.index, 2
        head, tail = text[: value.start_mark.index].rstrip(" ") + "\n", text[at:].lstrip(" ").removeprefix("\n")
        return head + "".join(written(one, section, indent) for one, section in items) + tail
    if isinstance(value, yaml.ScalarNode) and not value.value:
        last, indent = key.end_mark.line, 2
    elif isinstance(value, yaml.SequenceNode) and not value.flow_style:
        last, indent = _last_line(lines, value), value.start_mark.column
    else:
        return None
    head = _ended("".join(lines[: last + 1]))
    return head + "".join(written(one, section, indent) for one, section in items) + "".join(lines[last + 1 :])


def _last_line(lines: Sequence[str], value: yaml.SequenceNode) -> int:
    """The last line of a list, with the comments behind it that are set in; others belong to what follows."""
    # At the begin of a line it ends with the line before.
    last = min(value.end_mark.line - (value.end_mark.column == 0), len(lines) - 1)
    while last > value.start_mark.line and (not lines[last].strip() or lines[last].lstrip().startswith("#")):
        last -= 1
    inner = " " * (value.start_mark.column + 1)
    while last + 1 < len(lines) and lines[last + 1].startswith(inner) and lines[last + 1].lstrip().startswith("#"):
        last += 1
    return last
