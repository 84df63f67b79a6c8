"""Whether the hooks of a source still work: vendors give them up after some failures, and say so only when asked."""

from __future__ import annotations

from collections import deque
from typing import Any

from shipper._poll_spec import HooksSection
from shipper.inputs.poll.engine import Batch
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.pages import UnusableError, at, decode, text_at
from shipper.inputs.poll.paging import Ask
from shipper.inputs.poll.preset import Source, fill_all, fill_path


class Hooks:
    """One look at them: the list, then a request to verify each that is not as it should be. `told`: what to report."""

    resource = ""

    def __init__(self, source: Source, spec: HooksSection) -> None:
        self.told: list[str] = []
        self._source, self._spec = source, spec
        self._ask: Ask | None = self._request("GET", spec.get, {})
        self._listed = False
        self._bad: deque[str] = deque()

    def ask(self) -> Ask | None:
        """The next request."""
        return self._ask

    def take(self, answer: Answer, now: float) -> Batch:
        """The list, or that one was asked to be verified again."""
        del now
        if not self._listed:
            self._listed = True
            found = at(decode(answer.body), self._spec.items)
            if not isinstance(found, list):
                raise UnusableError("the answer has no list of hooks")
            self._look([one for one in found if isinstance(one, dict)])
        self._next()
        return Batch("", "hooks")

    def absent(self) -> Batch | None:
        """One that went away meanwhile."""
        if not self._listed:
            return None
        self._next()
        return Batch("", "hooks")

    def _look(self, found: list[dict[str, Any]]) -> None:
        if not found:
            self.told.append(f"{self._source.title} has no hook: nothing is heard of it but by polling")
        good = {one.lower() for one in self._spec.good}
        for one in found:
            status, identity = text_at(one, self._spec.status), text_at(one, self._spec.id)
            if identity is None or (status or "").lower() in good:
                continue
            again = "asked to verify it again" if self._spec.verify is not None else "make it work in the product"
            self.told.append(f"hook {identity} of {self._source.title} does not work ({status}): {again}")
            if self._spec.verify is not None:
                self._bad.append(identity)

    def _next(self) -> None:
        self._ask = None
        if self._bad:
            self._ask = self._request("POST", self._spec.verify or "", {"id": self._bad.popleft()})

    def _request(self, method: str, path: str, values: dict[str, str]) -> Ask:
        settings = self._source.settings
        headers = fill_all(self._source.headers, settings)
        target = fill_path(path, {**settings, **values}) or path
        return Ask(method, self._source.api + target, headers, None, f"{method} {path}")
