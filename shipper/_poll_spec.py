"""How an API is read: the models of `mappings/sources/*.yaml` and of the same words in an input of type `poll`.

Texts with `{name}` in them are filled in: `{setting}` of the input's `settings`, `{since}` (where the reading goes on,
in the layout of `since`), `{now}` (the server's time, in the same layout), `{limit}`, `{parent.id}` (a member of what
`for_each` lists) and `{id}` (of the object that is read again). A query or header whose text names what is not there is
left out; a path may not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from shipper._auth import BasicAuth, BearerAuth
from shipper._settings import Bytes, Model, Seconds
from shipper._setup_spec import SetupSection
from shipper.output_sections import TlsSection

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Period = Annotated[Seconds, Field(ge=0.05, le=400 * 86400)]
"""Seconds between two runs, or of a window."""
PLACES: Final = re.compile(r"\{([A-Za-z0-9_.]+)\}")
"""What is filled in."""


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Setting = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)]
"""A number is taken as its digits."""
Paths = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""One path of member names (`target.id`), or several."""


def url_problem(url: str) -> str:
    """What is wrong with an address of an API, nothing where it can be used."""
    if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", url):
        return "not a URL without user name and query; write for example https://api.example/v2"
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    return "its port is not one" if port == 0 else ""


class TokenAuth(Model):
    """A token in a header of the API's own."""

    token: SecretStr | None = None
    token_file: Path | None = None
    header: HeaderName = "Authorization"
    prefix: str = "Bearer "


class OAuth2Auth(Model):
    """OAuth 2 (RFC 6749): an access token for a refresh token (section 6) or for client credentials (4.4).

    A refresh token that the server exchanges is kept in the state folder, and counts from then on; the configured one
    counts again when it is changed.
    """

    token_url: str | None = None
    grant: Literal["refresh_token", "client_credentials"] = "refresh_token"
    client_id: str
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    refresh_token: SecretStr | None = None
    refresh_token_file: Path | None = None
    scope: str | None = None
    credentials: Literal["body", "header"] = "body"


class ExchangeAuth(Model):
    """A key that is exchanged for a short-lived token: one POST with the key as user name of HTTP basic."""

    url: str | None = None
    key: SecretStr | None = None
    key_file: Path | None = None
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    token: str = "access_token"  # noqa: S105 - where it stands in the answer
    expires: str = "expires"
    lifetime: Period = 3600.0


class PollAuthSection(Model):
    """How the agent shows an API who it is: one of these, or none."""

    token: TokenAuth | None = None
    bearer: BearerAuth | None = None
    basic: BasicAuth | None = None
    oauth2: OAuth2Auth | None = None
    exchange: ExchangeAuth | None = None

    @property
    def scheme(self) -> str:
        """The name of the one that is given, empty for none."""
        return next((name for name in PollAuthSection.model_fields if getattr(self, name) is not None), "")

    @model_validator(mode="after")
    def _at_most_one(self) -> PollAuthSection:
        given = [name for name in PollAuthSection.model_fields if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of {' and '.join(given)}")
        return self


class LimitSection(Model):
    """So many requests in so many seconds, at the most."""

    requests: Annotated[float, Field(gt=0)]
    per: Period = 60.0


class LimitHeaders(Model):
    """The headers in which an API says how many requests are left, and when there will be more.

    `reset`: s since the epoch, or s from now (what is smaller than a year). `reserve`: requests left to others.
    """

    remaining: HeaderName
    reset: HeaderName | None = None
    window: Period = 60.0
    reserve: Annotated[int, Field(ge=0)] = 0


class PagingSection(Model):
    """How the next page is asked for.

    `page`: `parameter` counts pages from `first`; `offset`: it counts items; `cursor`: it takes what the answer has at
    `next` (a text, or in a body also a list; `items.-1.mark` is a member of the last item); `link`: the address that
    the answer has at `next`, or in the header `Link` with `rel="next"` (RFC 8288); `headers`: each of `headers` takes
    what the answer has at its path. The listing ends without the next cursor or link; for `page` and `offset` with a
    page of no items, or of fewer than `limit`. `full`: it also ends with fewer than `limit` items, where an API gives a
    next cursor or link on its last page, too.
    """

    type: Literal["page", "offset", "cursor", "link", "headers"]
    parameter: str | None = None
    first: int | None = None
    next: str | None = None
    more: str | None = None
    into: Literal["query", "body"] = "query"
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    full: bool = False

    @model_validator(mode="after")
    def _of_its_type(self) -> PagingSection:
        if self.type in {"page", "offset", "cursor"} and self.parameter is None:
            raise ValueError(f"parameter: is required for paging {self.type}")
        if self.type == "cursor" and self.next is None:
            raise ValueError("next: is required for paging cursor")
        if self.type == "headers" and not self.headers:
            raise ValueError("headers: are required for paging headers")
        return self


class SinceSection(Model):
    """Where a listing begins that need not begin anew each time.

    `overlap`: how much of what was read is read again, for rows that come late; what was seen is not given out twice.
    `first`: how far back the very first listing goes.
    """

    layout: str = "iso8601"
    overlap: Period = 300.0
    first: Seconds = 86400.0

    @field_validator("layout")
    @classmethod
    def _known(cls, layout: str) -> str:
        if layout not in {"iso8601", "iso8601_seconds", "epoch_s", "epoch_ms", "date"} and "%" not in layout:
            raise ValueError("one of iso8601, iso8601_seconds, epoch_s, epoch_ms, date, or a strftime pattern")
        return layout


class EditorSection(Model):
    """Where an object names who edited it last."""

    id: str | None = None
    name: str | None = None


class ObjectSection(Model):
    """Objects that are compared with how they were when they were read before.

    `title`: the vendor's word for the type; `label` (what people call the object), `owner`, `created`, `creator`: paths
    in it. `ignore`:
    members that are no change (counters, sync times), as dotted paths. `sets`: lists whose order means
    nothing; `keyed`: lists of objects -> the member that tells them apart. `aliases`: names of fields in the vendor's
    own records of changes -> paths in the object. `read`: the path that gives one object by
    its `{id}`, for hooks and to make sure that one which a full listing lacks is gone; `inside`: where it stands in
    that answer. `reconcile`: seconds between two full listings. `hints`: what a hook carries is the `snapshot` itself,
    whole, or the object is `read`. `within`: the member that holds what is compared, where that is not the object
    itself. `partial`: the listing only names the objects, each is `read`; a full listing has the first day of 1970 as
    its `{since}`, and one that is gone is known by its reading. `rows`: what is read is a list, which becomes the
    member of this name of an object that has nothing else. `beside`: members of an element of a list with ids that are
    told with what changed in it.
    """

    type: str
    title: str | None = None
    label: str | None = None
    owner: str | None = None
    created: str | None = None
    creator: str | None = None
    editor: EditorSection = EditorSection()
    ignore: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    keyed: dict[str, str] = Field(default_factory=dict)
    aliases: dict[str, str] = Field(default_factory=dict)
    read: str | None = None
    inside: str = ""
    reconcile: Period = 86400.0
    hints: Literal["read", "snapshot"] = "read"
    within: str = ""
    partial: bool = False
    rows: str | None = None
    beside: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _can_be_read(self) -> ObjectSection:
        if self.partial and self.read is None:
            raise ValueError("read: is required with partial")
        if self.rows is not None and not self.partial:
            raise ValueError("partial: is required with rows")
        return self


class ResourceSection(Model):
    """One listing of an API.

    `format`: of its items, which become events; `object`: its items are compared with their former state; neither: a
    list for others' `for_each`. `items`, `id`, `time`: paths of member names; items at the empty path are the answer
    itself. An `id` of several paths is made of all of them; without one it is made of the whole item. `order`: by
    `time`, as the listing has it. `add`: members that an item gets before it is parsed; `wrap`: the item becomes the
    only one of a list of this name, beside what is added. `limit`: items a page; `least`: how few can be asked for.
    `key`: the member that items at `path.*` get their name as. `where`: items of which a member says otherwise are
    passed over. `each`: a setting with a list: the resource is there once for each of its words, with `{each}` filled
    in. `history`: the member that has, for each field of an item, its states, the newest first; each state is a record,
    beside the one before it, and `time` is its own; of a resource `for_each` of what changed; `ignore`: fields of which
    the history is not told. `after`: where both are due, it is read after this other resource.
    `horizon`: how long the vendor keeps the items. `needs` and
    `instead` are said where the API answers 403: what the account lacks, and what is read all the same.
    """

    get: str | None = None
    post: str | None = None
    query: dict[str, str] = Field(default_factory=dict)
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    body: dict[str, Any] | None = None
    items: str = ""
    id: Paths = ()
    time: str | None = None
    order: Literal["ascending", "descending", "none"] = "none"
    format: str | None = None
    object: ObjectSection | None = None
    paging: PagingSection | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    least: Annotated[int, Field(ge=1)] = 1
    since: SinceSection | None = None
    for_each: Name | None = None
    after: Name | None = None
    add: dict[str, str] = Field(default_factory=dict)
    wrap: str | None = None
    key: str | None = None
    where: dict[str, str] = Field(default_factory=dict)
    each: Name | None = None
    history: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")] | None = None
    ignore: tuple[str, ...] = ()
    every: Period | None = None
    limits: LimitSection | None = None
    horizon: Seconds | None = None
    needs: str = ""
    instead: str = ""
    about: str = ""
    enabled: bool = True

    @property
    def method(self) -> str:
        """`GET` or `POST`."""
        return "GET" if self.get is not None else "POST"

    @property
    def path(self) -> str:
        """Below the API's address."""
        return self.get or self.post or ""

    @model_validator(mode="after")
    def _is_one(self) -> ResourceSection:
        if (self.get is None) == (self.post is None):
            raise ValueError("give get or post, with a path")
        if not self.path.startswith("/"):
            raise ValueError(f"{'get' if self.get is not None else 'post'}: a path begins with /")
        if self.format is not None and self.object is not None:
            raise ValueError("give format or object: items are records, or they are compared")
        if self.object is not None and not self.id:
            raise ValueError("id: is required, objects are told apart by it")
        if self.since is not None and self.time is None:
            raise ValueError("time: is required with since")
        if self.history is not None and (self.time is None or self.for_each is None or not self.id):
            raise ValueError("time, id and for_each: are required with history")
        return self


class HooksSection(Model):
    """The hooks that an API sends: looked at now and then, since it may have given them up.

    `good`: what `status` says of one that works; `verify`: the path that is POSTed to for another, with its `{id}`.
    """

    get: str
    items: str = ""
    id: str = "id"
    url: str | None = None
    status: str
    good: tuple[str, ...]
    verify: str | None = None
    every: Period = 3600.0


class SettingSection(Model):
    """What a user says of his account. `pattern`: what it must look like."""

    about: str
    example: str = ""
    default: str | None = None
    required: bool = True
    pattern: str = r"[^\s/?#{}]{1,200}"


class SourceSection(Model):
    """One file of `mappings/sources/`: an API as it is for everybody.

    `auth`: scheme -> what of it is the same for everybody. `failure`: where an answer with status 200 says that it is
    none. `facts`: where this is from; `untried`: what nobody has tried against the real API. `setup`: what
    `fieldtrail init` asks.
    """

    title: str
    module: str
    api: str
    settings: dict[Name, SettingSection] = Field(default_factory=dict)
    auth: dict[Literal["token", "bearer", "basic", "oauth2", "exchange"], dict[str, Any]]
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    limits: LimitSection | None = None
    limit_headers: LimitHeaders | None = None
    failure: str | None = None
    every: Period = 300.0
    resources: dict[Name, ResourceSection]
    hooks: HooksSection | None = None
    facts: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    setup: SetupSection = SetupSection()


class ResourceChoice(Model):
    """What an input says otherwise of a resource of its preset."""

    enabled: bool | None = None
    every: Period | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] | None = None
    overlap: Period | None = None
    first: Seconds | None = None
    reconcile: Period | None = None
    ignore: tuple[str, ...] = ()


class PollFields(Model):
    """What an input of type `poll` has beside what every live input has."""

    preset: Name | None = None
    module: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] | None = None
    api: str | None = None
    settings: dict[Name, Setting] = Field(default_factory=dict)
    auth: PollAuthSection = PollAuthSection()
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    every: Period | None = None
    limits: LimitSection | None = None
    choose: dict[Name, ResourceChoice] = Field(default_factory=dict)
    resources: dict[Name, ResourceSection] = Field(default_factory=dict)
    tls: TlsSection = TlsSection()
    timeout: Annotated[Seconds, Field(ge=0.1, le=600)] = 30.0
    max_response: Annotated[Bytes, Field(ge=1024, le=256 * 1024**2)] = 16 * 1024**2

    @field_validator("api")
    @classmethod
    def _is_a_url(cls, api: str | None) -> str | None:
        problem = "" if api is None else url_problem(api)
        if problem:
            raise ValueError(problem)
        return api

    @model_validator(mode="after")
    def _reads_something(self) -> PollFields:
        if self.preset is None and not (self.api is not None and self.resources):
            raise ValueError("give a preset, or api and resources of your own")
        if self.preset is None and self.choose:
            raise ValueError("choose: is for resources of a preset")
        if self.preset is not None and self.module is not None:
            raise ValueError("module: the preset has one")
        if self.preset is None and self.module is None and any(one.object for one in self.resources.values()):
            raise ValueError("module: is required where objects are compared: by it and their ids they are known")
        return self
