"""The section of the configuration that lets something listen for others."""

from __future__ import annotations

import contextlib
import re
from ipaddress import ip_address

from pydantic import field_validator, model_validator

from shipper._settings import Model, Seconds


def _host(text: str) -> str:
    return "127.0.0.1" if text == "localhost" else text.strip("[]")


class MetricsSection(Model):
    """Metrics for Prometheus, and `/healthz` and `/readyz`, over HTTP. Nothing listens without this section.

    `unready_after`: how long an output may fail before `/readyz` says so. There is no authentication and no TLS, so an
    address that other hosts can reach is taken with `allow_remote: true` only.
    """

    listen: str = "127.0.0.1:9599"
    allow_remote: bool = False
    unready_after: Seconds = 300.0

    @field_validator("listen")
    @classmethod
    def _is_address(cls, listen: str) -> str:
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+|localhost):(\d{1,5})", listen)
        with contextlib.suppress(ValueError):
            if match and 1 <= int(match[2]) <= 65535:
                ip_address(_host(match[1]))
                return listen
        raise ValueError("not an address; write for example 127.0.0.1:9599, localhost:9599 or [::1]:9599")

    @property
    def address(self) -> tuple[str, int]:
        """IP address and port; `localhost` is 127.0.0.1."""
        host, _, port = self.listen.rpartition(":")
        return _host(host), int(port)

    @model_validator(mode="after")
    def _is_allowed(self) -> MetricsSection:
        if not self.allow_remote and not ip_address(self.address[0]).is_loopback:
            raise ValueError("listen: other hosts can reach this address; if they shall, add allow_remote: true")
        return self
