"""The result of a verification as a sealed document: what `verify --record` hands over, and what the agent takes.

The verifier runs in a process of its own and asks the agent by its control socket. The socket is private to the agent's
user; what comes in is checked all the same, since it is sealed under the agent's name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from shipper import build
from shipper.clock import rfc3339
from shipper.control import ask
from shipper.delivery import Request
from shipper.errors import UnavailableError
from shipper.journal import Journal
from shipper.logbook import Identity
from shipper.model import Event
from shipper.seal.findings import EXPLAINED, UNEXPLAINED, Report, printable

ACTION: Final = "seal.verify"
COUNTS: Final = ("sealed", "found", "modified", "missing", "inserted", "findings")
LONGEST_TEXT: Final = 1000
"""Characters; what is longer could not be searched for."""
_LARGEST: Final = 2**53 - 1
_LATEST: Final = 253_402_300_799.0
"""The last second of the year 9999."""
_MOST: Final = 8
"""Results that wait to be sealed at one time."""
_PATIENCE, _LOOK = 15.0, 0.02
_ANSWER: Final = 20.0


def result_of(report: Report, kind: str, since: float | None, until: float | None) -> dict[str, Any]:
    """What is handed over. `kind`: of the source (`store`); `since` and `until` in s since the epoch."""
    explained = sum(report.counts.get(f"MISSING {cause}", 0) for cause in EXPLAINED)
    kinds = sum(count for kind, count in report.counts.items() if " " not in kind)
    return {
        "ok": report.ok,
        "source": printable(f"{kind} {report.source}", LONGEST_TEXT),
        "sealed": report.sealed,
        "found": report.found,
        "modified": report.counts.get("MODIFIED", 0),
        "missing": report.counts.get(f"MISSING {UNEXPLAINED}", 0),
        "inserted": report.counts.get("INSERTED", 0),
        "findings": kinds - explained,
        "since": since,
        "until": until,
        "summary": printable(report.summary(), LONGEST_TEXT),
    }


def problem_of(value: Any) -> str:
    """What is wrong with a result that came in; empty where nothing is."""
    if not isinstance(value, dict) or value.keys() != {"ok", "source", *COUNTS, "since", "until", "summary"}:
        return "not the result of a verification"
    if type(value["ok"]) is not bool:
        return "ok: not true or false"
    for name in COUNTS:
        if type(value[name]) is not int or not 0 <= value[name] <= _LARGEST:
            return f"{name}: not a count"
    for name in ("source", "summary"):
        text = value[name]
        if not isinstance(text, str) or not 0 < len(text) <= LONGEST_TEXT or printable(text, LONGEST_TEXT) != text:
            return f"{name}: not a line of text"
    for name in ("since", "until"):
        at = value[name]
        if at is not None and (type(at) not in {int, float} or not 0 <= at <= _LATEST):
            return f"{name}: not a time"
    if value["ok"] != (value["findings"] == 0):
        return "ok: says something else than findings"
    return ""


def event_of(result: Mapping[str, Any], identity: Identity, now: float) -> Event:
    """The document of a result that is in order."""
    period = {name: rfc3339(result[name]) for name in ("since", "until") if result[name] is not None}
    part = {"source": result["source"], **{name: result[name] for name in COUNTS}, **period}
    return build.health_event(
        identity,
        ACTION,
        f"verified {result['source']}: {result['summary']}",
        now,
        trail={"verify": {**part, "summary": result["summary"]}},
        outcome="success" if result["ok"] else "failure",
    )


class Recorder:
    """The agent's side: takes results, one thread for each caller, and answers when they are kept."""

    def __init__(self, hand: Callable[[Request], None], journal: Journal, ending: threading.Event) -> None:
        """`hand`: to the pipeline's thread; `ending`: set when the agent drains."""
        self._hand, self._journal, self._ending = hand, journal, ending
        self._places = threading.BoundedSemaphore(_MOST)

    def record(self, value: Any) -> dict[str, Any]:
        """Have a result sealed and kept: {"recorded": true}, or {"error": why not}."""
        problem = problem_of(value)
        if problem:
            return {"error": problem}
        if not self._places.acquire(blocking=False):
            return {"error": "the agent is busy with other results"}
        try:
            return self._sealed(Request("verify", value))
        finally:
            self._places.release()

    def _sealed(self, request: Request) -> dict[str, Any]:
        if self._ending.is_set():
            return {"error": "the agent is stopping"}
        self._hand(request)
        deadline = time.monotonic() + _PATIENCE
        while request.frame is None or request.frame >= self._journal.next_seq:
            if time.monotonic() > deadline:
                request.cancelled = True  # else it would be sealed after the caller was told that it was not
                return {"error": "not kept yet: the disk holds the agent, or it is being reloaded"}
            time.sleep(_LOOK)
        return {"recorded": True}


def record(folder: Path, result: Mapping[str, Any]) -> None:
    """The verifier's side: hand a result to the agent of a state folder. `UnavailableError` where it is not sealed."""
    answer = next(ask(folder, {"cmd": "record", "value": dict(result)}, timeout=_ANSWER), None)
    if answer is None or answer.get("recorded") is not True:
        cause = str((answer or {}).get("error", "it gave no answer"))
        raise UnavailableError("record the result", str(folder / "control.sock"), printable(cause), "fieldtrail status")
