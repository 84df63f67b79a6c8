"""Retention policies of OpenSearch's Index State Management, and the indices that they look after.

What is deleted when: an event is kept (in the journal), then indexed, then its index is rolled over, in this order. A
policy deletes an index `days` after its rollover, so never a document that is younger than `days`; at the latest it
goes `days` and the longest time up to a rollover after it was indexed. Control leaves and checkpoints are in a policy
that rolls over and has no state that deletes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import mappings
from shipper.errors import UsageError
from shipper.siem.install import LEFT_OUT, Part, Step, Stored, difference
from shipper.siem.streams import DataStream, data_streams

if TYPE_CHECKING:
    from mappings import PolicyFacts, PolicyParts
    from shipper.outputs._opensearch_client import Client

PLUGIN: Final = "opensearch-index-management"
ATTACHED: Final = "attached"
"""The result of an index that a policy looks after from now on."""
ASKED: Final = "asked to follow the newest version"
"""The result of an index that goes on by a policy's newer version, or by a namespace's own policy, once OpenSearch has
looked at it again. Until then it tells the older one."""

LONGEST_DAYS: Final = 36_500
FOR_EVER: Final = 0
"""As a number of days: nothing is deleted."""
OTHER: Final = "other"
"""The retention of a policy that somebody changed in a way that is not ours to read."""

_API: Final = "/_plugins/_ism"
_VERSION: Final = re.compile(r"\(version (\d+)\)$")
_POLICY_ID: Final = "index.plugins.index_state_management.policy_id"
_AT_ONCE: Final = 20
"""Indices in one request: their names make up its address."""

_SERVERS_OWN: Final = frozenset({"policy_id", "last_updated_time", "schema_version", "user"})
_USUAL_RETRY: Final = {"count": 3, "backoff": "exponential", "delay": "1m"}


class PolicyKind:
    """`GET` and `PUT _plugins/_ism/policies/<name>`. The handle is `(seq_no, primary_term)`."""

    label: str = "retention policy"
    plugin: str | None = PLUGIN

    def path(self, name: str) -> str:
        """Where one is read and written."""
        return f"{_API}/policies/{name}"

    def read(self, client: Client, name: str) -> Stored | None:
        """The stored policy; None: there is none."""
        told = client.ask(f"read {name}", "GET", self.path(name), absent=True)
        if not told:
            return None
        return Stored({"policy": told["policy"]}, (told["_seq_no"], told["_primary_term"]))

    def write(self, client: Client, name: str, body: Mapping[str, Any], stored: Stored | None) -> None:
        """Put it; refused when somebody else wrote it since it was read."""
        params = None
        if stored is not None:
            number, term = stored.handle
            params = {"if_seq_no": str(number), "if_primary_term": str(term)}
        client.ask(f"install {name}", "PUT", self.path(name), body=body, params=params)

    def normal(self, body: Mapping[str, Any]) -> Any:
        """Without what the server adds: times, who wrote it, the retries that every action gets."""
        return _bare(body["policy"])

    def version(self, body: Mapping[str, Any]) -> int | None:
        """The number at the end of the description: a policy has no other place for it."""
        match = _VERSION.search(body["policy"].get("description") or "")
        return int(match[1]) if match else None


KIND: Final = PolicyKind()


def _bare(value: Any) -> Any:
    """Without the server's own members, members that say nothing (null, false) and the usual retry."""
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name: _bare(item)
        for name, item in value.items()
        if name not in _SERVERS_OWN
        and item is not None
        and item is not False
        and not (name == "retry" and item == _USUAL_RETRY)
    }


def check_days(days: int) -> None:
    """`UsageError` for what is neither a number of days nor `FOR_EVER`."""
    if days != FOR_EVER and not 1 <= days <= LONGEST_DAYS:
        hint = f"a whole number of days from 1 to {LONGEST_DAYS}, or {FOR_EVER} to delete nothing"
        raise UsageError("read the retention", str(days), "not a number of days", hint)


def policy_parts(days: int, namespace: str | None = None) -> list[Part]:
    """The policies for a retention of `days` (or `FOR_EVER`), for all namespaces or for `namespace` alone.

    `UsageError` for what is no number of days.
    """
    check_days(days)
    parts = mappings.retention_policies()
    bodies = {_name(facts, namespace): _policy(parts, facts, days, namespace) for facts in parts.policies}
    return [Part(KIND, bodies)]


def _name(facts: PolicyFacts, namespace: str | None) -> str:
    return f"{mappings.component_templates().owner}-{facts.name}" + (f"-{namespace}" if namespace else "")


def _patterns(facts: PolicyFacts, namespace: str | None) -> list[str]:
    owner = mappings.component_templates().owner
    return [f"logs-{owner}.{stream}-{namespace or '*'}" for stream in facts.streams]


def _policy(parts: PolicyParts, facts: PolicyFacts, days: int, namespace: str | None) -> dict[str, Any]:
    """A policy as it is PUT: hot, warm some time after the rollover, and deleted if it is of that sort.

    Where nothing deletes, warm goes on to `kept` in a hundred years: the plugin counts an index as done in a state that
    leads nowhere, and what is done follows no newer version of its policy.
    """
    rollover = dict(facts.rollover)
    onward = [_transition("warm", facts.warm_after)]
    states = [
        {"name": "hot", "actions": [{"rollover": rollover}], "transitions": onward},
        {"name": "warm", "actions": [dict(action) for action in parts.warm], "transitions": []},
    ]
    about = facts.about
    if facts.delete and days != FOR_EVER:
        about += f", deleted {days} days after the rollover"
        # What is kept for a week must not wait a month for its rollover.
        rollover["min_index_age"] = f"{min(days, _days(rollover['min_index_age']))}d"
        gone = _transition("delete", f"{days}d")
        onward.insert(0, gone)  # the first that is due counts, and this one may be due before the other
        states[1]["transitions"] = [gone]
        states.append({"name": "delete", "actions": [{"delete": {}}], "transitions": []})
    else:
        states[1]["transitions"] = [_transition("kept", f"{LONGEST_DAYS}d")]
        states.append({"name": "kept", "actions": [], "transitions": []})
    return {
        "policy": {
            "description": f"{about} (version {parts.version})",
            "default_state": "hot",
            "states": states,
            "ism_template": [
                {"index_patterns": _patterns(facts, namespace), "priority": parts.priority + (10 if namespace else 0)}
            ],
        }
    }


def _transition(state: str, after: str) -> dict[str, Any]:
    return {"state_name": state, "conditions": {"min_rollover_age": after}}


def _days(age: str) -> int:
    return int(age.removesuffix("d"))


def deleting(namespace: str | None = None) -> str:
    """The name of the policy that deletes."""
    return _name(next(facts for facts in mappings.retention_policies().policies if facts.delete), namespace)


def stored_days(client: Client, namespace: str | None = None) -> int | Literal["other"] | None:
    """The retention of the policy that is there, `FOR_EVER`, or `OTHER`; None: there is no policy.

    `OTHER` is also a policy of this version that differs from ours in anything else: somebody wants it that way.
    """
    name = deleting(namespace)
    stored = KIND.read(client, name)
    if stored is None:
        return None
    days = _days_of(stored.body)
    if days is None:
        return OTHER
    (part,) = policy_parts(days, namespace)
    ours = part.bodies[name]
    by_hand = KIND.version(stored.body) in {None, KIND.version(ours)} and KIND.normal(stored.body) != KIND.normal(ours)
    return OTHER if by_hand else days


def _days_of(body: Mapping[str, Any]) -> int | None:
    """After how many days a policy deletes, `FOR_EVER`; None where it says so in another way than we do."""
    states = body["policy"].get("states", ())
    last = {state["name"] for state in states if any("delete" in action for action in state.get("actions", ()))}
    conditions = [
        transition.get("conditions") or {}
        for state in states
        for transition in state.get("transitions", ())
        if transition.get("state_name") in last
    ]
    if not last:
        return FOR_EVER
    ages = {one.get("min_rollover_age", "") for one in conditions}
    age = ages.pop() if len(ages) == 1 else ""
    # Not 0d, which deletes at once and not never.
    return days if re.fullmatch(r"[1-9][0-9]{0,4}d", age) and (days := int(age[:-1])) <= LONGEST_DAYS else None


# -- the indices -------------------------------------------------------------------------------------------------------


def attach(
    client: Client,
    bodies: Mapping[str, Mapping[str, Any]],
    namespace: str | None = None,
    *,
    spare_before: float | None = None,
    dry_run: bool = False,
) -> Iterator[Step]:
    """Let the policies `bodies` look after the indices that were there before them, and by the newest version.

    OpenSearch gives a policy to an index when it is made, and leaves it with the version of that day. An index that
    another policy looks after is left to it; the general one gives way to that of a namespace. `spare_before` (seconds
    since 1970): for one that was rolled over before that nothing is changed under the policy that deletes, which would
    delete it at once. Yields a step for each index that was changed, or could not be. `dry_run`: as if `bodies` were
    installed.
    """
    for facts in mappings.retention_policies().policies:
        policy = _name(facts, namespace)
        if policy not in bodies:
            continue
        newest = _newest(client, policy, bodies[policy], dry_run=dry_run)
        ours = {policy, _name(facts, None)}
        streams = data_streams(client, namespace, facts.streams)
        spared = _rolled_over_before(client, streams, spare_before) if facts.delete and spare_before else frozenset()
        indices = [name for stream in streams for name in stream.indices]
        for first in range(0, len(indices), _AT_ONCE):
            names = indices[first : first + _AT_ONCE]
            told = _explained(client, names)
            for name in names:
                change = _change(policy, ours, told.get(name) or {}, newest)
                if change is None:
                    continue
                if name in spared:
                    why = (
                        "rolled over so long ago that the policy would delete it now; --retention-days N hands it over"
                    )
                    yield Step("index", name, f"{LEFT_OUT}: {why}")
                else:
                    result = change.result if dry_run else _asked(client, name, policy, change)
                    yield Step("index", name, result, change.said)


def _newest(client: Client, policy: str, body: Mapping[str, Any], *, dry_run: bool) -> Mapping[str, Any]:
    """What the policy says on the server, or would say after an installation of `body`."""
    stored = KIND.read(client, policy)
    if stored is None:
        return body
    there, ours = KIND.version(stored.body), KIND.version(body)
    newer = there is not None and ours is not None and there > ours
    return body if dry_run and not newer else stored.body


def _explained(client: Client, names: Iterable[str]) -> Mapping[str, Any]:
    told: Mapping[str, Any] = client.ask(
        "read the policies in use", "GET", f"{_API}/explain/{','.join(names)}", params={"show_policy": "true"}
    )
    return told


def _rolled_over_before(client: Client, streams: Iterable[DataStream], moment: float) -> frozenset[str]:
    """Of these indices those that were rolled over before `moment`, that is whose successor was made before it.

    One whose age the server does not tell counts as old: nothing is deleted because of an answer that is not whole.
    """
    if not any(len(stream.indices) > 1 for stream in streams):
        return frozenset()
    path = f"/logs-{mappings.component_templates().owner}.*/_settings/index.creation_date"
    told = client.ask("read the ages of the indices", "GET", path, absent=True) or {}

    def made(name: str) -> float:
        entry = told.get(name)
        return int(entry["settings"]["index"]["creation_date"]) / 1000 if entry else 0.0

    return frozenset(name for stream in streams for name, after in pairwise(stream.indices) if made(after) < moment)


class _Change(NamedTuple):
    call: str
    result: str
    said: tuple[str, ...]


def _change(policy: str, ours: Collection[str], state: Mapping[str, Any], newest: Mapping[str, Any]) -> _Change | None:
    """What makes this policy, as it is now, look after an index; None: nothing, or another one than `ours` does.

    What an index goes by is compared as a whole: its `policy_seq_no` is -2 for all that a policy found by itself. One
    whose policy has not begun yet shows none: it begins with the newest.
    """
    there = state.get(_POLICY_ID)
    if there is None:
        return _Change("add", ATTACHED, (f"policy: none -> {policy}",))
    if there not in ours:
        return None
    if there != policy:
        return _Change("change_policy", ASKED, (f"policy: {there} -> {policy}",))
    followed = state.get("policy")
    if not isinstance(followed, Mapping):
        return None
    said = difference(KIND.normal({"policy": followed}), KIND.normal(newest))
    return _Change("change_policy", ASKED, said) if said else None


def _asked(client: Client, name: str, policy: str, change: _Change) -> str:
    """Ask for the change, and what came of it."""
    told = client.ask(f"attach {policy}", "POST", f"{_API}/{change.call}/{name}", body={"policy_id": policy})
    failed = told.get("failed_indices")
    if not failed:
        return change.result
    # A new index finds its policy by itself, now and then between our question and this.
    if change.call == "add" and (_explained(client, [name]).get(name) or {}).get(_POLICY_ID) == policy:
        return change.result
    return f"{LEFT_OUT}: {failed[0].get('reason')}"
