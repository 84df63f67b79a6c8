"""The sections `outputs` of the configuration: one model for each type of output."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from shipper._auth import AuthSection, HmacSection, HttpAuthSection
from shipper._settings import Bytes, Id, Model, Patience, Seconds


class TlsSection(Model):
    """TLS of a client: authorities, own certificate, name checks."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str | None = None
    verify: bool = True


class WhenSection(Model):
    """Which events an output takes; control documents always pass (sealing.md 8)."""

    dataset: tuple[str, ...] = ()
    level: tuple[str, ...] = ()
    fields: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)


class OutputBase(Model):
    """What every output has."""

    id: Id
    start: Annotated[Literal["end", "oldest"], Field(alias="from")] = "end"
    when: WhenSection | None = None


class OpenSearchSection(OutputBase):
    """OpenSearch data streams by `_bulk`."""

    type: Literal["opensearch"]
    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    auth: AuthSection = AuthSection()
    tls: TlsSection = TlsSection()
    compression: Literal["gzip", "none"] = "gzip"
    timeout: Patience = 30.0
    batch_bytes: Annotated[Bytes, Field(ge=1000, le=90_000_000)] = 5_000_000
    concurrency: Annotated[int, Field(ge=1, le=32)] = 8

    @field_validator("hosts")
    @classmethod
    def _urls(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for i, host in enumerate(hosts):
            if not re.fullmatch(r"https?://[^\s/@]+(:\d+)?(/[^\s]*)?", host):
                raise ValueError(f"hosts[{i}]: not a URL; write for example https://search.example:9200")
        return hosts


_SCHEME = r"(udp|tcp|tls|relps?)://"
_PLACE = r"(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):\d{1,5}"


class SyslogSection(OutputBase):
    """Messages in the format RFC 5424, CEF or LEEF over TLS, RELP, TCP or UDP.

    `header` is of CEF and LEEF, `lengths` of CEF alone; these two end messages by a new line unless told otherwise.
    """

    type: Literal["syslog"]
    address: Annotated[str, Field(pattern=rf"^({_SCHEME})?{_PLACE}$")]
    format: Literal["rfc5424", "cef", "leef"] = "rfc5424"
    header: Literal["rfc3164", "rfc5424"] = "rfc3164"
    lengths: Literal["full", "standard"] = "full"
    framing: Literal["octet-counting", "newline"] = "octet-counting"
    control: Literal["full", "notes", "none"] = "notes"
    facility: Annotated[int, Field(ge=0, le=23)] = 13
    max_bytes: Annotated[Bytes, Field(ge=480, le=1_000_000)] | None = None
    window: Annotated[int, Field(ge=1, le=1000)] = 128
    tls: TlsSection = TlsSection()
    timeout: Patience = 10.0

    @model_validator(mode="before")
    @classmethod
    def _of_a_dialect(cls, given: Any) -> Any:
        """What CEF and LEEF have otherwise: no control documents, and line ends, which their receivers count on."""
        if not isinstance(given, dict) or given.get("format") not in {"cef", "leef"}:
            return given
        streams = ("tls://", "tcp://") if "://" in str(given.get("address")) else ("",)
        framing = {"framing": "newline"} if str(given.get("address")).startswith(streams) else {}
        return {"control": "none", **framing, **given}

    @field_validator("address")
    @classmethod
    def _tls_unless_said(cls, address: str) -> str:
        return address if "://" in address else f"tls://{address}"

    @property
    def transport(self) -> str:
        """`udp`, `tcp`, `tls`, `relp` or `relps`."""
        return self.address.partition("://")[0]

    @model_validator(mode="after")
    def _of_its_transport(self) -> SyslogSection:
        for name, transports in (
            ("tls", ("tls", "relps")),
            ("framing", ("tls", "tcp")),
            ("window", ("relps", "relp")),
        ):
            if name in self.model_fields_set and self.transport not in transports:
                raise ValueError(f"{name}: only for {':// and '.join(transports)}:// addresses")
        return self

    @model_validator(mode="after")
    def _of_its_format(self) -> SyslogSection:
        for name, formats in (("header", ("cef", "leef")), ("lengths", ("cef",))):
            if name in self.model_fields_set and self.format not in formats:
                raise ValueError(f"{name}: only for format {' and '.join(formats)}")
        if self.format != "rfc5424" and self.control != "none":
            raise ValueError(f"control: {self.format} cannot carry what verification needs; leave it out")
        return self


class RotateSection(Model):
    """When the archive file is closed and how many closed ones stay (0 = all)."""

    max_bytes: Annotated[Bytes, Field(ge=1000)] = 1024**3
    keep: Annotated[int, Field(ge=0)] = 0


class FileOutputSection(OutputBase):
    """The shipped documents, one a line."""

    type: Literal["file"]
    path: Path
    rotate: RotateSection | None = None


class StdoutSection(OutputBase):
    """The shipped documents on standard output, one a line; at least once."""

    type: Literal["stdout"]


class StoreSection(OutputBase):
    """The embedded store: SQLite in the state folder."""

    type: Literal["store"]


_RESERVED_HEADERS = frozenset(
    (
        *("host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection"),
        *("authorization", "x-fieldtrail-id"),
    )
)


class HttpSection(OutputBase):
    """JSON by HTTP POST: alerts to a webhook, or all events to a collector.

    The address of a webhook and headers of the user's own are often secrets: they dump as stars.
    """

    type: Literal["http"]
    url: SecretStr
    body: Literal["json", "ndjson", "slack"] = "json"
    batch: Annotated[int, Field(ge=1, le=10_000)] | None = None
    batch_bytes: Annotated[Bytes, Field(ge=1000, le=90_000_000)] = 1_000_000
    control: Literal["full", "none"] = "none"
    auth: HttpAuthSection = HttpAuthSection()
    hmac: HmacSection | None = None
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")], SecretStr] = Field(default_factory=dict)
    tls: TlsSection = TlsSection()
    timeout: Annotated[Seconds, Field(ge=0.1, le=600)] = 10.0

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, secret: SecretStr) -> SecretStr:
        url = secret.get_secret_value()
        if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s#]*)?(\?[^\s#]*)?", url):
            raise ValueError("not a URL without user name; write for example https://hooks.example/fieldtrail")
        try:
            port = urlsplit(url).port
        except ValueError:
            port = 0
        if port == 0:
            raise ValueError("its port is not one")
        return secret

    @field_validator("headers")
    @classmethod
    def _of_the_users_own(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in headers.items():
            value = secret.get_secret_value()
            if name.lower() in _RESERVED_HEADERS:
                raise ValueError(f"{name}: is set by the agent itself")
            if not value.isascii() or not value.isprintable():
                raise ValueError(f"{name}: must be printable ASCII")
        return headers

    @model_validator(mode="after")
    def _of_its_body(self) -> HttpSection:
        if self.body != "ndjson" and {"batch", "batch_bytes"} & self.model_fields_set:
            raise ValueError("batch: only for body: ndjson; the others have one event in each request")
        if self.body == "slack" and self.control == "full":
            raise ValueError("control: a message for people holds no sealed documents; leave it out")
        if self.hmac is not None and self.hmac.header.lower() in map(str.lower, self.headers):
            raise ValueError(f"headers: {self.hmac.header} is the signature's")
        return self

    @property
    def address(self) -> str:
        """`url` in clear."""
        return self.url.get_secret_value()


OutputSection = Annotated[
    OpenSearchSection | SyslogSection | HttpSection | FileOutputSection | StdoutSection | StoreSection,
    Field(discriminator="type"),
]
