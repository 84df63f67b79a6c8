"""One conversation with an API: what a request came to, in words; its clock; how often it may be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from shipper._poll_spec import ResourceSection
from shipper.clock import Clock
from shipper.errors import UnavailableError
from shipper.http_client.errors import NoAnswerError
from shipper.inputs.poll.auth import Auth, BusyError, DeniedError, Sender
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.limits import SHORTEST, Pace, backoff, http_date, retry_after
from shipper.inputs.poll.pages import UnusableError, decode
from shipper.inputs.poll.paging import Ask, reason
from shipper.inputs.poll.preset import Source

SKEWED: Final = 2.0
"""Seconds below which a difference to the server's clock says nothing: its header counts whole ones."""
_WHOLE: Final = 1.0
"""Seconds by which the server's time is known at the best: the header counts whole ones, and was written on the way."""
_BUSY: Final = frozenset({408, 425, 429})
_GONE: Final = frozenset({404, 410})


class Good(NamedTuple):
    """An answer. `asked`: the server's time before which it was not made; `heard`: when it was here (s, epoch)."""

    answer: Answer
    asked: float
    heard: float


class Later(NamedTuple):
    """Nothing now: the same again in `wait` seconds. `all`: no other request will fare better until then."""

    problem: str
    wait: float
    all: bool = False
    refused: bool = False
    """Who we are is not accepted, or cannot be said."""


class Absent(NamedTuple):
    """What was asked for is not there. `plain`: an API says so, not a page for people, as gateways have them."""

    problem: str
    asked: float
    heard: float
    plain: bool


class Denied(NamedTuple):
    """The account may not read this."""

    status: int


class Bad(NamedTuple):
    """The request, or its answer, cannot be used; the same again would be no better."""

    problem: str
    refused: bool = False


Outcome = Good | Later | Absent | Denied | Bad


@dataclass
class Session:
    """Used by one thread. `chance`: a number in [0, 1)."""

    source: Source
    sender: Sender
    auth: Auth
    clock: Clock
    chance: Callable[[], float]

    def __post_init__(self) -> None:
        self.skew = 0.0
        """Seconds by which the server's clock is ahead of ours."""
        self.pace = Pace(self.source.limits, self.source.limit_headers)

    def now(self) -> float:
        """The server's time, s since the epoch, as far as it is known."""
        return self.clock.now() + self.skew

    def send(self, ask: Ask, tries: int = 0) -> Outcome:
        """What a request comes to. `tries`: failures before it, in a row."""
        for last in (False, True):
            self.pace.take(self.clock.monotonic())
            try:
                shown = self.auth.headers(self.clock.now(), self.sender)
                began = self.clock.monotonic()
                answer = self.sender.send(ask.method, ask.url, {**ask.headers, **shown}, ask.body)
            except BusyError as error:
                return Later(error.cause, self._pause(error.headers, tries), all=True)
            except DeniedError as error:
                hint = f"; {error.hint}" if error.hint else ""
                wait = max(60.0, backoff(tries + 1, self.chance))
                return Later(f"{error.op}: {error.cause}{hint}", wait, all=True, refused=True)
            except NoAnswerError as error:
                return Later(error.cause, error.wait or backoff(tries + 1, self.chance), all=not error.late)
            except UnavailableError as error:
                return Later(error.cause, backoff(tries + 1, self.chance))
            except UnusableError as error:
                return Bad(str(error))
            self._clock_of(answer)
            self.pace.heard(self.clock.monotonic(), answer.headers, self.now())
            # A token may have been withdrawn before its time: once is tried with a new one.
            if answer.status != 401 or last or not self.auth.refused():
                break
        return self._outcome(answer, self.clock.monotonic() - began, tries)

    def _outcome(self, answer: Answer, took: float, tries: int) -> Outcome:
        status = answer.status
        # What is in it is from some moment on the way; where the clocks seem to agree they may still differ.
        heard = self.now()
        asked = heard - took - (_WHOLE if self.skew else SKEWED)
        if 200 <= status < 300:
            return Good(answer, asked, heard)
        code = reason(answer.body)
        text = f"status {status}" + (f", {code}" if code and code != str(status) else "")
        limited = status == 403 and (self.pace.exhausted(answer.headers) or "retry-after" in answer.headers)
        if status in _BUSY or status >= 500 or limited:
            many = status == 429 or limited
            return Later(text, self._pause(answer.headers, tries), all=many or status == 503)
        if status == 401:
            self.auth.refused()
            wait = max(60.0, backoff(tries + 1, self.chance))
            return Later(f"{text}: the token, key or password is not accepted", wait, all=True, refused=True)
        if status in {402, 403}:
            return Denied(status)
        if status in _GONE:
            return Absent(text, asked, heard, not answer.body.strip() or _is_json(answer.body))
        if 300 <= status < 400:
            return Bad(f"{text}: the API redirects, which is not followed; name the address itself")
        return Bad(f"{text}: the API does not take the request")

    def _pause(self, headers: Mapping[str, str], tries: int) -> float:
        """How long the API asks to wait, or else longer each time; somewhat more, so that agents come back apart."""
        asked = retry_after(headers, self.now())
        if asked is None and self.pace.exhausted(headers):
            asked = self.pace.until_reset(headers, self.now())
        if asked is None:
            return backoff(tries + 1, self.chance)
        if asked < SHORTEST:  # none, a date that is over, or less than it needs: as if it had not said
            asked = max(asked, backoff(tries + 1, self.chance))
        return asked * (1.0 + 0.1 * self.chance())

    def _clock_of(self, answer: Answer) -> None:
        told = http_date(answer.headers.get("date"))
        if told is not None:
            skew = told + 0.5 - self.clock.now()
            self.skew = skew if abs(skew) > SKEWED else 0.0


def _is_json(body: bytes) -> bool:
    try:
        decode(body)
    except UnusableError:
        return False
    return True


def lacking(spec: ResourceSection | None, ask: Ask, status: int) -> str:
    """What a refusal means, as far as the preset knows."""
    text = f"{status} on {ask.place}"
    if spec is not None and spec.needs:
        text += f": needs {spec.needs}"
    return text + (f"; {spec.instead}" if spec is not None and spec.instead else "")
