"""A listing, page by page: the request for the next one, and whether there is one. Pure: no network, no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

import orjson

from shipper._poll_spec import PagingSection, ResourceSection
from shipper.inputs.poll.pages import Item, UnusableError, at, decode, item_of, items, text_at
from shipper.inputs.poll.preset import Source, fill_all, fill_body, fill_path

MOST_PAGES: Final = 100_000
"""Pages after which a listing is taken for one that goes round in a circle."""
MOST_EMPTY: Final = 50
"""Pages without items in a row, with a next one each, after which a listing is given up."""
_LINK: Final = re.compile(r'<([^<>]*)>\s*((?:;\s*[A-Za-z*]+\s*=\s*(?:"[^"]*"|[^\s",;]+)\s*)*)')
_REL: Final = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s",;]+))', re.IGNORECASE)


class Ask(NamedTuple):
    """A request. `place`: what may be said of it: method and path as configured, without what was filled in."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    place: str


class Page(NamedTuple):
    """Items of one answer, in its order."""

    items: list[Item]
    last: bool


class Listing:
    """One reading of a resource from its beginning to its end.

    `values`: what is filled in, but for the settings and `limit`. Raises `UnusableError` where a path needs more.
    """

    def __init__(self, source: Source, resource: ResourceSection, values: Mapping[str, str], *, limit: int = 0) -> None:
        self._source, self._resource = source, resource
        self._paging = resource.paging
        self._limit = min(limit or resource.limit, resource.limit)
        self._values = {**source.settings, "limit": str(self._limit), **values}
        path = fill_path(resource.path, self._values)
        if path is None:
            raise UnusableError(f"{resource.path} cannot be filled in")
        self.place = f"{resource.method} {resource.path}"
        self._url = source.api + path
        self._added = fill_all(resource.add, self._values)
        self._count = self._pages = self._empty = 0
        self._token: str | None = None
        self._mark: Any = None
        """The same as it came."""
        self._link: str | None = None
        self._headers: dict[str, str] = {}
        self._seen: set[str] = set()
        self._last: str | None = None
        self.done = False

    def ask(self) -> Ask:
        """The request for the next page."""
        resource = self._resource
        headers = fill_all({**self._source.headers, **resource.headers}, self._values) | self._headers
        if self._link is not None:
            return Ask(resource.method, self._link, headers, None, self.place)
        query = list(fill_all(resource.query, self._values).items())
        body = None if resource.body is None else fill_body(resource.body, self._values)
        told = self._position()
        if told is not None and self._paging is not None:
            if self._paging.into == "query":
                query.append(told)
            elif isinstance(body, dict):
                body[told[0]] = int(told[1]) if self._paging.type != "cursor" else self._mark
        url = self._url + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else orjson.dumps(body)
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        return Ask(resource.method, url, headers, data, self.place)

    def _position(self) -> tuple[str, str] | None:
        """The parameter that says which page."""
        paging = self._paging
        if paging is None or paging.parameter is None:
            return None
        if paging.type == "page":
            return paging.parameter, str((1 if paging.first is None else paging.first) + self._pages)
        if paging.type == "offset":
            return paging.parameter, str((paging.first or 0) + self._count)
        return None if self._token is None else (paging.parameter, self._token)

    def take(self, body: bytes, headers: Mapping[str, str]) -> Page:
        """What an answer holds. Raises `UnusableError` where it is not the page that was asked for."""
        resource = self._resource
        value = decode(body)
        if self._source.failure is not None and (said := at(value, self._source.failure)):
            raise UnusableError(f"the answer says that it failed: {word(said)}")
        listed = items(body, value, resource.items, resource.key)
        found = [
            item_of(data, one, resource.id, resource.time, self._added, resource.wrap)
            for data, one in listed
            if all(text_at(one, path) in {None, said} for path, said in resource.where.items())
        ]
        self._pages += 1
        self._count += len(listed)
        self._empty = 0 if listed else self._empty + 1
        # Where the API says that there is more, an empty page is one like any other: what it had was filtered out.
        says = self._paging is not None and self._paging.type in {"cursor", "link", "headers"}
        self.done = not (listed or says) or not self._goes_on(value, headers, len(listed))
        if not self.done and self._empty >= MOST_EMPTY:
            raise UnusableError(f"{MOST_EMPTY} empty pages in a row, each with a next one")
        if not self.done and self._pages >= MOST_PAGES:
            raise UnusableError(f"more than {MOST_PAGES} pages")
        return Page(found, self.done)

    def _goes_on(self, value: Any, headers: Mapping[str, str], count: int) -> bool:
        paging = self._paging
        if paging is None:
            return False
        if paging.more is not None and not at(value, paging.more):
            return False
        if (paging.full or paging.type in {"page", "offset"}) and paging.more is None and count < self._limit:
            return False
        if paging.type in {"page", "offset"}:
            return True
        if paging.type == "cursor":
            self._mark = at(value, paging.next or "")
            self._token = _cursor(self._mark) if paging.into == "body" else text_at(value, paging.next or "")
            if self._token is None and count >= self._limit and _of_last(self._resource, paging):
                raise UnusableError("a full page has no cursor, so the next one cannot be asked for")
            return self._new(self._token)
        if paging.type == "link":
            self._link = self._safe(next_link(value, headers, paging))
            return self._new(self._link)
        told = {name: text_at(value, path) for name, path in paging.headers.items()}
        self._headers = {name: one for name, one in told.items() if one is not None and one.isprintable()}
        return len(self._headers) == len(told) and self._new("\x1f".join(self._headers.values()))

    def _new(self, mark: str | None) -> bool:
        """Whether there is a next page, and one that was not there before."""
        if mark is None or (self._empty and mark == self._last):
            return False  # an empty page that gives the mark it was asked with is where the next items will come
        if mark in self._seen:
            raise UnusableError("the pages go round in a circle: the next one was there before")
        self._seen.add(mark)
        self._last = mark
        return True

    def _safe(self, link: str | None) -> str | None:
        """The address of the next page, if it is one of the API's own: no other host gets the token."""
        if link is None:
            return None
        link = urljoin(self._url, link)
        mine, other = urlsplit(self._source.api), urlsplit(link)
        if (other.scheme, other.netloc) != (mine.scheme, mine.netloc):
            raise UnusableError("the next page is at another address than the API")
        return link


def _cursor(value: Any) -> str | None:
    """A cursor as text, by which it is known again; a list of plain values goes back as it came."""
    if isinstance(value, list) and value and all(isinstance(one, str | int | float | None) for one in value):
        return orjson.dumps(value).decode()
    return text_at(value, "")


def _of_last(resource: ResourceSection, paging: PagingSection) -> bool:
    """Whether the cursor is a member of a page's last item, which a page that is not the last one must have."""
    return paging.next is not None and paging.next.startswith(f"{resource.items}.-1.")


def next_link(value: Any, headers: Mapping[str, str], paging: PagingSection) -> str | None:
    """The address of the next page, in the body at `paging.next`, or in the header `Link` (RFC 8288)."""
    if paging.next is not None:
        return text_at(value, paging.next)
    for target, parameters in _LINK.findall(headers.get("link", "")[:20_000]):
        relations = [one or other for one, other in _REL.findall(parameters)]
        if any("next" in relation.lower().split() for relation in relations):
            return str(target)
    return None


def word(value: Any) -> str:
    """A code that an API gives for an error, if it is one: never a sentence, which may quote what was sent."""
    if isinstance(value, dict):
        value = next((value[name] for name in ("code", "type", "error", "status") if name in value), None)
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", text) else "no reason that can be repeated"


def reason(body: bytes) -> str:
    """The code in the body of an answer that is no success, empty where there is none."""
    try:
        value = decode(body)
    except UnusableError:
        return ""
    if not isinstance(value, dict):
        return ""
    for name in ("errorCode", "error_code", "code", "error", "errors", "type"):
        if isinstance(value.get(name), str | int | dict):
            found = word(value[name])
            if " " not in found:
                return found
    return ""
