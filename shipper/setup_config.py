"""`fieldtrail init`: a commented configuration for the sources a user names. It is read back and checked."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import parsers
from shipper.config import Config, load
from shipper.errors import ConfigError, UsageError
from shipper.formats import Formats

_OUTPUTS = {
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


def write(path: Path, sources: tuple[str, ...], to: str, state_dir: Path | None) -> Config:
    """Write the file (never over an existing one) and return the configuration as it reads back."""
    formats = Formats({})
    for name in sources:
        if name not in {"auto", "json"}:
            try:
                formats.get(name)
            except ConfigError as error:
                raise UsageError("init", f"--source {name}", error.cause, error.hint) from None
    text = _text(sources, to, state_dir)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError("init", str(path), "already exists", f"fieldtrail validate -c {path}") from None
    except OSError as error:
        raise UsageError("init", str(path), error.strerror or str(error), f"ls -ld {path.parent}") from None
    return load(path)


def _text(sources: tuple[str, ...], to: str, state_dir: Path | None) -> str:
    host = re.sub(r"[\s+]", "-", socket.gethostname())
    lines = [
        "# Fieldtrail. Check it with: fieldtrail validate -c THIS_FILE",
        "agent:",
        f"  name: {host}",
        f"  origin: local/{host}          # the log's identity is <origin>/<name>/<generation>; choose it once",
    ]
    if state_dir is not None:
        lines.append(f'  state_dir: "{state_dir.resolve()}"')
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
    names = {"auto", *parsers.names()}
    for name in sources:
        own = name == "json" or name not in names
        lines += [
            f"  - id: {name.replace('_', '-')}",
            "    type: file",
            f'    paths: ["/var/log/{name.replace("_", "-")}/*.log"]   # where this log lies; globs are fine, ** too',
            f"    format: {'my_audit' if own else name}",
            "    # timezone: Europe/Berlin        # of times that name none",
        ]
    if "json" in sources:
        lines += [
            "",
            "formats:",
            "  # Your own JSON log, mapped without Python: event field: path in your line.",
            "  my_audit:",
            "    decode: json",
            "    time: {field: ts, layout: iso8601}",
            "    map: {user.id: actor.id, user.email: actor.email, source.ip: actor.ip,",
            "          trail.session.id: actor.session,",
            "          event.action: action, trail.object.type: object.type, trail.object.id: object.id}",
            "    changes: {list: changes, field: field, old: old, new: new}",
            "    actions: {edit: field.update, create: record.create, remove: record.delete}",
        ]
    return "\n".join(lines) + "\n\n" + _OUTPUTS[to]
