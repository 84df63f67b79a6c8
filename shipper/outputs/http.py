"""The output of type `http`: events as JSON by POST, to a webhook or a collector.

Delivery. A 2xx answer is delivery. No answer, or one that says "not now" (408, 425, 429, 5xx), has the request sent
again, so a receiver may get an event twice: by `seal` (and, with one event a request, the header `X-Fieldtrail-Id`) it
knows it again. An answer that is about us and not about the event (401, 403, 404, 405, 410, 415, a redirect) holds
everything until a person has put it right; nothing is lost meanwhile.

Refused for good. Any other 4xx says that this receiver does not want this event, or that it wants none. The event is a
dead letter after `TRIES` tries if others were taken beside it; and where there were none beside it, if the receiver has
ever taken one and has not refused `MOST_IN_A_ROW` before it without taking any in between. A request of several events
is halved until the one is found.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from shipper import __version__, telemetry
from shipper.model import CONTROL_DATASETS, Batch, Document, Receipt, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from shipper.output_sections import HttpSection
    from shipper.outputs._bulk import Answer
    from shipper.outputs._http_wire import Wire
    from shipper.outputs._opensearch_auth import Credentials

TRIES: Final = 5
"""How often an event is tried at the least before it can become a dead letter."""
MOST_IN_A_ROW: Final = 3
"""Dead letters without anything taken in between; after them it must be the receiver, which is waited for."""
TURN: Final = 5.0
"""Seconds after which a call returns with what is left, so that cursor and shutdown need not wait for thousands."""
LONG_PAUSE: Final = 60.0
BATCH: Final = 500
"""Events in a request of `body: ndjson` unless configured."""
_SLACK_LONGEST: Final = 3000
_REASON_LONGEST: Final = 500

_OURS: Final = {
    404: "there is nothing at this address (404)",
    405: "the address takes no POST (405)",
    407: "a proxy in between wants a password (407)",
    410: "the address is gone for good (410)",
    415: "the receiver does not take this type of content (415)",
}


class _Verdict(NamedTuple):
    """What an answer means. `error` with `refusal` empty: hold everything."""

    error: str = ""
    pause: float | None = None
    refusal: str = ""
    reason: str = ""
    denied: bool = False


_TAKEN: Final = _Verdict()


class HttpOutput:
    """One address. `now`: s since the epoch, for signatures; `monotonic`: s. Used by one thread at a time."""

    def __init__(
        self,
        section: HttpSection,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = section.id
        self._section, self._now, self._monotonic = section, now, monotonic
        self._most = (section.batch or BATCH) if section.body == "ndjson" else 1
        self._wire: Wire | None = None
        self._credentials: Credentials | None = None
        self._tries: dict[str, int] = {}
        """By `_id`, how often it was refused."""
        self._beside: set[str] = set()
        """Of these, those that were refused in a call in which others were taken: it is the event."""
        self._takes = self._alarmed = False
        self._in_a_row = 0

    def open(self, stored: Mapping[str, Any]) -> None:
        """Read certificates; connecting waits for the first delivery. Raises `ConfigError`."""
        from shipper.outputs._http_wire import Wire  # noqa: PLC0415 - urllib3 only where an output needs it
        from shipper.outputs._opensearch_auth import basic, bearer, reader  # noqa: PLC0415 - same

        self.close()
        self._takes = stored.get("takes") is True
        auth = self._section.auth
        if auth.basic is not None:
            self._credentials = basic(auth.basic.username, reader(auth.basic.password, auth.basic.password_file))
        elif auth.bearer is not None:
            self._credentials = bearer(reader(auth.bearer.token, auth.bearer.token_file))
        self._wire = Wire(self._section)

    def highest(self, log: str) -> int | None:
        """None: a receiver of POSTs cannot be asked."""
        del log
        return None

    def deliver(self, batch: Batch) -> Receipt:
        """Send the batch, or what of it goes into one turn."""
        full = self._section.control == "full"
        wanted = [one for one in batch.documents if full or one.dataset not in CONTROL_DATASETS]
        delivered = len(batch.documents) - len(wanted)
        queue = deque(self._parts(wanted))
        refused: list[Refusal] = []
        later: list[Document] = []
        held, taken = _TAKEN, False
        ends = self._monotonic() + TURN
        while queue and (self._monotonic() < ends or not (delivered or refused)):
            part = queue.popleft()
            verdict = self._sent(part)
            if verdict is _TAKEN:
                delivered += len(part)
                taken = self._takes = True
                self._in_a_row = 0
                if self._tries:
                    for one in part:
                        self._tries.pop(one.id, None)
                        self._beside.discard(one.id)
            elif not verdict.refusal:
                held = verdict
                queue.appendleft(part)
                break
            elif len(part) > 1:
                middle = len(part) // 2
                queue.extendleft((part[middle:], part[:middle]))
            elif self._is_for_good(part[0]):
                refused.append(Refusal(part[0], verdict.refusal, verdict.reason))
            else:
                later.append(part[0])
                held = verdict
        if taken:
            self._beside.update(one.id for one in later)
        self._alarm(held, any_delivered=delivered > 0)
        retry = [*later, *(one for part in queue for one in part)]
        return Receipt(delivered, refused, retry, held.error if retry else "", held.pause)

    def _parts(self, documents: Sequence[Document]) -> Iterator[list[Document]]:
        """As many as go into one request."""
        part: list[Document] = []
        size = 0
        for document in documents:
            if part and (len(part) == self._most or size + len(document.data) + 1 > self._section.batch_bytes):
                yield part
                part, size = [], 0
            part.append(document)
            size += len(document.data) + 1
        if part:
            yield part

    def _sent(self, part: Sequence[Document]) -> _Verdict:
        from shipper.errors import UnavailableError  # noqa: PLC0415 - beside the two that are only known here
        from shipper.outputs._opensearch_errors import DeniedError  # noqa: PLC0415 - urllib3 only where it is needed

        assert self._wire is not None, "open() comes first"
        body, headers = self._request(part)
        try:
            answer = self._posted(self._wire, body, headers)
        except UnavailableError as error:
            text = f"{error} (hint: {error.hint})" if error.hint else str(error)
            return _Verdict(text, getattr(error, "wait", None), denied=isinstance(error, DeniedError))
        return self._judged(answer)

    def _posted(self, wire: Wire, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer; asked once more where another credential is found after one was not accepted."""
        if self._credentials is None:
            return wire.post(body, {**headers, **self._signature(body)})
        seen = self._credentials.version
        own = self._credentials.headers("POST", wire.place, body)
        answer = wire.post(body, {**headers, **own, **self._signature(body)})
        if answer.status in {401, 403} and self._credentials.renew(seen):
            own = self._credentials.headers("POST", wire.place, body)
            answer = wire.post(body, {**headers, **own, **self._signature(body)})
        return answer

    def _request(self, part: Sequence[Document]) -> tuple[bytes, dict[str, str]]:
        kind = self._section.body
        headers = {"User-Agent": f"fieldtrail/{__version__}"}
        headers |= {name: value.get_secret_value() for name, value in self._section.headers.items()}
        if kind == "ndjson":
            headers["Content-Type"] = "application/x-ndjson"
            return b"".join([one.data + b"\n" for one in part]), headers
        headers |= {"Content-Type": "application/json", "X-Fieldtrail-Id": part[0].id}
        return slack_message(part[0].data) if kind == "slack" else part[0].data, headers

    def _signature(self, body: bytes) -> dict[str, str]:
        section = self._section.hmac
        if section is None:
            return {}
        from shipper.outputs._opensearch_auth import reader  # noqa: PLC0415 - urllib3 only where it is needed

        # The file is read for each request: a secret that was replaced counts at once.
        secret = reader(section.secret, section.secret_file)()
        return {section.header: signature(secret, int(self._now()), body)}

    def _judged(self, answer: Answer) -> _Verdict:
        from shipper.outputs._bulk import retry_after  # noqa: PLC0415 - urllib3 only where it is needed

        status = answer.status
        place = self._wire.place if self._wire else ""
        if 200 <= status < 300:
            return _TAKEN
        wait = retry_after(answer.headers)
        if status in {408, 425, 429} or status >= 500:
            return _Verdict(f"{place}: status {status}", wait)
        if status in {401, 403}:
            hint = "check auth and hmac of the output"
            return _Verdict(f"{place}: not accepted ({status}) (hint: {hint})", wait or LONG_PAUSE, denied=True)
        if status < 400:
            return _Verdict(f"{place}: the address redirects ({status}) (hint: name where it leads)", LONG_PAUSE)
        if status in _OURS:
            return _Verdict(f"{place}: {_OURS[status]} (hint: check url and body of the output)", wait or LONG_PAUSE)
        reason = answer.body[:_REASON_LONGEST].decode("utf-8", "replace")
        return _Verdict(f"{place}: refuses an event with status {status}", wait, f"http_{status}", reason)

    def _is_for_good(self, document: Document) -> bool:
        tries = self._tries.get(document.id, 0) + 1
        sure = document.id in self._beside
        if tries >= TRIES and (sure or (self._takes and self._in_a_row < MOST_IN_A_ROW)):
            self._tries.pop(document.id, None)
            self._beside.discard(document.id)
            self._in_a_row += not sure
            return True
        self._tries[document.id] = tries
        return False

    def _alarm(self, held: _Verdict, *, any_delivered: bool) -> None:
        """Told once as an error: only a person can put it right."""
        if held.denied and not self._alarmed:
            telemetry.output_denied(output=self.id, cause=held.error)
            self._alarmed = True
        elif any_delivered:
            self._alarmed = False

    def flush(self) -> Mapping[str, Any]:
        """Nothing to sync; the state keeps whether the receiver ever took anything."""
        return {"takes": True} if self._takes else {}

    def cursor(self) -> int | None:
        """None: the cursor file holds it."""
        return None

    def close(self) -> None:
        """Close the connections; may be called twice."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


def signature(secret: str, seconds: int, body: bytes) -> str:
    """`t=<seconds>,v1=<hex>`: HMAC-SHA256 (RFC 2104) over `<seconds>.<body>`, so that an old request can be told."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (seconds, body), hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def slack_message(data: bytes) -> bytes:
    """`{"text": …}` of an event, as Slack's incoming webhooks (and Mattermost's) take it; `&`, `<`, `>` escaped.

    Slack documentation, "Formatting text for app surfaces".
    """
    event = orjson.loads(data)
    title = _of(event, "rule", "name") or _of(event, "event", "action")
    facts = (
        _of(event, "trail", "object", "key"),
        _of(event, "@timestamp"),
        _of(event, "agent", "name"),
        _of(event, "event", "id"),
    )
    lines = (f"*{title}*", _of(event, "message"), " · ".join(fact for fact in facts if fact))
    text = "\n".join(line for line in lines if line)
    if len(text) > _SLACK_LONGEST:
        text = text[: _SLACK_LONGEST - 1] + "…"
    return orjson.dumps({"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")})


def _of(event: Any, *path: str) -> str:
    for part in path:
        event = event.get(part) if isinstance(event, dict) else None
    return event if isinstance(event, str) else ""
