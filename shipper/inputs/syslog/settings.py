"""Where the input of type `syslog` listens, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from shipper.input_sections import SyslogInputSection


class Address(NamedTuple):
    """`scheme`: udp, tcp, tls, relp or relps. `host`: an IP address. `port`: 0 for any that is free."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """As people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return self.scheme in {"tls", "relps"}


@dataclass(frozen=True, slots=True)
class Settings:
    """`cert`, `key`, `client_ca`: PEM files; with `client_ca` clients need a certificate of it. `allow`: () for all.

    `longest`: bytes of a message that are taken. `framing`: `auto`, `octets` or `lines`. `connections`: at once, of all
    addresses. `idle`: seconds without a byte after which a connection ends. `slow`: seconds that a handshake, or a
    message, may take. `receive_buffer`: bytes asked of the system for datagrams, 0 for as many as it gives.
    """

    addresses: tuple[Address, ...]
    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    longest: int = 256 * 1024
    framing: str = "auto"
    connections: int = 500
    idle: float = 86_400.0
    slow: float = 30.0
    receive_buffer: int = 0


def settings_of(section: SyslogInputSection) -> Settings:
    """What a section of the configuration says."""
    tls = section.tls
    return Settings(
        tuple(Address(*one) for one in section.addresses),
        cert=None if tls is None else tls.cert,
        key=None if tls is None else tls.key,
        client_ca=None if tls is None else tls.client_ca,
        allow=section.networks,
        longest=section.max_message,
        framing=section.framing,
        connections=section.connections,
        idle=section.idle,
        slow=section.slow,
        receive_buffer=section.receive_buffer,
    )
