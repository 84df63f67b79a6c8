"""Make: earlier states that it hands out, compared: codes of functions, values of variables, blueprints. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from parsers._contract import ABSENT, CHANGE_NOT_TOLD, SECRET, UNKNOWN, Change, Operation, Rejected
from parsers._json import is_text, scalar_text, take, take_text, take_time
from parsers._old_new import pair_of, take_changes
from parsers._pairs import ODD, named
from parsers._rows import compare
from parsers._secrets import DROPPED, hidden, is_secret
from parsers._urls import clean_text, clean_urls

_DEEPEST: Final = 64


def _who(op: Operation, item: dict[str, Any], *names: str) -> None:
    """The account under the first of `names` that is there: an object, or an id, an address or a name in one text."""
    for name in names:
        holder = item.get(name)
        if isinstance(holder, dict):
            for field, member in (("user.id", "id"), ("user.full_name", "name"), ("user.email", "email")):
                text = take_text(item, name, member)
                if text is not None:
                    op.fields[field] = text
        else:
            text = take_text(item, name)
            if text is not None:
                field = "user.id" if text.isdigit() else "user.email" if "@" in text else "user.full_name"
                op.fields[field] = text
        if any(field.startswith("user.") for field in op.fields):
            op.actor_type, op.actor_confidence = "user", "asserted"
            return


def _take_organization(op: Operation, item: dict[str, Any]) -> None:
    text = take_text(item, "organizationId")
    if text is not None:
        op.fields["organization.id"] = text


def _newest_first(rows: list[dict[str, Any]], name: str) -> bool:
    """Whether the rows of a page go back in time, as Make's do unless told otherwise."""
    first, last = (scalar_text(row.get(name)) or "" for row in (rows[0], rows[-1]))
    return first >= last


# -- functions --------------------------------------------------------------------------------------------------------


def is_function(item: dict[str, Any]) -> bool:
    """Whether `item` is a row of a function's history."""
    return "previousCode" in item and "updatedAt" in item


def functions(rows: list[dict[str, Any]], page: dict[str, Any]) -> list[Operation] | Rejected:
    """Each edit of a function; what a row's edit made of the code stands in the next newer row as previous code.

    The newest edit's is the function's present code, where `page` carries that (`function`, the answer about it).
    """
    if not all(is_function(row) for row in rows):
        return Rejected("a row of functionHistory without previousCode and updatedAt")
    newest_first = _newest_first(rows, "updatedAt") if rows else True
    code = take(page, "function", "code")
    newer = UNKNOWN if code is ABSENT else code
    identity = take_text(page, "functionId") or take_text(page, "function", "id")
    name = take_text(page, "function", "name")
    found: list[Operation] = []
    for row in rows if newest_first else rows[::-1]:
        op = _function(row, newer)
        op.object_id, op.object_name = identity, name
        newer = op.changes[0].old
        found.append(op)
    return found if newest_first else found[::-1]


def _function(row: dict[str, Any], newer: Any) -> Operation:
    op = Operation(
        action="config.update",
        kind="function",
        time=take_time(row, "updatedAt"),
        id=take_text(row, "id"),
        object_type="function",
        changes=[Change("code", row.pop("previousCode"), newer, derivation="reconstructed")],
    )
    _who(op, row, "updatedBy")
    op.raw = row
    return op


# -- variables --------------------------------------------------------------------------------------------------------


def is_variable(item: dict[str, Any]) -> bool:
    """Whether `item` is a row of a variable's history."""
    return isinstance(item.get("diffObject"), dict)


def variables(rows: list[dict[str, Any]], page: dict[str, Any]) -> list[Operation] | Rejected:
    """Each edit of a variable. Make says what a row tells (values, time, author), and not under which names."""
    if not all(is_variable(row) for row in rows):
        return Rejected("a row of a variable's history without diffObject")
    name = take_text(page, "variableName")
    return [_variable(row, name) for row in rows]


def _variable(row: dict[str, Any], called: str | None) -> Operation:
    told = row["diffObject"]
    op = Operation(action="config.update", kind="variable", object_type="variable", id=take_text(row, "id"))
    op.object_id = called = called or take_text(told, "name")
    for holder in (told, row):
        for name in ("updatedAt", "timestamp", "date", "createdAt", "changed"):
            op.time = op.time or take_time(holder, name)
        _who(op, holder, "updatedBy", "author", "user", "actor")
    pair = pair_of(told)
    if pair is not None and not (isinstance(told[pair[0]], dict) and isinstance(told[pair[1]], dict)):
        op.changes = [Change("value", told.pop(pair[0]), told.pop(pair[1]))]
    else:
        op.changes = take_changes(told)
    op.code = take_text(row, "action")
    if not op.changes and "value" in told and op.code is not None and op.code.endswith(("_edited", "_updated")):
        op.changes = [Change("value", UNKNOWN, told.pop("value"), derivation="new_only")]
    elif not op.changes and "value" in told:
        # A variable that nobody has edited yet has one row, with the value that it was made with.
        op.action, op.values = "config.create", {"value": told.pop("value")}
    elif not op.changes:
        op.missing = CHANGE_NOT_TOLD
    if called is not None and is_secret(called):
        op.changes = [
            change._replace(old=hidden(change.old), new=hidden(change.new)) if change.field == "value" else change
            for change in op.changes
        ]
        op.values = dict.fromkeys(op.values, DROPPED)
    if not told:
        del row["diffObject"]
    op.raw = row
    return op


# -- blueprints -------------------------------------------------------------------------------------------------------


def is_pair(item: dict[str, Any]) -> bool:
    """Whether `item` is our wrapper around two states of a scenario."""
    return (
        "scenarioId" in item
        and _blueprint(item.get("before")) is not None
        and _blueprint(item.get("after")) is not None
    )


def is_version(item: dict[str, Any]) -> bool:
    """Whether `item` is a version of a scenario's blueprint."""
    return all(name in item for name in ("scenarioId", "version", "created", "draft"))


def _blueprint(state: Any) -> dict[str, Any] | None:
    """The blueprint in a state: the state itself, or what an answer of Make wraps around it."""
    for path in ((), ("response",), ("blueprint",), ("response", "blueprint")):
        inner = state
        for name in path:
            inner = inner.get(name) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("flow"), list):
            return inner
    return None


def pair(item: dict[str, Any]) -> Operation:
    """Who changed what in a scenario between two states of it."""
    before, after = _state(item.pop("before")), _state(item.pop("after"))
    edited, edited_before = after.pop("last_edit", None), before.pop("last_edit", None)
    since = take_text(item, "beforeAt") or scalar_text(edited_before)
    until = take_text(item, "afterAt") or scalar_text(edited)
    op = _edit(item)
    op.time = take_time({"time": edited if scalar_text(edited) else until}, "time")
    _who(op, item, "actor")
    _compare(op, before, after, (since, until))
    op.raw.update(item)
    return _cleaned(op)


def versions(rows: list[dict[str, Any]], page: dict[str, Any]) -> list[Operation] | Rejected:  # noqa: ARG001
    """Each version of a blueprint; compared with the one before where both come with their `blueprint`."""
    if not all(is_version(row) for row in rows):
        return Rejected("a version of a blueprint without scenarioId, version, created and draft")
    order = sorted(range(len(rows)), key=lambda place: _number(rows[place]["version"]))
    found: dict[int, Operation] = {}
    last: dict[str, tuple[dict[str, Any], str | None]] = {}
    for place in order:
        row = rows[place]
        op = found[place] = _edit(row)
        scenario = op.object_id or ""
        until = scalar_text(row.get("created"))
        op.time = take_time(row, "created")
        if _blueprint(row.get("blueprint")) is not None:
            state = _state(row.pop("blueprint"))
            before, since = last.get(scenario, (None, None))
            if before is None:
                parts = _parts(state)
                op.raw = {"after": _kept(parts.rest, parts.modules, parts.flows)}
            else:
                _compare(op, before, state, (since, until))
            last[scenario] = (state, until)
        if not op.changes:
            op.missing = CHANGE_NOT_TOLD
        op.raw.update(row)
        _cleaned(op)
    return [found[place] for place in range(len(rows))]


def _number(version: Any) -> float:
    if isinstance(version, int | float) and not isinstance(version, bool):
        return float(version)
    return float(version) if isinstance(version, str) and version.isascii() and version.isdigit() else 0.0


def _edit(item: dict[str, Any]) -> Operation:
    op = Operation(action="automation.edit", kind="blueprint", object_type="scenario")
    op.fields["trail.automation.platform"] = "make"
    op.object_id = take_text(item, "scenarioId")
    if op.object_id is not None:
        op.fields["trail.automation.scenario.id"] = op.object_id
    op.object_name = take_text(item, "scenarioName")
    if op.object_name is not None:
        op.fields["trail.automation.scenario.name"] = op.object_name
    # Who edited it last is not who made each of the changes in between.
    _last_editor(op, item)
    _take_organization(op, item)
    return op


def _last_editor(op: Operation, item: dict[str, Any]) -> None:
    name = take_text(item, "updatedByUser", "name")
    if name is not None:
        op.fields["trail.object.last_editor.name"] = name
    for path in (("updatedByUser", "id"), ("updatedByUser", "email"), ("updatedByUser",)):
        editor = take_text(item, *path)
        if editor is not None:
            op.fields["trail.automation.last_editor"] = editor
            return


class _Parts:
    """A state of a scenario: its modules by id, which flow holds which of them, and everything else."""

    def __init__(self) -> None:
        self.modules: dict[str, dict[str, Any]] = {}
        self.place: dict[str, str] = {}
        self.flows: dict[str, list[str]] = {}
        self.rest: dict[str, Any] = {}


def _state(state: dict[str, Any]) -> dict[str, Any]:
    """A state as one object, also where the answer of Make wraps it."""
    inner = state.get("response")
    if not isinstance(inner, dict) or _blueprint(inner) is None:
        return dict(state)
    return {**{name: value for name, value in state.items() if name != "response"}, **inner}


def _parts(state: dict[str, Any]) -> _Parts:
    parts = _Parts()
    blueprint = _blueprint(state) or {}
    outside = {} if blueprint is state else {name: value for name, value in state.items() if name != "blueprint"}
    inside = {name: value for name, value in blueprint.items() if name != "flow"}
    # Copies, since what is compared now may be compared again with the next state after its secrets were dropped.
    parts.rest = {name: _tellable(value) for name, value in {**inside, **outside}.items()}
    _flow(parts, blueprint.get("flow"), "flow", 0)
    return parts


def _flow(parts: _Parts, flow: Any, path: str, depth: int) -> None:
    """Take the modules of one flow; what is none (without an id, or with one that is taken) is among the rest."""
    odd = []
    for module in flow if isinstance(flow, list) else [flow]:
        identity = scalar_text(module.get("id")) if isinstance(module, dict) else None
        if identity is None or identity in parts.modules or depth > _DEEPEST:
            odd.append(module)
            continue
        plain = {name: _tellable(value) for name, value in module.items() if name not in {"routes", "onerror", "id"}}
        parts.modules[identity] = plain
        parts.place[identity] = path
        parts.flows.setdefault(path, []).append(identity)
        here = f"modules[{identity}]"
        if "onerror" in module:
            _flow(parts, module["onerror"], f"{here}.onerror", depth + 1)
        routes = module.get("routes", [])
        if not isinstance(routes, list):
            plain["routes"] = routes
            continue
        for number, route in enumerate(routes):
            others = route
            if isinstance(route, dict):
                _flow(parts, route.get("flow", []), f"{here}.routes[{number}]", depth + 1)
                others = {name: _tellable(value) for name, value in route.items() if name != "flow"}
            plain.setdefault("routes", {})[str(number)] = others
    if odd:
        parts.rest[f"{path}.{ODD}"] = _tellable(odd)


def _tellable(value: Any, depth: int = 0) -> Any:
    """Lists of pairs (headers, query strings, form fields) as objects, so that each has a name, and secrets with it."""
    if depth > _DEEPEST:
        return value
    if isinstance(value, dict):
        return {name: _tellable(member, depth + 1) for name, member in value.items()}
    if not isinstance(value, list):
        return value
    for name in ("name", "key"):
        if value and all(isinstance(entry, dict) and set(entry) == {name, "value"} for entry in value):
            pairs = named(value, name, ("value",))
            if ODD not in pairs:
                return {key: _tellable(member, depth + 1) for key, member in pairs.items()}
    return [_tellable(member, depth + 1) for member in value]


def _compare(
    op: Operation, before: dict[str, Any], after: dict[str, Any], bounds: tuple[str | None, str | None]
) -> None:
    old, new = _parts(before), _parts(after)
    changes, same_rest = compare(old.rest, new.rest)
    kept: dict[str, Any] = {}
    for identity, module in new.modules.items():
        was = old.modules.get(identity)
        if was is None:
            changes.append(Change(f"modules[{identity}]", ABSENT, module))
            continue
        if old.place[identity] != new.place[identity]:
            changes.append(Change(f"modules[{identity}].place", old.place[identity], new.place[identity]))
        more, unchanged = compare(was, module)
        changes += [change._replace(field=f"modules[{identity}].{change.field}") for change in more]
        if unchanged:
            kept[identity] = unchanged
    changes += [
        Change(f"modules[{identity}]", module, ABSENT)
        for identity, module in old.modules.items()
        if identity not in new.modules
    ]
    changes += _orders(old.flows, new.flows)
    since, until = bounds
    op.changes = [
        change._replace(derivation="snapshot_diff", changed_after=since, changed_before=until) for change in changes
    ]
    op.no_change = not changes
    after_rest = _kept(same_rest, kept, {path: ids for path, ids in new.flows.items() if old.flows.get(path) == ids})
    op.raw = {"after": after_rest} if after_rest else {}


def _kept(rest: dict[str, Any], modules: dict[str, dict[str, Any]], flows: dict[str, list[str]]) -> dict[str, Any]:
    """What of a state no change carries."""
    return {**rest, **({"modules": modules} if modules else {}), **({"flows": flows} if flows else {})}


def _orders(old: dict[str, list[str]], new: dict[str, list[str]]) -> list[Change]:
    """Flows in which modules that both states have there stand in another order."""
    found = []
    for path, after in new.items():
        before = old.get(path, [])
        common = [identity for identity in before if identity in set(after)]
        if common != [identity for identity in after if identity in set(before)]:
            found.append(Change(f"{path}.order", before, after))
    return found


def _cleaned(op: Operation) -> Operation:
    clean_urls(op.raw)
    op.changes = [_clean_change(change) for change in op.changes]
    return op


def _clean_change(change: Change) -> Change:
    old, new = _clean(change.old), _clean(change.new)
    if is_text(old) and old == new:
        # All that changed was a secret within an address.
        old = new = SECRET
    return change._replace(old=old, new=new)


def _clean(value: Any) -> Any:
    if is_text(value):
        return clean_text(value)
    if isinstance(value, dict | list):
        clean_urls(value)
    return value


PAGES: Final[dict[str, Callable[[list[dict[str, Any]], dict[str, Any]], list[Operation] | Rejected]]] = {
    "functionHistory": functions,
    "scenariosBlueprints": versions,
}
"""Member that holds the rows of a page -> what reads them."""
ROWS: Final = {"functionHistory": is_function, "scenariosBlueprints": is_version}
"""Member that holds the rows of a page -> whether an object is one of them."""
