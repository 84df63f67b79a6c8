"""The output of type `syslog` over RELP: RFC 5424 messages, each acknowledged by the receiver.

Delivery. `deliver` sends the batch with at most `window` messages unanswered and returns when each has its answer, or
when the session has ended. Only what was answered with 200 is delivered. Everything else is to be sent again, byte for
byte the same, in order; what arrived without its answer then stands twice (at least once). 200 means that the receiver
has taken the message over; whether it could lose it still is a matter of its queues (docs/howto/syslog.md).

Refused for good. A receiver may refuse a message with another code, or end the session at it (librelp does so at one
that is longer than it takes, if told to `abort`). Neither says whether the next try would do. A message is a dead
letter after `TRIES` tries only if the message must be the cause and not the receiver: others were taken while it was
refused, or it alone ends the session and is longer than any that the receiver ever took. In all other cases it is
tried for ever, as with a receiver that is down.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from shipper.model import Batch, Document, Receipt, Refusal
from shipper.outputs import _syslog_frame as frame
from shipper.outputs._relp_session import Answers, ProtocolError, Session
from shipper.outputs._syslog_target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from shipper.output_sections import SyslogSection

TRIES = 5
"""How often a message is tried at the least before it can become a dead letter."""

_Message = tuple[Document, bytes]


class _Refused(NamedTuple):
    tries: int = 0
    others_taken: bool = False


class RelpOutput:
    """One receiver. `hostname` is the HOSTNAME of every message. Used by one thread at a time."""

    def __init__(
        self, section: SyslogSection, *, hostname: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.id = section.id
        self._target = Target(section)
        limit = section.max_bytes or frame.LARGEST
        self._messages = frame.Messages(section, hostname=hostname, limit=limit)
        self._timeout, self._window, self._monotonic = section.timeout, section.window, monotonic
        self._session: Session | None = None
        self._longest = 0
        """Of the messages that the receiver took, bytes."""
        self._refused: dict[str, _Refused] = {}
        """By `_id`, what was refused by a code and is tried again."""
        self._ended_at = ""
        """The `_id` of the message at which the receiver ended the session, `_ends` times in a row."""
        self._ends = 0

    def open(self, stored: Mapping[str, Any]) -> None:
        """Read the certificates; connecting waits for the first delivery. Raises ConfigError."""
        longest = stored.get("longest")
        self._longest = longest if isinstance(longest, int) else 0
        self._target.context()

    def highest(self, log: str) -> int | None:
        """None: a syslog receiver cannot be asked."""
        del log
        return None

    def deliver(self, batch: Batch) -> Receipt:
        """Send the batch and wait for the answers."""
        messages, refused = self._messages.of(batch.documents)
        delivered = len(batch.documents) - len(refused) - len(messages)
        retry: list[Document] = []
        error, at = "", 0
        try:
            for part in self._parts(messages):
                answers = self._connected().send([text for _, text in part])
                at += len(part)
                delivered += sum(answers.taken)
                for_good = self._judged(part, answers)
                refused += for_good
                gone = {refusal.document.id for refusal in for_good}
                retry += [
                    document
                    for (document, _), taken in zip(part, answers.taken, strict=True)
                    if not taken and document.id not in gone
                ]
                if answers.refused:
                    code = next(iter(answers.refused.values()))[:3]
                    error = f"syslog {self._target.address}: the receiver refuses messages with code {code}"
                if answers.error is not None:
                    raise answers.error
        except OSError as problem:
            self._drop()
            error = self._target.said(problem)
        retry += [document for document, _ in messages[at:]]
        return Receipt(delivered, refused, retry, error if retry else "")

    def _parts(self, messages: list[_Message]) -> Iterator[list[_Message]]:
        """All at once; after the session has ended at the same place again and again, the next ones one by one."""
        alone = 0
        if self._ends >= TRIES and messages and messages[0][0].id == self._ended_at:
            alone = min(self._window, len(messages))
        yield from ([message] for message in messages[:alone])
        if messages[alone:]:
            yield messages[alone:]

    def _connected(self) -> Session:
        """A session that was open a moment ago. A receiver that went away while nothing was sent cost nothing."""
        if self._session is not None and self._session.is_open():
            return self._session
        self._drop()
        self._session = Session.open(self._target.connect(), self._timeout, self._window, self._monotonic)
        return self._session

    def _judged(self, part: list[_Message], answers: Answers) -> list[Refusal]:
        """What of a part is refused for good; the rest of what was not taken is noted for the next try."""
        for_good: list[Refusal] = []
        if self._refused:
            for (document, _), taken in zip(part, answers.taken, strict=True):
                if taken:
                    self._refused.pop(document.id, None)
        lengths = [len(text) for (_, text), taken in zip(part, answers.taken, strict=True) if taken]
        alone = answers.alone() if answers.refused else set()
        for place, reason in answers.refused.items():
            document = part[place][0]
            tries, others = self._refused.pop(document.id, _Refused())
            noted = _Refused(tries + 1, others or place in alone)
            if noted.tries >= TRIES and noted.others_taken:
                for_good.append(Refusal(document, "relp_refused", f"refused {noted.tries} times: {reason}"))
            else:
                self._refused[document.id] = noted
        self._longest = max([self._longest, *lengths])
        if isinstance(answers.error, ConnectionError) and not isinstance(answers.error, ProtocolError):
            for_good += self._ended(part, answers)
        elif any(answers.taken):
            self._ends = 0
        return for_good

    def _ended(self, part: list[_Message], answers: Answers) -> list[Refusal]:
        """The receiver has ended the session: the first message without an answer may be the cause."""
        unanswered = (place for place, taken in enumerate(answers.taken) if not taken and place not in answers.refused)
        place = next(unanswered, None)
        if place is None:  # it ended after its last answer, in good order: no message is the cause
            self._ends = 0
            return []
        document, text = part[place]
        self._ends = self._ends + 1 if document.id == self._ended_at else 1
        self._ended_at = document.id
        if self._ends <= TRIES or len(part) > 1 or not 0 < self._longest < len(text):
            return []
        reason = (
            f"the receiver ended the session {self._ends} times at this message of {len(text)} bytes;"
            f" the longest that it ever took has {self._longest}"
        )
        return [Refusal(document, "relp_session_ended", reason)]

    def flush(self) -> Mapping[str, Any]:
        """Nothing to sync; the state keeps how long a message the receiver has taken."""
        return {"longest": self._longest} if self._longest else {}

    def cursor(self) -> int | None:
        """None: the cursor file holds it."""
        return None

    def _drop(self) -> None:
        if self._session is not None:
            self._session.abort()
            self._session = None

    def close(self) -> None:
        """End the session in good order; may be called twice."""
        if self._session is not None:
            session, self._session = self._session, None
            session.close()
