"""What the service manager is told: ready, reloading, stopping, and that the agent is alive (sd_notify(3)).

Datagrams to the socket that NOTIFY_SOCKET names, a path or, with a leading `@`, an abstract name. Where there is none,
every call does nothing. A manager that does not listen changes nothing for the agent: what cannot be sent is not sent.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
from collections.abc import Mapping
from typing import Final

from shipper.clock import Clock, SystemClock

PATIENCE: Final = 1.0
"""Seconds that a manager whose queue is full is waited for."""
LONGEST_SILENCE: Final = 5.0
"""Seconds between two messages of an agent that is stopping, at most."""
LONGEST_START: Final = 900.0
"""Seconds for which an agent that begins anew may give no sign of life, as TimeoutStartSec of the unit has it."""


class Notifier:
    """Speaks to one service manager. `address`: NOTIFY_SOCKET, "" for none; `watchdog`: seconds, 0 for none.

    Calls may come from several threads.
    """

    def __init__(self, address: str, watchdog: float = 0.0, *, clock: Clock | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every = watchdog / 2
        """Seconds between two signs of life: half of what the manager allows, as sd_watchdog_enabled(3) advises."""
        self._clock: Clock = clock or SystemClock()
        self._beaten = self._stopped = -math.inf

    def ready(self, status: str) -> None:
        """The agent reads: after the start, and after each reload, whatever became of it. `status`: one line."""
        self._beaten = self._clock.monotonic()  # the manager counts from here
        self._send("READY=1", f"STATUS={' '.join(status.split())}", *self._watched(2 * self._every))

    def beat(self, *, healthy: bool) -> None:
        """To be called at each turn of the pipeline; tells that the agent is alive, when that is due and true.

        Healthy is an agent whose pipeline turns and whose output threads live. A destination that cannot be reached,
        or a full disk, is not for a restart to mend.
        """
        now = self._clock.monotonic()
        if healthy and self._every and now - self._beaten >= self._every:
            self._beaten = now
            self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it. The watchdog waits as for `busy`."""
        words = ("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}")
        self._send(*words, *self._watched(LONGEST_START))

    def busy(self) -> None:
        """The agent begins anew in this process, and nobody calls `beat` until `ready`, which ends it.

        A long journal may have to be read again, so that the watchdog has to wait as long as for a start.
        """
        self._send(*self._watched(LONGEST_START))

    def _watched(self, seconds: float) -> tuple[str, ...]:
        """The word that sets the watchdog, where there is one. It does not become shorter by that."""
        return (f"WATCHDOG_USEC={int(max(seconds, 2 * self._every) * 1e6)}",) if self._every else ()

    def stopping(self, seconds: float) -> None:
        """To be called again and again while the agent drains, which may take `seconds` from now on.

        Asks the manager for that time and for `LONGEST_SILENCE` beyond it.
        """
        now = self._clock.monotonic()
        if not self._address or now - self._stopped < LONGEST_SILENCE:
            return
        first, self._stopped = self._stopped == -math.inf, now
        words = [f"EXTEND_TIMEOUT_USEC={int((seconds + LONGEST_SILENCE) * 1e6)}"]
        if first:
            words.insert(0, "STOPPING=1")
        if self._every:
            words.append("WATCHDOG=1")
        self._send(*words)

    def _send(self, *words: str) -> None:
        if not (self._address and words):
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(PATIENCE)
            sender.sendto("\n".join(words).encode(), self._address)


def from_environment(
    environment: Mapping[str, str] = os.environ, *, pid: int | None = None, clock: Clock | None = None
) -> Notifier:
    """The notifier of this process, by NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; without them a mute one.

    A watchdog that is meant for another process (WATCHDOG_PID) is not answered.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return Notifier("")
    try:
        watchdog = max(0, int(environment.get("WATCHDOG_USEC", "0"))) / 1e6
        meant = int(environment.get("WATCHDOG_PID", "0"))
    except ValueError:
        watchdog, meant = 0.0, 0
    if meant not in {0, os.getpid() if pid is None else pid}:
        watchdog = 0.0
    return Notifier(address, watchdog, clock=clock)
