"""Lists of people and of labels, read: CSV files, and what Okta, Google Workspace and BambooHR answer. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

PERSON, SERVICE = "person", "service"
ACTIVE, INACTIVE, SUSPENDED, PENDING = "active", "inactive", "suspended", "pending"
COLUMNS: Final = ("person", "email", "accounts", "name", "department", "status", "kind", "timezone")
LABEL_COLUMNS: Final = ("module", "field", "id", "label")

_STATUS: Final = {
    **dict.fromkeys(("active", "enabled", "true", "yes", "1", "password_expired", "locked_out", "recovery"), ACTIVE),
    **dict.fromkeys(("inactive", "disabled", "false", "no", "0", "terminated", "deprovisioned", "left"), INACTIVE),
    **dict.fromkeys(("suspended", "on leave", "leave"), SUSPENDED),
    **dict.fromkeys(("pending", "staged", "provisioned", "hired"), PENDING),
}
_SERVICE: Final = frozenset({"service", "service account", "bot", "machine", "robot", "integration", "system", "api"})
_LONGEST: Final = 256


class Person(NamedTuple):
    """One person or service. `accounts`: e-mail addresses, user names, and `module:id`, in lower case."""

    person: str
    accounts: tuple[str, ...]
    name: str = ""
    department: str = ""
    status: str = ""
    kind: str = ""
    timezone: str = ""


class Label(NamedTuple):
    """What an id is called: in fields of this name (lower case) of a module, `*` for any."""

    module: str
    field: str
    id: str
    label: str


class UnreadableError(ValueError):
    """A list is not what it should be; the text says what it is instead."""


def of_csv(data: bytes, columns: Mapping[str, str], *, separator: str = ",", module: str = "") -> list[Person]:
    """People of a CSV file with a header. `columns`: ours (`COLUMNS`) -> theirs, by default the same.

    `email` and `accounts` may hold several, with blanks, commas or semicolons between; where `module` is given, an
    account without one is of that. Raises `UnreadableError`.
    """
    rows = _rows(data, separator)
    names = {ours: columns.get(ours, ours) for ours in COLUMNS}
    header = next(rows, None)
    if header is None:
        raise UnreadableError("an empty file; the first line names the columns")
    asked = [theirs for ours, theirs in names.items() if ours in columns and theirs not in header]
    if asked:
        # Never the file's own text: without a header the first line is a person, and this is logged and sealed.
        raise UnreadableError(f"no column {asked[0]!r} among the {len(header)} of the first line")
    if names["email"] not in header and names["accounts"] not in header:
        raise UnreadableError(
            f"neither a column for email nor one for accounts among the {len(header)} of the first line"
        )
    found = []
    for row in rows:
        held = dict(zip(header, row, strict=False))
        value = {ours: _clean(held.get(theirs, ""))[:_LONGEST] for ours, theirs in names.items()}
        accounts = [*_split(value["email"])]
        accounts += [f"{module}:{one}" if module and ":" not in one else one for one in _split(value["accounts"])]
        if accounts:
            found.append(
                person_of(
                    value["person"], accounts, value["name"], value["department"], value["status"], value["kind"],
                    value["timezone"],
                )
            )  # fmt: skip
    return found


def labels_of_csv(data: bytes, *, separator: str = ",") -> list[Label]:
    """Labels of a CSV file with the columns field, id, label and perhaps module. Raises `UnreadableError`."""
    rows = _rows(data, separator)
    header = next(rows, None)
    if header is None or not {"field", "id", "label"} <= set(header):
        raise UnreadableError("labels need the columns field, id and label; module says of which system they are")
    found = []
    for row in rows:
        held = {name: _clean(value) for name, value in zip(header, row, strict=False)}
        field, key, label = (held.get(name, "") for name in ("field", "id", "label"))
        if field and key and label:
            found.append(Label(held.get("module") or "*", field.lower(), key, label[:_LONGEST]))
    return found


def person_of(
    person: str,
    accounts: Iterable[str],
    name: str = "",
    department: str = "",
    status: str = "",
    kind: str = "",
    timezone: str = "",
) -> Person:
    """A person of texts as a list has them. Without a name of its own the first account is what it is called."""
    known = tuple(dict.fromkeys(account.lower() for account in accounts if account))
    status = _STATUS.get(status.lower(), status.lower())
    service = kind.lower() in _SERVICE
    return Person(
        person or known[0], known, name, department, status, SERVICE if service else PERSON if kind else "", timezone
    )


def of_okta(users: Iterable[Mapping[str, Any]]) -> list[Person]:
    """People of Okta's list of users (`GET /api/v1/users`)."""
    found = []
    for user in users:
        profile = user.get("profile")
        if not isinstance(profile, Mapping) or not isinstance(user.get("id"), str):
            raise UnreadableError("not a list of Okta's users: each has an id and a profile")
        text = _texts(profile)
        name = text("displayName") or f"{text('firstName')} {text('lastName')}".strip()
        # Not secondEmail: users set it themselves, to anybody's address.
        accounts = [*_bare(text("email"), text("login")), f"okta:{user['id']}"]
        status = user.get("status")
        found.append(
            person_of(
                "", accounts, name, text("department"), status if isinstance(status, str) else "",
                text("userType") or PERSON, text("timezone"),
            )
        )  # fmt: skip
    return found


def of_google(users: Iterable[Mapping[str, Any]]) -> list[Person]:
    """People of Google Workspace's list of users (Directory API, `users.list`)."""
    found = []
    for user in users:
        text = _texts(user)
        if not _bare(text("primaryEmail")):
            raise UnreadableError("not a list of Google Workspace's users: each has a primaryEmail")
        aliases = [one for one in _list(user.get("aliases")) if isinstance(one, str)]
        organizations = [one for one in _list(user.get("organizations")) if isinstance(one, Mapping)]
        first = next((one for one in organizations if one.get("primary")), organizations[0] if organizations else {})
        named = user.get("name")
        status = SUSPENDED if user.get("suspended") else INACTIVE if user.get("archived") else ACTIVE
        found.append(
            person_of(
                "", [*_bare(text("primaryEmail"), *aliases), f"google_workspace:{text('id')}" if text("id") else ""],
                _texts(named if isinstance(named, Mapping) else {})("fullName"), _texts(first)("department"), status,
                PERSON,
            )
        )  # fmt: skip
    return found


def of_bamboohr(employees: Iterable[Mapping[str, Any]]) -> list[Person]:
    """People of BambooHR's company directory (`GET /api/v1/employees/directory`), which lists those who are active."""
    found = []
    for employee in employees:
        text = _texts(employee)
        if not text("id"):
            raise UnreadableError("not BambooHR's directory: each employee has an id")
        found.append(
            person_of(
                text("workEmail").lower(), [*_bare(text("workEmail")), f"bamboohr:{text('id')}"],
                text("displayName") or f"{text('firstName')} {text('lastName')}".strip(), text("department"),
                text("status") or ACTIVE, PERSON,
            )
        )  # fmt: skip
    return found


def _texts(held: Mapping[str, Any]) -> Callable[[str], str]:
    """The texts among the members; numbers as texts, "" for anything else."""

    def text(name: str) -> str:
        value = held.get(name)
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            return ""
        return _clean(str(value))[:_LONGEST]

    return text


def _bare(*accounts: str) -> list[str]:
    """Those that cannot be taken for an account of another module (`keap:7`): vendors let people choose some."""
    return [one for one in accounts if one and ":" not in one]


def _clean(text: str) -> str:
    return " ".join(text.split())


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _split(text: str) -> list[str]:
    return text.replace(",", " ").replace(";", " ").split()


def _rows(data: bytes, separator: str) -> Iterator[list[str]]:
    """The rows that are not empty. Raises `UnreadableError`, also on the way."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start}") from None
    # Strict, so that a stray quote is an error: otherwise all that follows it is one value, and everybody there gone.
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        yield from (row for row in rows if any(row))
    except csv.Error as error:
        raise UnreadableError(f"line {rows.line_num}: {error}") from None
