"""Make: runs of scenarios, calls of webhooks, and executions that were not completed. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import Operation, Time
from parsers._json import SAFE_INTEGER, is_text, peek, scalar_text, take, take_text, take_time
from parsers._secrets import hide_secrets
from parsers._urls import clean_urls

_SCENARIO: Final = re.compile(r"_scenario\.(\d+)\.").search
_INCOMPLETE: Final = re.compile(r"_dlq\.([0-9A-Za-z-]{1,64})\.").search
_IMT_TIME: Final = re.compile(r"(\d{13})_").match
_STATUS: Final = {
    "0": "unknown",
    "1": "success",
    "2": "success",
    "3": "failure",
    "RUNNING": "unknown",
    "SUCCESS": "success",
    "WARNING": "success",
    "ERROR": "failure",
}
_WORDS: Final = frozenset({"RUNNING", "SUCCESS", "WARNING", "ERROR"})
_COOKIES: Final = frozenset({"cookie", "proxy-authorization", "x-hook-signature", "x-signature"})
"""Headers that let somebody in, beside those whose names say so everywhere."""


def is_run(item: dict[str, Any]) -> bool:
    """Whether `item` is an entry of a scenario's log, or the detail of one execution with the ids that it lacks."""
    if is_text(item.get("imtId")):
        return "status" in item or "duration" in item
    return "scenarioId" in item and "executionId" in item and scalar_text(item.get("status")) in _WORDS


def run(item: dict[str, Any]) -> Operation:
    """The operation of one run."""
    imt = item.get("imtId")
    text = imt if is_text(imt) else ""
    op = _automation("scenario", item, "timestamp")
    started = _IMT_TIME(text)
    if op.time is None and started:
        op.time = Time(int(started[1]), "epoch_ms")
    op.id = take_text(item, "id") or take_text(item, "executionId")
    if op.id is not None:
        op.fields["trail.automation.execution.id"] = op.id
    scenario = _SCENARIO(text)
    _of_scenario(op, item, scenario[1] if scenario else None)
    if _INCOMPLETE(text):
        op.kind = "incomplete"
    _result(op, item)
    if item.get("type") != "manual" and "type" in item:
        op.actor_type, op.actor_confidence = "automation", "asserted"
    elif scalar_text(item.get("authorId")) is not None:
        # Make does not say whose id this is; a run by hand has one, a run by schedule has none.
        op.fields["user.id"] = take_text(item, "authorId")
        op.fields["trail.actor.basis"] = "authorId"
        op.actor_type, op.actor_confidence = "user", "inferred"
    organization = take_text(item, "organizationId")
    if organization is not None:
        op.fields["organization.id"] = organization
    op.raw = item
    return _cleaned(op)


def _automation(kind: str, item: dict[str, Any], time: str) -> Operation:
    op = Operation(
        action="automation.run",
        kind=kind,
        interface="automation",
        time=take_time(item, time),
        object_type="scenario",
    )
    op.fields["trail.automation.platform"] = "make"
    return op


def _of_scenario(op: Operation, item: dict[str, Any], other: str | None = None) -> None:
    op.object_id = take_text(item, "scenarioId") or other
    if op.object_id is not None:
        op.fields["trail.automation.scenario.id"] = op.object_id
    name = take_text(item, "scenarioName")
    if name is not None:
        op.object_name = op.fields["trail.automation.scenario.name"] = name


def _result(op: Operation, item: dict[str, Any]) -> None:
    op.outcome = "unknown"
    status = scalar_text(item.get("status"))
    if status in _STATUS:
        op.outcome = _STATUS[status]
        if status in {"RUNNING", "0"}:
            op.action = "automation.start"
        del item["status"]
        if status in {"2", "WARNING"}:
            op.fields["event.reason"] = "warning"
    duration = item.get("duration")
    if isinstance(duration, int | float) and not isinstance(duration, bool) and 0 <= duration <= SAFE_INTEGER / 1e6:
        op.fields["event.duration"] = round(duration * 1_000_000)
        del item["duration"]
    for field, path in (
        ("error.message", ("error", "message")),
        ("error.type", ("error", "name")),
        ("trail.automation.module", ("error", "causeModule", "name")),
    ):
        text = take_text(item, *path)
        if text is not None:
            op.fields[field] = text


# -- executions that were not completed -------------------------------------------------------------------------------


def is_incomplete(item: dict[str, Any]) -> bool:
    """Whether `item` is an incomplete execution."""
    return all(name in item for name in ("created", "resolved", "retry", "attempts"))


def incomplete(item: dict[str, Any]) -> Operation:
    """A run that failed and waits to be resolved; whether it was since is in `raw`, since nobody says when and by whom.

    Nor does it say whether a schedule or a person started the run.
    What is called a company here is called an organization elsewhere at Make.
    """
    op = _automation("incomplete", item, "created")
    op.outcome = "failure"
    op.id = take_text(item, "id")
    execution = take_text(item, "executionId")
    if execution is not None:
        op.fields["trail.automation.execution.id"] = execution
    _of_scenario(op, item)
    for field, name in (
        ("error.message", "reason"),
        ("organization.id", "companyId"),
        ("organization.name", "companyName"),
    ):
        text = take_text(item, name)
        if text is not None:
            op.fields[field] = text
    op.raw = item
    return _cleaned(op)


# -- calls of webhooks ------------------------------------------------------------------------------------------------


def is_call(item: dict[str, Any]) -> bool:
    """Whether `item` is an entry of a webhook's log."""
    return "statusId" in item and "loggedAt" in item


def is_waiting(item: dict[str, Any]) -> bool:
    """Whether `item` is an entry of a webhook's queue; only to be asked where its list says so."""
    return all(name in item for name in ("id", "scope", "size", "created"))


def call(item: dict[str, Any]) -> Operation:
    """A request that came to a webhook: done with (it is in the log), or waiting (it is in the queue)."""
    done = is_call(item)
    op = Operation(
        action="api.request",
        kind="webhook" if done else "queue",
        interface="api",
        time=take_time(item, "loggedAt" if done else "created"),
        id=take_text(item, "id"),
        object_type="webhook",
        object_id=take_text(item, "hookId"),
    )
    op.outcome = "unknown"
    status = scalar_text(item.get("statusId"))
    if status in {"1", "3"}:
        op.outcome = _STATUS[status]
        del item["statusId"]
    op.object_name = take_text(item, "hookName")
    for holder in (("data",), ("data", "request")):
        _request(op, item, holder)
    op.raw = item
    return _cleaned(op)


def _request(op: Operation, item: dict[str, Any], holder: tuple[str, ...]) -> None:
    method = peek(item, *holder, "method")
    if is_text(method) and method.isascii() and method.isalpha() and "http.request.method" not in op.fields:
        op.fields["http.request.method"] = take(item, *holder, "method")
    headers = peek(item, *holder, "headers")
    if isinstance(headers, dict):
        agent = next((name for name in headers if name.lower() == "user-agent"), None)
        text = take_text(item, *holder, "headers", agent) if agent is not None else None
        if text is not None:
            op.fields["user_agent.original"] = text


def _cleaned(op: Operation) -> Operation:
    """What others sent is full of what lets somebody in: secrets in pairs, in headers and in addresses."""
    clean_urls(op.raw)
    hide_secrets(op, _COOKIES)
    return op
