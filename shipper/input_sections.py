"""The sections `inputs` of the configuration: one model for each type of input."""

from __future__ import annotations

import contextlib
import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from shipper import _groupers, grouping
from shipper._poll_spec import PollFields
from shipper._settings import Bytes, Id, Model, Seconds
from shipper._webhook_auth import WebhookAuthSection
from shipper.patterns import MATCH_SECONDS, compiled

FramingName = Literal["auto", "lines", "csv", "multiline", "json_document", "auditd"]


class MultilineSection(Model):
    """Records of several lines: where one begins, and what bounds it."""

    start: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    max_lines: Annotated[int, Field(ge=2, le=100_000)] = _groupers.MAX_LINES
    max_bytes: Annotated[Bytes, Field(ge=1024, le=16 * 1024**2)] = _groupers.MAX_BYTES
    timeout: Annotated[Seconds, Field(ge=0.1, le=3600)] = grouping.TIMEOUT

    @field_validator("start")
    @classmethod
    def _begins(cls, start: str | None) -> str | None:
        if start is not None:
            try:
                empty = compiled(start.encode()).match(b"", timeout=MATCH_SECONDS)
            except TimeoutError:
                empty = None
            if empty:
                raise ValueError("matches an empty line: it would begin a record at every line")
        return start


class FileInputSection(Model):
    """Files to tail."""

    id: Id
    type: Literal["file"]
    paths: Annotated[tuple[str, ...], Field(min_length=1)]
    exclude: tuple[str, ...] = ()
    format: str = "auto"
    options: dict[str, Any] = Field(default_factory=dict)
    framing: FramingName = "auto"
    multiline: MultilineSection = MultilineSection()
    timezone: str | None = None
    scan_interval: Annotated[Seconds, Field(ge=0.05, le=60)] = 1.0
    max_open_files: Annotated[int, Field(ge=4, le=100_000)] = 512
    grace: Seconds = 60.0
    ignore_older: Seconds | None = None
    keep_original: bool = False
    keep_unmapped: bool = True
    expand: Literal["always", "sensitive", "never"] = "sensitive"


class StdinInputSection(Model):
    """Lines on standard input."""

    id: Id
    type: Literal["stdin"]
    format: str = "auto"
    options: dict[str, Any] = Field(default_factory=dict)
    framing: FramingName = "auto"
    multiline: MultilineSection = MultilineSection()
    timezone: str | None = None
    keep_original: bool = False
    keep_unmapped: bool = True
    expand: Literal["always", "sensitive", "never"] = "sensitive"


class LiveInput(Model):
    """What every input has whose records come whole, over a network: nothing has to be framed."""

    id: Id
    format: str = "auto"
    options: dict[str, Any] = Field(default_factory=dict)
    timezone: str | None = None
    keep_original: bool = False
    keep_unmapped: bool = True
    expand: Literal["always", "sensitive", "never"] = "sensitive"


def host_and_port(listen: str) -> tuple[str, int]:
    """IP address and port of `127.0.0.1:8088`, `localhost:8088` or `[::1]:8088`; `ValueError` for anything else."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+|localhost):([0-9]{1,5})", listen)
    with contextlib.suppress(ValueError):
        if match and 1 <= int(match[2]) <= 65535:
            host = "127.0.0.1" if match[1] == "localhost" else match[1].strip("[]")
            ip_address(host)
            return host, int(match[2])
    raise ValueError("not an address; write for example 127.0.0.1:8088, localhost:8088 or [::1]:8088")


class ServerTlsSection(Model):
    """TLS of a server: its certificate with those between it and the authority, and its key, both PEM."""

    cert: Path
    key: Path


class WebhookInputSection(LiveInput):
    """Requests of sources that post what happens; several inputs with one `listen` share its port.

    `feeds`: the id of the poll input that reads what a hook only hints at. `trusted_proxies`: networks of proxies whose
    `X-Forwarded-For` is believed. An address that other hosts can reach needs `tls`, or a proxy that does it.
    """

    type: Literal["webhook"]
    listen: str
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9/._~-]{0,512}$")]
    format: Annotated[str, Field(min_length=1)]
    auth: WebhookAuthSection
    tls: ServerTlsSection | None = None
    trusted_proxies: tuple[str, ...] = ()
    max_body: Annotated[Bytes, Field(ge=1024, le=64 * 1024**2)] = 1024**2
    content_types: tuple[Annotated[str, Field(pattern=r"^[a-z0-9.+-]+/[a-z0-9.+-]+$")], ...] = ("application/json",)
    connections: Annotated[int, Field(ge=4, le=100_000)] = 500
    feeds: Id | None = None

    @field_validator("listen")
    @classmethod
    def _is_address(cls, listen: str) -> str:
        host_and_port(listen)
        return listen

    @field_validator("format")
    @classmethod
    def _is_named(cls, format: str) -> str:  # noqa: A002 - the field's name
        if format == "auto":
            raise ValueError("a webhook's format is named, not found out: see `fieldtrail formats`")
        return format

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for i, text in enumerate(proxies):
            try:
                ip_network(text)
            except ValueError:
                raise ValueError(
                    f"trusted_proxies[{i}]: not a network; write for example 192.0.2.7 or 10.0.0.0/8"
                ) from None
        return proxies

    @model_validator(mode="after")
    def _is_private(self) -> WebhookInputSection:
        if self.tls is None and not self.trusted_proxies and not ip_address(self.address[0]).is_loopback:
            raise ValueError(
                "listen: whoever is on the way could read what is sent; give tls, or trusted_proxies where one ends it"
            )
        return self

    @property
    def address(self) -> tuple[str, int]:
        """IP address and port; `localhost` is 127.0.0.1."""
        return host_and_port(self.listen)

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`trusted_proxies` as networks."""
        return tuple(ip_network(text) for text in self.trusted_proxies)

    @property
    def shared(self) -> dict[str, Any]:
        """What all inputs with one `listen` must say alike."""
        return {name: getattr(self, name) for name in ("tls", "trusted_proxies", "connections")}


SYSLOG_SCHEMES: Final = ("udp", "tcp", "tls", "relp", "relps")


def syslog_address(listen: str) -> tuple[str, str, int]:
    """Scheme, IP address and port of `udp://127.0.0.1:5514`, `tls://[::1]:6514`; `ValueError` for anything else."""
    scheme, _, rest = listen.partition("://")
    if scheme in SYSLOG_SCHEMES:
        with contextlib.suppress(ValueError):
            return scheme, *host_and_port(rest)
    raise ValueError(
        f"{listen!r} is not an address to listen on; write for example udp://127.0.0.1:5514, tcp://0.0.0.0:5514,"
        " tls://0.0.0.0:6514, relp://127.0.0.1:2514 or relps://[::1]:2514"
    )


class SyslogTlsSection(ServerTlsSection):
    """TLS of a syslog listener. `client_ca`: only clients with a certificate of this authority get in (PEM)."""

    client_ca: Path | None = None


class SyslogInputSection(LiveInput):
    """Messages of syslog daemons and devices.

    `format` is that of the messages; their envelope (priority, time, host, program) is read as of syslog, whatever it
    is. `allow`: networks that may send, all where it is left out. An address that other hosts can reach needs it, or
    TLS with `client_ca`: nothing else keeps anybody from writing events.
    """

    type: Literal["syslog"]
    listen: Annotated[
        tuple[str, ...], BeforeValidator(lambda one: (one,) if isinstance(one, str) else one), Field(min_length=1)
    ]
    framing: Literal["auto", "octets", "lines"] = "auto"
    tls: SyslogTlsSection | None = None
    allow: tuple[str, ...] = ()
    max_message: Annotated[Bytes, Field(ge=1024, le=16 * 1024**2)] = 256 * 1024
    connections: Annotated[int, Field(ge=1, le=100_000)] = 500
    idle: Annotated[Seconds, Field(ge=1)] = 86_400.0
    slow: Annotated[Seconds, Field(ge=1, le=3600)] = 30.0
    receive_buffer: Annotated[Bytes, Field(le=1024**3)] = 0

    @field_validator("listen")
    @classmethod
    def _are_addresses(cls, listen: tuple[str, ...]) -> tuple[str, ...]:
        found = [syslog_address(one) for one in listen]
        places = [(scheme == "udp", host, port) for scheme, host, port in found]
        if len(set(places)) < len(places):
            raise ValueError("one address is given twice")
        return listen

    @field_validator("allow")
    @classmethod
    def _are_networks(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        for i, text in enumerate(allow):
            try:
                ip_network(text)
            except ValueError:
                raise ValueError(f"allow[{i}]: not a network; write for example 192.0.2.7 or 10.0.0.0/8") from None
        return allow

    @model_validator(mode="after")
    def _is_guarded(self) -> SyslogInputSection:
        for scheme, host, _ in self.addresses:
            secure = scheme in {"tls", "relps"}
            if secure and self.tls is None:
                raise ValueError(f"listen: {scheme}:// needs tls with cert and key")
            known = secure and self.tls is not None and self.tls.client_ca is not None
            if not self.allow and not known and not ip_address(host).is_loopback:
                raise ValueError(
                    f"listen: whoever can reach {scheme}://{host} could write events; name who may with"
                    " allow: [10.0.0.0/8], or take tls:// with tls.client_ca"
                )
        return self

    @property
    def addresses(self) -> tuple[tuple[str, str, int], ...]:
        """Scheme, IP address and port of each."""
        return tuple(syslog_address(one) for one in self.listen)

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`allow` as networks."""
        return tuple(ip_network(text) for text in self.allow)


class PollInputSection(LiveInput, PollFields):
    """An API that is asked again and again; its resources name their formats themselves."""

    type: Literal["poll"]

    @field_validator("format")
    @classmethod
    def _is_of_its_resources(cls, format: str) -> str:  # noqa: A002 - the field's name
        if format != "auto":
            raise ValueError("each resource has its own; leave it out")
        return format


InputSection = Annotated[
    FileInputSection | StdinInputSection | WebhookInputSection | SyslogInputSection | PollInputSection,
    Field(discriminator="type"),
]
