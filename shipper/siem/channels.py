"""The notification channel that monitors send by: `setup --monitors --notify …`, for the Notifications plugin.

There is one, `fieldtrail`. Facts: OpenSearch documentation, "Notifications" and its API. Who made a channel of that id
by hand keeps it: without `--notify` nothing is written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from shipper.errors import UnavailableError, UsageError
from shipper.siem.install import Part, Stored, installed_plugins

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client

CHANNEL_ID: Final = "fieldtrail"
"""The channel's id, which the actions of our monitors name."""

PLUGIN: Final = "opensearch-notifications"

_BASE: Final = "/_plugins/_notifications/configs"
_HINT: Final = "--notify webhook=@FILE, slack=@FILE (the file holds the URL) or email=SENDER:soc@acme.example"
_OP: Final = "read --notify"


def channel_of(text: str) -> dict[str, Any]:
    """The body of the channel that `--notify KIND=VALUE` describes; `UsageError`.

    `webhook=URL`, `slack=URL`, or `@FILE` for the URL: a file whose only line is the URL, since a URL that lets anybody
    send is a secret, and a command line can be read by every user of the machine. `email=SENDER:ADDRESS[,ADDRESS…]`:
    SENDER is the id of an SMTP or SES sender that the Notifications plugin has already.
    """
    kind, _, value = text.partition("=")
    make = _MAKERS.get(kind)
    if make is None or not value:
        # A URL where the kind should be is a secret too.
        raise UsageError(_OP, kind if make else "", "no kind of channel" if make is None else "has no value", _HINT)
    return {
        "name": "Fieldtrail",
        "description": "Where the monitors of fieldtrail setup send",
        "config_type": kind,
        "is_enabled": True,
        kind: make(kind, value),
    }


def _slack(kind: str, value: str) -> dict[str, Any]:
    if not value.startswith("@"):
        raise UsageError(_OP, kind, "a Slack URL is a secret and must not stand in the command line", _HINT)
    return {"url": _url(kind, value)}


def _webhook(kind: str, value: str) -> dict[str, Any]:
    # The message is the whole body of the request. It is text; the plugin would call it JSON.
    return {"url": _url(kind, value), "header_params": {"Content-Type": "text/plain; charset=utf-8"}, "method": "POST"}


def _email(kind: str, value: str) -> dict[str, Any]:
    sender, _, addresses = value.partition(":")
    recipients = [address.strip() for address in addresses.split(",")]
    if not re.fullmatch(r"[A-Za-z0-9_-]+", sender):
        raise UsageError(_OP, kind, "names no sender: the id of an SMTP or SES sender in Notifications", _HINT)
    if not all(re.fullmatch(r"[^@\s]+@[^@\s]+", one) for one in recipients):
        raise UsageError(_OP, kind, "names something that is no address", _HINT)
    return {
        "email_account_id": sender,
        "recipient_list": [{"recipient": one} for one in recipients],
        "email_group_id_list": [],
    }


_MAKERS: Final = {"webhook": _webhook, "slack": _slack, "email": _email}


def _url(kind: str, value: str) -> str:
    """The URL, read from its file where the value begins with `@`. Errors do not quote it."""
    if value.startswith("@"):
        path = Path(value[1:])
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            cause = getattr(error, "strerror", None) or "not UTF-8 text"
            raise UsageError(_OP, str(path), cause, f"ls -l {path}") from None
    try:
        parts = urlsplit(value)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or len(value.split()) != 1:
        raise UsageError(_OP, kind, "not a URL", _HINT)
    return value


def channel_parts(channel: Mapping[str, Any]) -> list[Part]:
    """The one channel."""
    return [Part(KIND, {CHANNEL_ID: channel})]


def has_channel(client: Client) -> bool:
    """Whether the server has a channel of our id, whoever made it."""
    plugins = installed_plugins(client)
    if plugins is not None and PLUGIN not in plugins:
        return False
    try:
        return KIND.read(client, CHANNEL_ID) is not None
    except UnavailableError:
        if plugins is None:  # it may not be there, and this account may not ask
            return False
        raise


@dataclass(frozen=True, slots=True)
class ChannelKind:
    """Configurations of the Notifications plugin by their id. Whether one is switched on is the operator's choice."""

    label: str = "notification channel"
    plugin: str | None = PLUGIN

    def path(self, name: str) -> str:
        """Where a new one is sent to, as `{"config_id": name, "config": body}`."""
        del name
        return _BASE

    def read(self, client: Client, name: str) -> Stored | None:
        """The channel of this id."""
        told = client.ask(f"read {name}", "GET", f"{_BASE}/{name}", absent=True)
        entries = told.get("config_list") if told else None
        return Stored(entries[0]["config"]) if entries else None

    def write(self, client: Client, name: str, body: Mapping[str, Any], stored: Stored | None) -> None:
        """Create it, or replace what is there."""
        if stored is None:
            client.ask(f"install {name}", "POST", _BASE, body={"config_id": name, "config": body})
            return
        kept = {**body, "is_enabled": bool(stored.body.get("is_enabled", True))}
        client.ask(f"update {name}", "PUT", f"{_BASE}/{name}", body={"config": kept})

    def normal(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Without the URL, which a difference would print: its digest stands for it."""
        kind = str(body.get("config_type"))
        inner = {name: value for name, value in (body.get(kind) or {}).items() if value}
        if "url" in inner:
            inner["url"] = "sha256:" + hashlib.sha256(str(inner["url"]).encode()).hexdigest()[:12]
        return {"name": body.get("name"), "description": body.get("description"), "config_type": kind, kind: inner}

    def version(self, body: Mapping[str, Any]) -> None:
        """None: it is made from the command line."""
        del body


KIND: Final = ChannelKind()
