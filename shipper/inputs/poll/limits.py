"""How often an API is asked: budgets, what its headers say is left, waits after it refused. Pure: time is handed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from shipper._poll_spec import LimitHeaders, LimitSection

SHORTEST: Final = 1.0
LONGEST: Final = 300.0
"""Seconds before a request is tried again, the first time and at the most where the API does not say."""
LONGEST_ASKED: Final = 6 * 3600.0
"""Seconds of pause that an API can ask for; what it asks beyond is not believed."""
_YEAR: Final = 366 * 86400.0


class Bucket:
    """A budget of `limit.requests` in `limit.per` seconds: no window of that length, wherever it begins, holds more.

    So the times of the last requests are kept, of which there are as many as the budget has.
    """

    def __init__(self, limit: LimitSection) -> None:
        # A budget of less than one request becomes one in a longer time.
        scale = max(1.0, 1.0 / limit.requests)
        self._most, self._per = max(1, int(limit.requests * scale)), limit.per * scale
        self._sent: list[float] = []

    def wait(self, now: float) -> float:
        """Seconds until the next request may go."""
        while self._sent and self._sent[0] <= now - self._per:
            self._sent.pop(0)
        if len(self._sent) < self._most:
            return 0.0
        return max(0.0, self._sent[-self._most] + self._per - now)

    def take(self, now: float) -> None:
        """A request goes."""
        self._sent.append(now)


class Pace:
    """The budget of a whole account: configured, told by headers, and asked for by 429. `now` is monotonic."""

    def __init__(self, limit: LimitSection | None, headers: LimitHeaders | None) -> None:
        self._bucket = Bucket(limit) if limit is not None else None
        self._headers = headers
        self._until = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next request may go."""
        held = max(0.0, self._until - now)
        return held if self._bucket is None else max(held, self._bucket.wait(now))

    def take(self, now: float) -> None:
        """A request goes."""
        if self._bucket is not None:
            self._bucket.take(now)

    def hold(self, until: float) -> None:
        """No request before `until`."""
        self._until = max(self._until, until)

    def heard(self, now: float, headers: Mapping[str, str], server: float) -> None:
        """What the headers of an answer say. `server`: its time, s since the epoch."""
        told = self._headers
        if told is None:
            return
        left = _number(headers.get(told.remaining.lower()))
        if left is None or left > told.reserve:
            return
        self.hold(now + self.until_reset(headers, server))

    def until_reset(self, headers: Mapping[str, str], server: float) -> float:
        """Seconds until there are requests again, by the headers or else by the length of the window."""
        told = self._headers
        if told is None:
            return SHORTEST
        reset = None if told.reset is None else _number(headers.get(told.reset.lower()))
        if reset is None:
            return told.window
        if reset > 1e11:
            reset /= 1000.0
        left = reset if reset < _YEAR else reset - server
        return min(max(left, SHORTEST), LONGEST_ASKED)

    def exhausted(self, headers: Mapping[str, str]) -> bool:
        """Whether an answer says that nothing is left: some APIs refuse with 403 then."""
        told = self._headers
        return told is not None and _number(headers.get(told.remaining.lower())) == 0


def retry_after(headers: Mapping[str, str], server: float) -> float | None:
    """Seconds that the header `Retry-After` asks for (RFC 9110, 10.2.3), None where there is none to be read."""
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is None:
        moment = http_date(text)
        seconds = None if moment is None else moment - server
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_ASKED)


def backoff(tries: int, chance: Callable[[], float]) -> float:
    """Seconds to wait after `tries` failures in a row (1, 2, ...): doubled each time, between half and whole of it.

    `chance`: a number in [0, 1), so that agents which failed together do not come back together.
    """
    whole = min(LONGEST, SHORTEST * 2.0 ** min(tries - 1, 16))
    return whole * (0.5 + 0.5 * chance())


def http_date(text: str | None) -> float | None:
    """A date of HTTP (RFC 9110, 5.6.7) in s since the epoch."""
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _number(text: str | None) -> float | None:
    """A number of at most 15 digits, not negative."""
    text = (text or "").strip()
    head, _, tail = text.partition(".")
    if not (head.isascii() and head.isdigit()) or len(text) > 15 or (tail and not (tail.isascii() and tail.isdigit())):
        return None
    return float(text)
