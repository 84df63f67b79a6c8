"""Paylocity, webhooks: who was hired or left, whose record changed, which time off was approved.

**What the source records.** A new hire and a termination with the employee's data as it is then; that something
changed in an employee's record, without saying what; a time off that was approved. A body has no name of its event, no
time of its own, no user, no IP address, no session and no old value (but that who was hired had none). A change is
sent for any of about fifty fields (`Ssn`, `BirthDate`, `Salary`, `BaseRate`, addresses and so on), and they are looked
for every minute, so that one edit may send several.

**How to get it out.** Paylocity sets webhooks up for an account (*HR & Payroll*, web services). Deliveries are signed
with HMAC-SHA256. Your endpoint, with HTTPS, checks them and appends each body as one line to a file: **one file, and
one input, for each kind of webhook** is best, since only the members of a body tell what it is. New hires carry
addresses, gender and marital status: set a `privacy:` policy.

**One line in**: one webhook body, or an array of them.

```json
{"companyId":"ACM1","employeeId":"20417"}
{"companyId":"ACM1","companyName":"Acme","employeeFirstName":"Jo","employeeHireDate":"2026-03-02T00:00:00Z","employeeId":"20417","employeeJobTitle":"Engineer","employeeLastName":"Lind","employeePayType":"Salary"}
```

**What comes out.** `paylocity.webhook`; what a body is follows from its members:

- `companyId` and `employeeId` alone: `field.update` of the employee, without `trail.change`.
- a date or reason of termination (`employeeTerm...`): one `field.update` for each of them, with the new value (which
  members terminations have is not confirmed).
- `hoursPerDay`, `isAllDayEvent` or `timeOff...`: `approval.grant` of a `time_off` of the employee. Only approvals are
  sent.
- other members of the employee: `record.create` with the values.

The company is `organization.id` and `.name`. `@timestamp` is the time of receipt.

Missing: `trail.missing` always holds `user.id`, `source.ip`, `trail.session.id` and `trail.interface`; of a change
`trail.change.field`, `.old` and `.new`, of a termination `trail.change.old`. What is not mapped is in `trail.raw`.
Other webhooks of Paylocity (onboarding, payroll, deductions and so on) are refused. Options: none.
"""

from __future__ import annotations

from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import each, read, scalar_text, take_text

FORMAT: Final = Format(
    name="paylocity",
    module="paylocity",
    vendor="Paylocity",
    title="Paylocity, webhooks",
    missing=("user.id", "source.ip", "trail.session.id", "trail.interface"),
    gives=Gives.of("field new"),
)
LITERALS: Final = (b'"companyId"', b'"companyid"')

_IDS: Final = frozenset({"companyid", "employeeid"})
_TIME_OFF: Final = frozenset({"hoursperday", "isalldayevent", "timeoffstartdate", "timeoffenddate"})


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One webhook body or an array of them, see the module's text."""
    return each(read(record), _body)


def _body(item: dict[str, Any]) -> list[Operation] | Rejected:
    names = {name.lower(): name for name in item}
    company, employee = names.get("companyid"), names.get("employeeid")
    if (
        company not in {"companyId", "companyid"}
        or employee is None
        or any(scalar_text(item[name]) is None for name in (company, employee))
    ):
        return Rejected("no Paylocity webhook (companyId and employeeId are needed)")
    rest = names.keys() - _IDS
    if not all(name.startswith(("employee", "company", "supervisor", "timeoff")) or name in _TIME_OFF for name in rest):
        return Rejected("no Paylocity webhook (members that are about neither company, employee nor time off)")
    op = Operation(action="field.update", kind="webhook", object_type="employee")
    op.object_id = take_text(item, employee)
    op.fields["organization.id"] = take_text(item, company)
    firm = take_text(item, names.get("companyname", ""))
    if firm is not None:
        op.fields["organization.name"] = firm
    ended = [names[name] for name in sorted(rest) if name.startswith("employeeterm")]
    if not rest:
        op.missing = CHANGE_NOT_TOLD
    elif not _TIME_OFF.isdisjoint(rest):
        op.action, op.object_type = "approval.grant", "time_off"
        op.fields["trail.object.owner_id"], op.object_id = op.object_id, None
        op.object_name = take_text(item, names.get("employeename", ""))
    elif ended:
        op.changes = [Change(name, UNKNOWN, item.pop(name), derivation="new_only") for name in ended]
    else:
        op.action = "record.create"
    op.values = item
    return [op]
