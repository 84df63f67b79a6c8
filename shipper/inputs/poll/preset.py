"""What an input of type `poll` reads, put together of its section and of the preset that this names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

import mappings
from parsers._json import snake
from shipper._poll_spec import (
    PLACES,
    HooksSection,
    LimitHeaders,
    LimitSection,
    PollAuthSection,
    PollFields,
    ResourceSection,
    SourceSection,
    url_problem,
)
from shipper._settings import Model, stays_here

Problems = list[tuple[str, str]]
"""(path in the section, text)."""
EVERY = 300.0


@dataclass(frozen=True, slots=True)
class Source:
    """An API and what is read of it, everything filled in that is the same for all requests.

    `off`: resources that are not read -> why not. `settings`: name -> value.
    """

    title: str
    module: str
    api: str
    auth: PollAuthSection
    headers: Mapping[str, str]
    settings: Mapping[str, str]
    limits: LimitSection | None
    limit_headers: LimitHeaders | None
    failure: str | None
    resources: Mapping[str, ResourceSection]
    off: Mapping[str, str]
    hooks: HooksSection | None = None
    every: float = EVERY
    parents: frozenset[str] = field(default_factory=frozenset)
    """Resources that others are read for each item of."""

    def period(self, name: str) -> float:
        """Seconds between two runs of a resource."""
        return self.resources[name].every or self.every


@cache
def preset(name: str) -> SourceSection:
    """A preset by its name; `KeyError` for one that is not there."""
    return SourceSection.model_validate(mappings.source(name))


def compile_source(section: PollFields) -> tuple[Source | None, Problems]:
    """The source that a section speaks of, or everything that is wrong with it."""
    problems: Problems = []
    base: SourceSection | None = None
    if section.preset is not None:
        if section.preset not in mappings.sources():
            return None, [("preset", f"unknown; there are {', '.join(mappings.sources())}")]
        base = preset(section.preset)
    settings = _settings(section, base, problems)
    api = section.api or fill(base.api if base else "", settings) or ""
    if not problems and url_problem(api):
        problems.append(("api", url_problem(api)))
    resources: dict[str, ResourceSection] = dict(base.resources) if base else {}
    for name in section.choose.keys() - resources.keys():
        problems.append((f"choose.{name}", f"unknown; there are {', '.join(resources)}"))
    resources = {name: _chosen(section, name, one) for name, one in resources.items()}
    resources.update(section.resources)
    resources = _spread(resources, settings, problems)
    off = _off(resources, settings, problems)
    auth = _auth(section, base, settings, problems)
    problems += secrets_missing(auth)
    urls = {
        "api": api,
        "auth.oauth2.token_url": auth.oauth2.token_url if auth.oauth2 else None,
        "auth.exchange.url": auth.exchange.url if auth.exchange else None,
    }
    problems += [(where, _OPEN) for where, url in urls.items() if url and auth.scheme and _is_open(url)]
    if problems:
        return None, problems
    on = {name: one for name, one in resources.items() if name not in off}
    return (
        Source(
            title=base.title if base else api,
            module=base.module if base else section.module or "custom",
            api=api.rstrip("/"),
            auth=auth,
            headers={**(base.headers if base else {}), **section.headers},
            settings=settings,
            limits=section.limits or (base.limits if base else None),
            limit_headers=base.limit_headers if base else None,
            failure=base.failure if base else None,
            resources=on,
            off=off,
            hooks=base.hooks if base else None,
            every=section.every or (base.every if base else EVERY),
            parents=frozenset(one.for_each for one in on.values() if one.for_each is not None),
        ),
        [],
    )


_OPEN = "http:// shows the secret to anybody in between; write https://"


def _is_open(url: str) -> bool:
    """Whether requests to it can be read on their way."""
    return urlsplit(url).scheme == "http" and not stays_here(url)


def _settings(section: PollFields, base: SourceSection | None, problems: Problems) -> dict[str, str]:
    known = base.settings if base else {}
    settings = {name: one.default for name, one in known.items() if one.default is not None}
    settings.update(section.settings)
    for name, value in section.settings.items():
        if base is not None and name not in known:
            problems.append((f"settings.{name}", f"unknown; there are {', '.join(known) or 'none'}"))
        elif name in known and not re.fullmatch(known[name].pattern, value):
            problems.append((f"settings.{name}", f"must look like {known[name].example}"))
    for name, one in known.items():
        if one.required and name not in settings:
            problems.append((f"settings.{name}", f"is required: {one.about}"))
    return settings


def _chosen(section: PollFields, name: str, one: ResourceSection) -> ResourceSection:
    """A preset's resource with what the input says otherwise."""
    choice = section.choose.get(name)
    if choice is None:
        return one
    update: dict[str, Any] = {
        key: value
        for key in ("enabled", "every", "limit")
        if (value := getattr(choice, key)) is not None
    }  # fmt: skip
    since = {key: value for key in ("overlap", "first") if (value := getattr(choice, key)) is not None}
    if since and one.since is not None:
        update["since"] = one.since.model_copy(update=since)
    if one.history is not None and choice.ignore:
        update["ignore"] = (*one.ignore, *choice.ignore)
    if one.object is not None and (choice.reconcile is not None or choice.ignore):
        own: dict[str, Any] = {"ignore": (*one.object.ignore, *choice.ignore)}
        if choice.reconcile is not None:
            own["reconcile"] = choice.reconcile
        update["object"] = one.object.model_copy(update=own)
    return one.model_copy(update=update)


def _spread(
    resources: Mapping[str, ResourceSection], settings: Mapping[str, str], problems: Problems
) -> dict[str, ResourceSection]:
    """Resources with those that are there once for each word of a setting."""
    found: dict[str, ResourceSection] = {}
    for name, one in resources.items():
        if one.each is None:
            found[name] = one
            continue
        for word in settings.get(one.each, "").split(","):
            if not word:
                continue
            own = _put(one.model_dump(exclude_defaults=True, exclude={"each"}), word)
            if one.object is not None:
                own["object"]["type"] = snake(own["object"]["type"])
            try:
                found[f"{name}_{snake(word)}"[:64]] = ResourceSection.model_validate(own)
            except ValidationError:
                problems.append((f"settings.{one.each}", f"{word!r} cannot be used as a name"))
    return found


def _put(value: Any, word: str) -> Any:
    """The same with `{each}` filled in everywhere."""
    if isinstance(value, str):
        return value.replace("{each}", word)
    if isinstance(value, dict):
        return {_put(name, word): _put(one, word) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_put(one, word) for one in value]
    return value


_LATER = {"since", "now", "limit", "id"}
"""Filled in with each request."""


def _off(resources: Mapping[str, ResourceSection], settings: Mapping[str, str], problems: Problems) -> dict[str, str]:
    """Resources that are not read, and why not."""
    off = {}
    for name, one in resources.items():
        texts = [one.path, (one.object.read or "") if one.object else "", *one.query.values()]
        names = {place for text in texts for place in PLACES.findall(text)}
        missing = sorted(
            place for place in names - _LATER - settings.keys() if not place.startswith("parent.")
        )  # fmt: skip
        if not one.enabled:
            off[name] = "not enabled"
        elif missing:
            off[name] = f"needs settings.{missing[0]}"
        if one.after is not None and (one.after not in resources or resources[one.after].after is not None):
            problems.append((f"resources.{name}.after", "a resource that comes after no other one"))
        if one.for_each is not None and one.for_each not in resources:
            problems.append((f"resources.{name}.for_each", f"there is no resource {one.for_each!r}"))
        elif one.for_each is not None and resources[one.for_each].for_each is not None:
            problems.append((f"resources.{name}.for_each", "must not be read for each of another itself"))
        elif one.for_each is not None and resources[one.for_each].since is not None and one.object is not None:
            problems.append((f"resources.{name}.for_each", "objects are compared by listings of all of them"))
        elif one.history is not None and resources[one.for_each or ""].since is None:
            problems.append(
                (f"resources.{name}.for_each", "a history is read of what changed, by a resource with since")
            )
        elif one.for_each is None and any(place.startswith("parent.") for place in names):
            problems.append((f"resources.{name}", "{parent.…} is there with for_each only"))
    for name, one in resources.items():
        if name not in off and one.for_each in off:
            off[name] = f"{one.for_each} is not read"
    return off


def _auth(
    section: PollFields, base: SourceSection | None, settings: Mapping[str, str], problems: Problems
) -> PollAuthSection:
    """The input's way to show who it is, with what the preset knows of it."""
    scheme = section.auth.scheme
    if base is None:
        return section.auth
    if not scheme:
        if base.auth:
            problems.append(("auth", f"give {' or '.join(base.auth)}"))
        return section.auth
    if scheme not in base.auth:
        problems.append(("auth", f"{base.title} takes {' or '.join(base.auth)}"))
        return section.auth
    model: Model = getattr(section.auth, scheme)
    given = {name: getattr(model, name) for name in model.model_fields_set}
    known = {name: _filled(value, settings) for name, value in base.auth[scheme].items()}
    if isinstance(known.get("headers"), dict) and "headers" in given:
        given["headers"] = {**known["headers"], **given["headers"]}
    try:
        return PollAuthSection.model_validate({scheme: {**known, **given}})
    except ValidationError as error:
        problems += [
            (".".join(("auth", *map(str, one["loc"]))), str(one["msg"]).removeprefix("Value error, "))
            for one in error.errors(include_input=False, include_url=False)
        ]
        return section.auth


def secrets_missing(auth: PollAuthSection) -> Problems:
    """What must be given, or be given once only."""
    pairs: list[tuple[str, object, object, str]] = []
    found: Problems = []
    if auth.token is not None:
        pairs.append(("auth.token", auth.token.token, auth.token.token_file, "token or token_file"))
    if auth.exchange is not None:
        pairs.append(("auth.exchange", auth.exchange.key, auth.exchange.key_file, "key or key_file"))
        if auth.exchange.url is None:
            found.append(("auth.exchange.url", "is required"))
    if auth.oauth2 is not None:
        own = auth.oauth2
        if own.token_url is None:
            found.append(("auth.oauth2.token_url", "is required"))
        pairs.append(("auth.oauth2", own.client_secret, own.client_secret_file, "client_secret or client_secret_file"))
        if own.grant == "refresh_token":
            files = "refresh_token or refresh_token_file"
            pairs.append(("auth.oauth2", own.refresh_token, own.refresh_token_file, files))
    found += [(path, f"give {names}") for path, inline, file, names in pairs if (inline is None) == (file is None)]
    return found


def files_missing(section: PollFields) -> Problems:
    """Files with secrets and certificates that cannot be read."""
    found: Problems = []
    models = {"tls": section.tls, f"auth.{section.auth.scheme}": getattr(section.auth, section.auth.scheme or "token")}
    for where, model in models.items():
        for name, value in model or ():
            if isinstance(value, Path) and not os.access(value, os.R_OK):
                found.append((f"{where}.{name}", f"cannot read {value}"))
    return found


def _filled(value: Any, settings: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return fill(value, settings) or value
    if isinstance(value, dict):
        return {name: _filled(one, settings) for name, one in value.items()}
    return value


# -- texts with places -------------------------------------------------------------------------------------------------


def fill(text: str, values: Mapping[str, str], *, escape: Callable[[str], str] = str) -> str | None:
    """`text` with its places filled in, None where one of them is not among `values`."""
    names = PLACES.findall(text)
    if any(name not in values for name in names):
        return None
    return PLACES.sub(lambda match: escape(values[match[1]]), text)


def fill_path(text: str, values: Mapping[str, str]) -> str | None:
    """The same in a path: what is filled in is one part of it, whatever is in it."""
    return fill(text, values, escape=lambda value: quote(value, safe=""))


def fill_body(value: Any, values: Mapping[str, str]) -> Any:
    """The same in a JSON body; members that cannot be filled are left out, `{limit}` alone becomes a number.

    An element of a list of which any text cannot be filled is left out whole: a filter without its bound is none.
    """
    if isinstance(value, dict):
        found = {name: fill_body(one, values) for name, one in value.items()}
        return {name: one for name, one in found.items() if one is not None}
    if isinstance(value, list):
        return [fill_body(item, values) for item in value if _can_be_filled(item, values)]
    if not isinstance(value, str):
        return value
    text = fill(value, values)
    whole = PLACES.fullmatch(value)
    return int(text) if whole and whole[1] == "limit" and text else text


def _can_be_filled(value: Any, values: Mapping[str, str]) -> bool:
    if isinstance(value, dict | list):
        return all(_can_be_filled(one, values) for one in (value.values() if isinstance(value, dict) else value))
    return not isinstance(value, str) or fill(value, values) is not None


def fill_all(texts: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Texts by their names (of headers, of parameters), filled in; those that cannot be are left out."""
    return {name: value for name, text in texts.items() if (value := fill(text, values)) is not None}


def told(moment: float, layout: str) -> str:
    """A time (s since the epoch) in the layout of a `since`."""
    if layout == "epoch_s":
        return str(int(moment))
    if layout == "epoch_ms":
        return str(int(moment * 1000))
    when = datetime.fromtimestamp(moment, UTC)
    if layout == "iso8601":
        return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"
    if layout == "iso8601_seconds":
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")
    return when.strftime("%Y-%m-%d" if layout == "date" else layout)
