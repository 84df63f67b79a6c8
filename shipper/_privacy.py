"""What a field's name means, and what the policy does with that: the tables behind `shipper.protect`. Pure.

`mappings/privacy/fields.yaml` says how names are split and what a pattern means. A name costs some microseconds the
first time and a look-up afterwards.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import mappings
from shipper.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mappings import PrivacyRule

_WORDS = re.compile(r"[A-ZÀ-ÖØ-Þ]+(?![a-zß-öø-ÿ])|[A-ZÀ-ÖØ-Þ]?[a-zß-öø-ÿ]+|[0-9]+|[^\W\d_]+").findall
LONGEST_KEY: Final = 256
"""Longer names are cut before they are matched: no vendor's field has one, and a hostile record must not cost time."""
_SHORTEST_JOINED: Final = 5

ACTIONS: Final = ("keep", "mask", "drop")
LATER: Final = ("token", "commit", "vault")
"""Known to the event's layout, not to this release."""


class Meaning(NamedTuple):
    """What a name means: a category or None, and how sensitive its values are."""

    category: str | None
    sensitivity: str


@dataclass(frozen=True, slots=True)
class _Pattern:
    words: tuple[str, ...]
    first: bool
    last: bool
    order: int
    meaning: Meaning


def words(name: str) -> tuple[str, ...]:
    """The lower-case words of a name: `baseSalary` -> `("base", "salary")`."""
    return tuple(word.lower() for word in _WORDS(name[:LONGEST_KEY]))


class _Matcher:
    """The patterns of an ordered list of rules, by their first word."""

    __slots__ = ("_by_word",)

    def __init__(self, rules: Iterable[PrivacyRule]) -> None:
        self._by_word: dict[str, list[_Pattern]] = {}
        for order, rule in enumerate(rules):
            meaning = Meaning(rule.category, rule.sensitivity)
            for text in rule.patterns:
                parts = words(text)
                first, last = text.startswith("^"), text.endswith("$")
                self._add(_Pattern(parts, first, last, order, meaning))
                joined = "".join(parts)
                if len(parts) > 1 and len(joined) >= _SHORTEST_JOINED:
                    self._add(_Pattern((joined,), first, last, order, meaning))

    def _add(self, pattern: _Pattern) -> None:
        self._by_word.setdefault(pattern.words[0], []).append(pattern)

    def find(self, name: tuple[str, ...]) -> Meaning | None:
        """The meaning by the first rule that matches, or None."""
        best: _Pattern | None = None
        for start in range(len(name)):
            for word in _singulars(name[start]):
                for pattern in self._by_word.get(word, ()):
                    if (best is None or pattern.order < best.order) and _matches(pattern, name, start):
                        best = pattern
        return best.meaning if best is not None else None


def _singulars(word: str) -> tuple[str, ...]:
    """The word, and what it is a simple plural of."""
    return (word, word[:-1]) if len(word) > 3 and word[-1] == "s" and word[-2] != "s" else (word,)


def _matches(pattern: _Pattern, name: tuple[str, ...], start: int) -> bool:
    end = start + len(pattern.words)
    if end > len(name) or (pattern.first and start) or (pattern.last and end != len(name)):
        return False
    # Only the last word of a phrase takes the plural: `phone numbers`, `bank accounts`.
    return name[start : end - 1] == pattern.words[:-1] and pattern.words[-1] in _singulars(name[end - 1])


@cache
def _matchers() -> tuple[_Matcher, dict[str, _Matcher]]:
    facts = mappings.privacy_rules()
    return _Matcher(facts.rules), {name: _Matcher(rules) for name, rules in facts.modules.items()}


@lru_cache(maxsize=16_384)
def _meaning(module: str, name: str, context: str = "") -> Meaning:
    """The meaning of a field's name in a vendor's module (`event.module`).

    `context` is what the field belongs to, dotted: the kind of record, or the members that enclose it. It is asked only
    where the name alone means nothing, so that `number` of a `bank_account` is found and `status` of it stays a status.
    """
    return _found(module, name, context) or Meaning(None, mappings.privacy_rules().default_sensitivity)


def _found(module: str, name: str, context: str) -> Meaning | None:
    """What the first rule says that names the field; None where none does."""
    general, special = _matchers()
    own = special.get(module)
    parts = words(name)
    found = (own.find(parts) if own else None) or general.find(parts)
    if found is None and context:
        parts = (*words(context), *parts)
        found = (own.find(parts) if own else None) or general.find(parts)
    return found


# -- the policy -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """What is done with the values of the fields that fit all that is given; None fits every field.

    `field`: the field's name, with `*` and `?`, whatever the case; it is compared with the name alone and with the name
    after what it belongs to (`bank_account.number`). `module`: `event.module`.
    """

    action: str
    category: str | None = None
    sensitivity: str | None = None
    field: str | None = None
    module: str | None = None


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What a field means, by the user's word: it comes before the rules of `mappings/privacy/fields.yaml`.

    `field`: as in `PolicyRule`. `sensitivity` None: that of the category.
    """

    field: str
    category: str | None = None
    sensitivity: str | None = None
    module: str | None = None


BUILT_IN: Final = (
    PolicyRule("mask", category="bank"),
    PolicyRule("mask", category="tax"),
    PolicyRule("mask", category="gov_id"),
    PolicyRule("drop", category="credential"),
)
"""Tried after the configured rules, so that a configuration adds to them unless it says otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """The rules, in order; the first that fits decides, then the built-in ones, then `keep`. Compared by identity."""

    rules: tuple[PolicyRule, ...] = ()
    fields: tuple[FieldRule, ...] = ()

    @classmethod
    def build(
        cls,
        rules: Iterable[Mapping[str, Any]],
        place: str = "privacy.rules",
        fields: Iterable[Mapping[str, Any]] = (),
    ) -> Policy:
        """From configured rules (members as in `PolicyRule` and `FieldRule`).

        All problems at once as `ConfigError` with paths.
        """
        made: list[PolicyRule] = []
        problems: list[tuple[str, str]] = []
        meant: list[FieldRule] = []
        for index, rule in enumerate(fields):
            category = rule.get("category")
            if category is not None and category not in mappings.privacy_rules().categories:
                known_ones = ", ".join(sorted(mappings.privacy_rules().categories))
                problems.append((f"privacy.fields[{index}].category", f"must be one of {known_ones}"))
            else:
                meant.append(FieldRule(**rule))
        facts = mappings.privacy_rules()
        known = set(PolicyRule.__dataclass_fields__)
        levels = ("public", "internal", "confidential", "restricted")
        for index, rule in enumerate(rules):
            path = f"{place}[{index}]"
            given = {name: value for name, value in rule.items() if value is not None}
            problems.extend((f"{path}.{name}", "unknown key") for name in given if name not in known)
            problems.extend(
                (f"{path}.{name}", "must be text") for name, value in given.items() if not isinstance(value, str)
            )
            action = given.get("action")
            if action in LATER:
                problems.append((f"{path}.action", f"{action} is not in this release; use keep, mask or drop"))
            elif action not in ACTIONS:
                problems.append((f"{path}.action", "must be keep, mask or drop"))
            if given.get("category", "bank") not in facts.categories:
                problems.append((f"{path}.category", f"must be one of {', '.join(sorted(facts.categories))}"))
            if given.get("sensitivity", "public") not in levels:
                problems.append((f"{path}.sensitivity", f"must be one of {', '.join(levels)}"))
            if not {"category", "sensitivity", "field"} & set(given):
                problems.append((path, "needs at least one of field, category, sensitivity"))
            if not problems:
                made.append(PolicyRule(**given))
        if problems:
            raise ConfigError(
                "read configuration", place, f"{len(problems)} problem(s) in the privacy policy", "", tuple(problems)
            )
        return cls(tuple(made), tuple(meant))

    def own_meaning(self, module: str, field: str, context: str = "") -> Meaning | None:
        """What the user says that a field is about, and how sensitive that makes it; None where nothing is said."""
        for rule in self.fields:
            if (rule.module is None or rule.module == module) and _named(rule.field, field, context):
                facts = mappings.privacy_rules()
                known = facts.categories.get(rule.category or "")
                return Meaning(rule.category, rule.sensitivity or known or facts.default_sensitivity)
        return None

    def action(self, module: str, field: str, category: str | None, sensitivity: str, context: str = "") -> str:
        """`keep`, `mask` or `drop` for a field of this name and meaning."""
        for rule in (*self.rules, *BUILT_IN):
            if (
                (rule.category is None or rule.category == category)
                and (rule.sensitivity is None or rule.sensitivity == sensitivity)
                and (rule.module is None or rule.module == module)
                and (rule.field is None or _named(rule.field, field, context))
            ):
                return rule.action
        return "keep"

    def withholds(self) -> bool:
        """Whether any value at all may be withheld."""
        kept = {rule.category for rule in self.rules if _keeps_whole_category(rule)}
        return any(rule.action != "keep" for rule in self.rules) or any(rule.category not in kept for rule in BUILT_IN)


def _keeps_whole_category(rule: PolicyRule) -> bool:
    return rule.action == "keep" and rule.sensitivity is None and rule.field is None and rule.module is None


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern.lower()))


def _named(pattern: str, field: str, context: str) -> bool:
    match = _glob(pattern).match
    return bool(match(field.lower()) or (context and match(f"{context}.{field}".lower())))


class Decision(NamedTuple):
    """What a field is, and what is done with it."""

    category: str | None
    sensitivity: str
    action: str


def classify(module: str, field: str, object_type: str = "") -> tuple[str | None, str]:
    """`(category, sensitivity)` of a field by its name; category None where the name says nothing."""
    return _meaning(module, field[:LONGEST_KEY], object_type[-LONGEST_KEY:])


def named_by_a_rule(policy: Policy, module: str, field: str, object_type: str = "") -> bool:
    """Whether any rule, the user's or a built-in one, names the field, be it to say that it means nothing."""
    where = (module, field[:LONGEST_KEY], object_type[-LONGEST_KEY:])
    return policy.own_meaning(*where) is not None or _found(*where) is not None


@lru_cache(maxsize=16_384)
def _decide(policy: Policy, module: str, field: str, context: str) -> Decision:
    category, sensitivity = policy.own_meaning(module, field, context) or _meaning(module, field, context)
    return Decision(category, sensitivity, policy.action(module, field, category, sensitivity, context))


def decide(policy: Policy, module: str, field: str, object_type: str = "") -> Decision:
    """Category, sensitivity and action of a field. `object_type`: the kind of record, or the members around it."""
    if len(field) > LONGEST_KEY or len(object_type) > LONGEST_KEY:
        # Names that long are hostile, and must not fill the cache with their bytes.
        return _decide(policy, module, field[:LONGEST_KEY], object_type[-LONGEST_KEY:])
    return _decide(policy, module, field, object_type)
