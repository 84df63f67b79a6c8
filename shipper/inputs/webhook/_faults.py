"""Errors of ours: told in the log with where they arose, never with what a request said, and once a minute at most."""

from __future__ import annotations

import time
from pathlib import PurePath
from typing import Final

from shipper import telemetry

EVERY: Final = 60.0
"""Seconds between two lines about one place in the code."""


def cause_of(error: BaseException) -> str:
    """What kind of error, and the line of code that raised it."""
    at = error.__traceback__
    if at is None:
        return type(error).__name__
    while at.tb_next is not None:
        at = at.tb_next
    return f"{type(error).__name__} in {PurePath(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}"


class Faults:
    """The errors of ours at one place (an address, an endpoint's ledger). For one thread."""

    def __init__(self, place: str) -> None:
        self.total = 0
        self._place = place
        self._untold: dict[str, int] = {}
        self._told: dict[str, float] = {}

    def add(self, error: BaseException) -> str:
        """Count one, and log it unless that place in the code was told within a minute. Returns its cause."""
        cause, now = cause_of(error), time.monotonic()
        self.total += 1
        self._untold[cause] = self._untold.get(cause, 0) + 1
        if now - self._told.get(cause, -EVERY) >= EVERY:
            self._told[cause] = now
            telemetry.webhook_fault(place=self._place, cause=cause, requests=self._untold.pop(cause))
        return cause
