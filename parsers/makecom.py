"""Make.com, its API: audit logs, runs, calls of webhooks, and earlier states of functions, variables and scenarios.

**What the source records.** An **audit log** entry says who (`actor`), when (`triggeredAt`), what (`eventName`), to
which thing (`targetId`), and from which version to which; its detail differs from event to event and is not
documented: old and new values in it become changes where their shape is recognisable, otherwise it is kept whole. A
**run** says when, how long, how it ended, how many operations and bytes; no field, no old and no new value. A
**webhook**'s log and queue say that somebody called it, not who. The **history of a function** has the code before each
edit and who made it, the **history of a variable** both values, and two **blueprints** of a scenario tell which module
was changed how. Make documents no IP address and no session for any of them.

**How to get it out.** `https://eu1.make.com/api/v2/…` (or the zone of yours) with `Authorization: Token …`; calls a
minute: 60 (Core), 120 (Pro), 240 (Teams), 1,000 (Enterprise). Append each row, or each whole answer, as one line.

- Audit logs: **Enterprise plan**, kept for 12 months, as organization owner or admin, scope `audit-logs:read` (older
  tokens: `organization:read`): `GET /audit-logs/organization/{id}?pg[sortBy]=triggeredAt&pg[sortDir]=asc&dateFrom=…`,
  `/audit-logs/team/{id}`, or the newer `/audit-logs/v2/organization/{id}`; the detail of one: `/audit-logs/v2/{id}/{uuid}`.
  The date may count in whole days, so drop rows whose `uuid` you have.
- Runs: `GET /scenarios/{id}/logs`, scope `scenarios:read`, one call per scenario; `GET /dlqs?scenarioId={id}` and
  `/dlqs/{id}` for executions that were not completed. The detail of an execution names neither itself nor its scenario:
  write `{"scenarioId": …, "executionId": …, …the answer}`.
- Webhooks: `GET /hooks/{id}/logs` (kept for 3 days; 30 with Enterprise) and `/hooks/{id}/incomings`, scope `hooks:read`.
  The rows do not name the webhook: add `hookId` to the row or beside the list.
- Functions: `GET /functions/{id}/history?teamId=…`; add `functionId`, or `function`, the answer of `GET
  /functions/{id}`, whose `code` is what the newest edit made.
- Variables: `GET /teams/{id}/variables/{name}/history`, also of organizations; add `variableName`.
- Blueprints: `GET /scenarios/{id}/blueprint`, twice: write `{"scenarioId": …, "scenarioName": …, "before": answer,
  "after": answer, "beforeAt": time, "afterAt": time, "updatedByUser": …, "actor": …}` (all but the first, third and fourth
  may be left out); or `GET /scenarios/{id}/blueprints` (60 days), each row with the `blueprint` of its version added.

**One line in**: one entry, an array of entries, or an answer with `auditLogs`, `scenarioLogs`, `dlqLogs`, `dlqs`, `dlq`,
`hookLogs`, `incomings`, `incoming`, `functionHistory` or `scenariosBlueprints`.

```json
{"uuid":"c37c7292-35cd-4dc4-9113-21b23beaea7d","triggeredAt":"2026-03-14T12:34:56Z","eventName":"webhook_updated","organization":{"id":11,"name":"Acme"},"actor":{"id":7,"name":"Ann","email":"ann@acme.example"},"targetId":"654"}
{"imtId":"1773491696497_scenario.1229.auto.da518adcd14b4b64","id":"da518adcd14b4b64","status":1,"duration":19979,"operations":10,"transfer":3942,"type":"auto","authorId":null,"timestamp":"2026-03-14T12:34:56.497Z"}
{"functionId":8,"functionHistory":[{"id":1245,"previousCode":"return a","updatedAt":"2026-03-14T12:34:56Z","updatedBy":"Ann"}]}
{"scenarioId":1229,"before":{"name":"Sync","flow":[{"id":1,"module":"http:ActionSendData","version":3,"mapper":{"url":"https://a.example"}}]},"after":{"name":"Sync","flow":[{"id":1,"module":"http:ActionSendData","version":3,"mapper":{"url":"https://b.example"}}]},"afterAt":"2026-03-14T12:34:56Z","actor":{"id":7}}
```

**What comes out.**

- Of an audit entry one event, or one per changed field: `eventName` is read as `<noun>_<verb>` (`key_created` ->
  `token.create`, `connection_created` -> `app.connect`, `webhook_disabled` -> `webhook.disable`, `scenario_updated` ->
  `automation.edit`, `user_invited` -> `user.invite`, others -> `config.create`, `.update` or `.delete`) and stays in
  `event.code`. An edit that names two versions has a change of `version`. Recognised in the detail: `{"name": {"old": …,
  "new": …}}`, `{"before": {…}, "after": {…}}`, `{"changes": [{"field": …, "old": …, "new": …}]}`, and the like.
- Of a run `automation.run`: status 1 is success, 2 success with `event.reason` "warning", 3 failure; `event.duration` in
  ns; one that waits or goes on is `automation.start`. A run that was started by hand (`type` manual) is taken for its
  `authorId`'s (inferred). An incomplete execution is a run that failed; who started it is not told.
- Of a call of a webhook `api.request`, with what was sent in `trail.raw`, without secrets; a waiting one has no outcome.
- Of a function's or variable's edit `config.update`. The code that an edit made is the previous code of the next newer
  edit, or the function's present code (`derivation: reconstructed`); where the answer has neither it is unknown.
  Which names a variable's history uses is not confirmed; a row without an old value is `config.create`.
- Of two blueprints, or two versions, `automation.edit` with one change per setting (`modules[3].mapper.url`;
  `derivation: snapshot_diff`, between two times). Modules are matched by their id: one that was moved has a change of its
  `place` or of the flow's `order` alone, one that was added or removed has one change. Headers and other lists of names
  and values are compared by name. `user.*` is filled from `actor` alone: whoever edited the scenario last
  (`updatedByUser` -> `trail.automation.last_editor`) need not have made each change.

Missing: `trail.missing` holds `source.ip`, `trail.session.id`, for audit entries `trail.interface`, and the parts of
the change where the source does not tell them. What is not mapped is in `trail.raw`. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers import _makecom_audit, _makecom_edits, _makecom_runs
from parsers._contract import SECRET, Context, Format, Gives, Operation, Rejected
from parsers._json import Items, decode, each, unwrap

FORMAT: Final = Format(
    name="makecom",
    module="makecom",
    vendor="Make",
    title="Make.com, audit logs, runs, webhooks, and edits of scenarios, functions and variables",
    missing=("source.ip", "trail.session.id"),
    gives=Gives.of("who when field old new"),
)

LITERALS: Final = (
    b'"eventName"',
    b'"imtId"',
    b'"auditLogs"',
    b'"scenarioLogs"',
    b'"dlqLogs"',
    b'"dlqs"',
    b'"attempts"',
    b'"executionId"',
    b'"loggedAt"',
    b'"hookLogs"',
    b'"incomings"',
    b'"incoming"',
    b'"previousCode"',
    b'"functionHistory"',
    b'"diffObject"',
    b'"scenarioId"',
    b'"scenariosBlueprints"',
)

_LISTS: Final = (
    "auditLogs",
    "auditLog",
    "scenarioLogs",
    "scenarioLog",
    "dlqLogs",
    "dlqLog",
    "dlqs",
    "dlq",
    "hookLogs",
    "hookLog",
)
_QUEUES: Final = ("incomings", "incoming")
_BESIDE: Final = ("scenarioId", "scenarioName", "hookId", "hookName")
"""What the rows of some lists do not say of themselves, and whoever fetches them adds beside the list."""


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of what Make's API answers, see the module's text."""
    value = decode(record)
    if isinstance(value, dict | list):
        page = _page(value if isinstance(value, dict) else _named(value))
        if page is not None:
            return page
    found = value if isinstance(value, Rejected) else unwrap(value, *_LISTS, *_QUEUES)
    if isinstance(found, Rejected):
        return found
    if not found.items:
        return [Operation(action="config.update", kind="audit", no_change=True)]
    queue = isinstance(value, dict) and any(name in value for name in _QUEUES)
    for name in _BESIDE:
        if name in found.rest and all(name not in item for item in found.items):
            beside = found.rest.pop(name)
            for item in found.items:
                item[name] = beside
    return _secrets_changed(each(found, lambda item: _one(item, queue=queue)))


def _page(value: dict[str, Any]) -> list[Operation] | Rejected | None:
    """What rows tell only together: an answer with a history, or `None` for anything else."""
    name = next((name for name in _makecom_edits.PAGES if isinstance(value.get(name), list)), None)
    reads = _makecom_edits.PAGES[name] if name is not None else _makecom_edits.variables
    if name is None:
        lists = [member for member, rows in value.items() if isinstance(rows, list) and _all_variables(rows)]
        if len(lists) != 1:
            return None
        name = lists[0]
    rows = value.pop(name)
    if not rows:
        return [Operation(action="config.update", kind="history", no_change=True)]
    if not all(isinstance(row, dict) for row in rows):
        return Rejected(f"a row of {name} is no object")
    return _together(reads(rows, value), value)


def _named(rows: list[Any]) -> dict[str, Any]:
    """A bare array of rows that belong together as the answer that it was taken from."""
    for name, belongs in _makecom_edits.ROWS.items():
        if rows and all(isinstance(row, dict) and belongs(row) for row in rows):
            return {name: rows}
    return {}


def _all_variables(rows: list[Any]) -> bool:
    return bool(rows) and all(isinstance(row, dict) and _makecom_edits.is_variable(row) for row in rows)


def _together(found: list[Operation] | Rejected, rest: dict[str, Any]) -> list[Operation] | Rejected:
    """What `each` does for records that stand alone."""
    if isinstance(found, Rejected):
        return found
    operations = iter(found)
    return _secrets_changed(each(Items([{} for _ in found], rest), lambda _: [next(operations)]))


def _secrets_changed(found: list[Operation] | Rejected) -> list[Operation] | Rejected:
    """Of two secrets that were dropped nobody can tell that they differ, but they do."""
    for op in [] if isinstance(found, Rejected) else found:
        op.no_change = op.no_change and not any(change.old is SECRET for change in op.changes)
    return found


def _one(item: dict[str, Any], *, queue: bool) -> list[Operation] | Rejected:
    if _makecom_audit.is_entry(item):
        return [_makecom_audit.entry(item)]
    if _makecom_runs.is_run(item):
        return [_makecom_runs.run(item)]
    if _makecom_edits.is_pair(item):
        return [_makecom_edits.pair(item)]
    if _makecom_runs.is_incomplete(item):
        return [_makecom_runs.incomplete(item)]
    if _makecom_runs.is_call(item) or (queue and _makecom_runs.is_waiting(item)):
        return [_makecom_runs.call(item)]
    if _makecom_edits.is_function(item):
        return _makecom_edits.functions([item], {})
    if _makecom_edits.is_variable(item):
        return _makecom_edits.variables([item], {})
    if _makecom_edits.is_version(item):
        return _makecom_edits.versions([item], {})
    return Rejected(
        "neither a Make audit log entry (eventName, uuid, actor …) nor a scenario log entry (imtId, status),"
        " nor another answer of Make's API"
    )
