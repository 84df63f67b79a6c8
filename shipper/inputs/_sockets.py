"""Addresses on which an input awaits what is sent: the sockets there, and what `validate --connect` tries of them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from shipper.errors import ConfigError

Tried = tuple[str, bool, str, str]
"""What was tried, whether it worked, the detail, and a hint."""


def bound_socket(operation: str, place: str, host: str, port: int, *, backlog: int | None) -> socket.socket:
    """A socket at an IP address and port; `ConfigError` where it cannot be.

    `operation`: what fails then, in the infinitive; `place`: the address as people write it. `backlog`: connections
    that wait there, which are taken without blocking; None for a socket of datagrams.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_DGRAM if backlog is None else socket.SOCK_STREAM
    sock = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    try:
        if backlog is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        if backlog is not None:
            sock.listen(backlog)
            sock.setblocking(False)
    except OSError as error:
        sock.close()
        flags = "-lunp" if backlog is None else "-ltnp"
        hint = f"ss {flags} 'sport = :{port}', or another address in listen"
        if error.errno in {errno.EACCES, errno.EPERM}:
            hint = "a port from 1024 on, or AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit"
        raise ConfigError(operation, place, error.strerror or str(error), hint) from None
    return sock


def try_certificate(read: Callable[[], object], detail: str) -> Tried:
    """Whether a certificate can be used: `read` raises `ConfigError` where it cannot."""
    try:
        read()
    except ConfigError as error:
        return "TLS", False, f"{error.place}: {error.cause}", error.hint
    return "TLS", True, detail, ""


def try_to_listen(bind: Callable[[], socket.socket], place: str, *, running: bool) -> Tried:
    """Whether an address is free: `bind` raises `ConfigError` where it is not. `running`: the agent is there itself."""
    if running:
        return "listen", True, f"{place}: not tried, the agent is running", ""
    try:
        bind().close()
    except ConfigError as error:
        return "listen", False, f"{place}: {error.cause}", error.hint
    return "listen", True, place, ""
