"""What all endpoints of one address share."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path

from shipper.input_sections import WebhookInputSection
from shipper.inputs.webhook._body import SECONDS as BODY_SECONDS
from shipper.inputs.webhook._door import HEAD_SECONDS, IDLE_SECONDS


def address_of(peer: str) -> IPv4Address | IPv6Address:
    """An address as networks hold it: without its zone, and IPv4 as such where the system mapped it. `ValueError`."""
    address = ip_address(peer.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


@dataclass(frozen=True, slots=True)
class Settings:
    """Address, certificate and limits. `cert` and `key`: PEM files, both or none; `connections`: at once."""

    host: str
    port: int
    cert: Path | None = None
    key: Path | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    connections: int = 500
    head_seconds: float = HEAD_SECONDS
    body_seconds: float = BODY_SECONDS
    idle_seconds: float = IDLE_SECONDS

    def admits(self, peer: str) -> bool:
        """Whether an address may connect: without a certificate of ours, on an open address, only the proxies may."""
        if self.cert is not None or not self.trusted_proxies or ip_address(self.host).is_loopback:
            return True
        address = address_of(peer)
        return address.is_loopback or any(address in network for network in self.trusted_proxies)

    @property
    def place(self) -> str:
        """The address as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def settings_of(section: WebhookInputSection) -> Settings:
    """What an input's section says of its address."""
    tls = section.tls
    return Settings(
        *section.address,
        cert=None if tls is None else tls.cert,
        key=None if tls is None else tls.key,
        trusted_proxies=section.proxies,
        connections=section.connections,
    )
