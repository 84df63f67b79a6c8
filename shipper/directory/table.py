"""Lists of several sources joined into one table, its version, and how it lies in the cache. Pure.

Whom two lists name by the same e-mail address is one person; the list that comes first in the configuration says what
is known of him, later ones what it leaves open. An account that two people of one list claim belongs to neither.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from shipper.directory.people import Label, Person
from shipper.enrich import Facts, Tables

_FIELDS: Final = (
    ("person", "trail.actor.person"),
    ("name", "user.full_name"),
    ("department", "trail.actor.department"),
    ("status", "trail.actor.status"),
    ("kind", "trail.actor.kind"),
    ("timezone", "trail.actor.timezone"),
)
_ATTRIBUTES: Final = ("name", "department", "status", "kind", "timezone")
VERSION: Final = 1


class Joined(NamedTuple):
    """`people`: each once. `disputed`: accounts that more than one person claims."""

    people: tuple[Person, ...]
    labels: tuple[Label, ...]
    disputed: tuple[str, ...]


def join(people: Sequence[Sequence[Person]], labels: Sequence[Sequence[Label]]) -> Joined:
    """The lists of all sources, in the order of the configuration."""
    found: list[Person] = []
    owner: dict[str, int] = {}
    disputed: set[str] = set()
    for source in people:
        before = dict(owner)
        once = list(dict.fromkeys(source))  # the pages of a list that changes meanwhile may overlap
        claims = Counter(account for person in once for account in set(person.accounts))
        disputed.update(account for account, persons in claims.items() if persons > 1)
        for person in once:
            known = {before[a] for a in person.accounts if "@" in a and a in before and a not in disputed}
            if len(known) == 1:
                at = known.pop()
                found[at] = _merged(found[at], person)
            else:
                at = len(found)
                found.append(person)
            for account in person.accounts:
                if owner.setdefault(account, at) != at:
                    disputed.add(account)
    first: dict[tuple[str, str, str], Label] = {}
    for one in (label for source in labels for label in source):
        first.setdefault((one.module, one.field, one.id), one)
    kept = [
        person._replace(accounts=tuple(sorted(account for account in person.accounts if account not in disputed)))
        for person in found
    ]
    kept.sort()
    return Joined(tuple(one for one in kept if one.accounts), tuple(sorted(first.values())), tuple(sorted(disputed)))


def encode(joined: Joined, key: bytes) -> bytes:
    """The table for the cache. Its version is an HMAC over the rest: without the key nobody finds out what it says."""
    content = {
        "labels": [list(label) for label in joined.labels],
        "people": [list(person) for person in joined.people],
        "v": VERSION,
    }
    digest = hmac.digest(key, b"fieldtrail directory v1\n" + orjson.dumps(content), hashlib.sha256)
    return orjson.dumps({"version": digest.hex()[:16], **content})


def decode(data: bytes) -> Tables:
    """A table of the cache. Raises `ValueError` for anything else."""
    held: Any = orjson.loads(data)
    try:
        if held["v"] != VERSION:
            raise ValueError("another version of the directory's cache")
        people: dict[str, Facts] = {}
        for row in held["people"]:
            person = Person(*row)
            facts = facts_of(person)
            for account in person.accounts:
                people[account] = facts
        labels: dict[str, dict[tuple[str, str], str]] = {}
        for row in held["labels"]:
            label = Label(*row)
            labels.setdefault(label.module, {})[label.field, label.id] = label.label
        return Tables(str(held["version"]), people, labels)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the directory's cache: {error}") from None


def facts_of(person: Person) -> Facts:
    """What an event is told of a person."""
    held: Mapping[str, str] = person._asdict()
    return tuple((field, held[name]) for name, field in _FIELDS if held[name])


def _merged(one: Person, other: Person) -> Person:
    more = {name: getattr(one, name) or getattr(other, name) for name in _ATTRIBUTES}
    return one._replace(accounts=tuple(dict.fromkeys((*one.accounts, *other.accounts))), **more)
