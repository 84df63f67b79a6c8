"""Hosts and the ends of connections in text formats: an address or a name, as ECS fields. Pure."""

from __future__ import annotations

import re
from typing import Any

from parsers._json import clean_ip

_name = re.compile(r"(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_.-]{1,253}").fullmatch


def set_host(fields: dict[str, Any], host: str) -> None:
    """The host that a record is of: `host.ip` where an address stands in the place of the name."""
    if "." not in host and ":" not in host:
        fields["host.hostname"] = host  # as no address is written
        return
    address = clean_ip(host)
    if address is None:
        fields["host.hostname"] = host
    else:
        fields["host.ip"] = [address]


def set_end(fields: dict[str, Any], text: str, side: str) -> None:
    """One end of a connection, as `source` or `destination`: an address, a host name, or the path of a socket."""
    address = clean_ip(text)
    if address is not None:
        fields[f"{side}.ip"] = address
    if address != text:
        fields[f"{side}.address"] = text
        if address is None and _name(text):
            fields[f"{side}.domain"] = text
