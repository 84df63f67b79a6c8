"""What `--source NAME` means: an API with a preset, a webhook, the syslog listener, log files; and what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

import mappings
import parsers
from shipper._poll_spec import SourceSection
from shipper._setup_spec import QuestionSection, SetupSection, SetupsSection
from shipper.errors import UsageError
from shipper.inputs.poll.preset import preset

AUTO: Final = "auto"
OWN: Final = "json"
OWN_FORMAT: Final = "my_audit"
"""A JSON log of the user's own, and the format of the section `formats` that maps it."""
_CHANNELS: Final = ("file", "poll", "webhook", "syslog")
_ID: Final = QuestionSection(
    ask="Id of the input", where="one that no other input has", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", example="x"
)
_API: Final = QuestionSection(
    ask="Address of the API", where="another than the usual one: a sandbox, a proxy of yours", type="url", into="api"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One source that is to be set up.

    `name`: as it was typed; `id`: of its input; `input`: what of the input's section is known already. `asked`: by the
    word that `--set` uses; `extra`: what can be set and is never asked. `feeds`: the preset of the poll that a webhook
    feeds where there is one, `fed`: it must be there. `after`: what is left to do in the product; `comments`: lines of
    the file.
    """

    name: str
    id: str
    title: str
    needs: str
    input: Mapping[str, Any]
    asked: Mapping[str, QuestionSection]
    extra: Mapping[str, QuestionSection] = field(default_factory=lambda: {"id": _ID})
    feeds: str | None = None
    fed: bool = False
    after: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()

    @property
    def questions(self) -> Mapping[str, QuestionSection]:
        """All that can be answered, by the word that `--set` uses."""
        return {**self.extra, **self.asked}


@cache
def setups() -> SetupsSection:
    """The channels that no preset describes."""
    return SetupsSection.model_validate(dict(mappings.setups()))


def names() -> list[str]:
    """Everything that `--source` takes, without the formats that other names can be combined with."""
    hooks = [f"webhook:{name}" for name in setups().webhooks if name != "own"]
    return [*mappings.sources(), "webhook", *hooks, "syslog", *parsers.names(), OWN, AUTO]


def wanted(sources: Sequence[str]) -> list[Wanted]:
    """What each of the names means; `UsageError` for one that means nothing, or that is there twice."""
    found: list[Wanted] = []
    for name in sources:
        one = _one(name)
        if any(name == other.name for other in found):
            raise UsageError("init", f"--source {name}", "is there twice", "leave one out")
        if any(one.id == other.id for other in found):
            one = replace(one, id=f"{one.id}-{one.input['type']}")
        found.append(one)
    return found


def _one(name: str) -> Wanted:
    channel, colon, rest = name.partition(":")
    if colon and channel in _CHANNELS and rest:
        made = {"file": _file, "poll": _poll, "webhook": _webhook, "syslog": _syslog}[channel](name, rest)
    elif name in mappings.sources():
        made = _poll(name, name)
    elif name == "webhook":
        made = _webhook(name, "own")
    elif name == "syslog":
        made = _syslog(name, AUTO)
    else:
        made = _file(name, name)
    if made is None:
        near = get_close_matches(name, {*names(), *(f"file:{one}" for one in parsers.names())}, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "fieldtrail init --help; fieldtrail formats"
        raise UsageError("init", f"--source {name}", "there is no such source or format", hint)
    return made


def _poll(name: str, source: str) -> Wanted | None:
    if source not in mappings.sources():
        return None
    base = preset(source)
    return Wanted(
        name,
        source,
        base.title,
        base.setup.needs,
        {"type": "poll", "preset": source, **base.setup.input},
        {key: _of_preset(base, key, one) for key, one in base.setup.ask.items()},
        {"id": _ID, "api": _API},
        comments=tuple(f"{key}: {one.about}" for key, one in base.resources.items()),
    )


def _of_preset(base: SourceSection, key: str, one: QuestionSection) -> QuestionSection:
    """A question with what the preset says of its setting."""
    setting = base.settings.get(key)
    if one.into or setting is None:
        return one
    known: dict[str, Any] = {"into": f"settings.{key}", "example": one.example or setting.example}
    known |= {"pattern": one.pattern or setting.pattern, "optional": not setting.required, "default": setting.default}
    return one.model_copy(update=known)


def _webhook(name: str, source: str) -> Wanted | None:
    shared = setups().webhook
    own = setups().webhooks.get(source)
    if own is None:
        if source not in parsers.names():
            return None
        own = setups().webhooks["own"]
        own = own.model_copy(update={"input": {**own.input, "format": source}})
    word = "app" if source == "own" else source.replace("_", "-")
    # What a source asks for itself comes instead of what all are asked, in its place.
    asked = {**shared.ask, **own.ask}
    return Wanted(
        name,
        "webhook" if source == "own" else f"{word}-hooks",
        f"webhook of {own.title}",
        own.needs,
        {**shared.input, **own.input},
        _named(asked, word),
        feeds=own.feeds,
        fed=own.fed,
        after=own.after,
    )


def _syslog(name: str, inner: str) -> Wanted | None:
    if inner not in {AUTO, *parsers.names()}:
        return None
    return _channel(name, "syslog", inner, setups().syslog)


def _file(name: str, source: str) -> Wanted | None:
    if source not in {AUTO, OWN, *parsers.names()}:
        return None
    return _channel(name, source.replace("_", "-"), OWN_FORMAT if source == OWN else source, setups().file)


def _channel(name: str, word: str, form: str, own: SetupSection) -> Wanted:
    title = own.title if own.title == word else f"{own.title} of {word}"
    section = {**own.input, "format": form}
    return Wanted(name, word, title, own.needs, section, _named(own.ask, word), after=own.after)


def _named(asked: Mapping[str, QuestionSection], word: str) -> dict[str, QuestionSection]:
    """Questions whose usual answers name the source."""
    return {
        key: one if one.default is None else one.model_copy(update={"default": one.default.replace("{name}", word)})
        for key, one in asked.items()
    }
