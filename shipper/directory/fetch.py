"""The lists of people that vendors' APIs give, page after page. Nothing is followed that leads to another host."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urljoin, urlsplit

import orjson

from shipper.directory.labels import at, labels_of, text_at
from shipper.directory.people import Label, Person, UnreadableError, of_bamboohr, of_google, of_okta

if TYPE_CHECKING:
    from shipper.directory.sections import LabelListSection, VendorDirectorySection

MOST_PAGES: Final = 2000
LONGEST: Final = 32 * 1024 * 1024
"""Bytes of one answer."""
MOST_BYTES: Final = 256 * 1024 * 1024
"""Of a list: of its file, or of all its answers together."""
_LINKS: Final = re.compile(r"<([^<>]*)>([^,<]*)").finditer
"""(address, parameters) of a `Link` header (RFC 8288, section 3); nothing in it is looked at twice."""
_IS_NEXT: Final = re.compile(r'\brel="?next\b').search


class Reply(Protocol):
    """An answer. Header names are in lower case."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""

    @property
    def body(self) -> bytes:
        """The body."""


Ask = Callable[[str, Mapping[str, str]], Reply]
"""(URL, headers) -> the answer to a GET. Raises `FieldtrailError` where there is none."""


def fetched(kind: str, url: str, token: str, ask: Ask) -> list[Person]:
    """All people of a vendor. Raises `UnreadableError` for what it answers, and what `ask` raises."""
    return FETCH[kind](url.rstrip("/"), token, _bounded(ask))


def _bounded(ask: Ask) -> Ask:
    """`ask`, which raises `UnreadableError` once its answers together are longer than a list may be."""
    held = 0

    def bounded(url: str, headers: Mapping[str, str]) -> Reply:
        nonlocal held
        reply = ask(url, headers)
        held += len(reply.body)
        if held > MOST_BYTES:
            raise UnreadableError(f"more than {MOST_BYTES} bytes")
        return reply

    return bounded


def _okta(url: str, token: str, ask: Ask) -> list[Person]:
    found: list[Person] = []
    following: str | None = f"{url}/api/v1/users?limit=200"
    for _ in range(MOST_PAGES):
        if following is None:
            return found
        reply = _good(ask(following, {"Authorization": f"SSWS {token}"}), "okta", "okta.users.read")
        found += of_okta(objects(reply.body))
        following = next((one[1] for one in _LINKS(reply.headers.get("link", "")) if _IS_NEXT(one[2])), None)
        if following is not None and urlsplit(following)[:2] != urlsplit(url)[:2]:
            raise UnreadableError("the next page is on another host")
    raise UnreadableError(f"more than {MOST_PAGES} pages")


def _google(url: str, token: str, ask: Ask) -> list[Person]:
    found: list[Person] = []
    first = f"{url}/admin/directory/v1/users?customer=my_customer&maxResults=500&projection=full"
    page = ""
    for _ in range(MOST_PAGES):
        reply = _good(
            ask(first + page, {"Authorization": f"Bearer {token}"}), "google_workspace", "admin.directory.user.readonly"
        )
        held = _json(reply.body)
        found += of_google(_people(held))
        following = held.get("nextPageToken") if isinstance(held, dict) else None
        if not isinstance(following, str) or not following:
            return found
        page = f"&pageToken={quote(following, safe='')}"
    raise UnreadableError(f"more than {MOST_PAGES} pages")


def _bamboohr(url: str, token: str, ask: Ask) -> list[Person]:
    basic = base64.b64encode(f"{token}:x".encode()).decode()
    reply = ask(f"{url}/api/v1/employees/directory", {"Authorization": f"Basic {basic}"})
    return of_bamboohr(objects(_good(reply, "bamboohr", "the company directory shared with the key's user").body))


def fetched_labels(section: LabelListSection, token: str, ask: Ask) -> list[Label]:
    """All labels of a list. Raises as `fetched`."""
    ask = _bounded(ask)
    found: list[Label] = []
    first = section.url or ""
    following = first
    for _ in range(MOST_PAGES):
        reply = _good(
            ask(following, {"Authorization": section.authorization.replace("{token}", token)}), section.id, ""
        )
        answer = _json(reply.body)
        found += labels_in(section, answer)
        following = text_at(answer, section.next) if section.next else ""
        if not following:
            return found
        following = urljoin(first, following)
        if urlsplit(following)[:2] != urlsplit(first)[:2]:
            raise UnreadableError("the next page is on another host")
    raise UnreadableError(f"more than {MOST_PAGES} pages")


def labels_in(section: LabelListSection, answer: Any) -> list[Label]:
    """The labels of one answer. Raises `UnreadableError` where there is no list where it should be."""
    if next(at(answer, section.items.split("*", maxsplit=1)[0].rstrip(".")), None) is None:
        raise UnreadableError(f"nothing at {section.items} in the answer")
    return labels_of(
        answer, items=section.items, id_path=section.id_at, label=section.label, module=section.module,
        field=section.field,
    )  # fmt: skip


def labels_in_file(section: LabelListSection, data: bytes) -> list[Label]:
    """The labels of a file with an answer. Raises `UnreadableError`."""
    return labels_in(section, _json(data))


FETCH: Final[Mapping[str, Callable[[str, str, Ask], list[Person]]]] = {
    "okta": _okta,
    "google_workspace": _google,
    "bamboohr": _bamboohr,
}
OF_VENDOR: Final[Mapping[str, Callable[[list[dict[str, Any]]], list[Person]]]] = {
    "okta": of_okta,
    "google_workspace": of_google,
    "bamboohr": of_bamboohr,
}


def objects(body: bytes) -> list[dict[str, Any]]:
    """The people of an answer: a list, or the list in the member `users` or `employees`. Raises `UnreadableError`."""
    return _people(_json(body))


def _people(held: Any) -> list[dict[str, Any]]:
    if isinstance(held, dict):
        held = held.get("users", held.get("employees", [] if "kind" in held else None))
    if not isinstance(held, list) or not all(isinstance(one, dict) for one in held):
        raise UnreadableError("not a list of people")
    return held


def asking(section: VendorDirectorySection) -> tuple[Ask, Callable[[], None]]:
    """How to ask the API of a section, and what to call in the end."""
    from shipper.inputs.poll.http import Client  # noqa: PLC0415 - urllib3 is loaded where it is used
    from shipper.inputs.poll.pages import UnusableError  # noqa: PLC0415 - as above

    client = Client(section.timeout, LONGEST, section.tls)

    def ask(url: str, headers: Mapping[str, str]) -> Reply:
        try:
            return client.send("GET", url, headers)
        except UnusableError as error:
            raise UnreadableError(str(error)) from None

    return ask, client.close


def _good(reply: Reply, vendor: str, needs: str) -> Reply:
    if reply.status == 200:
        return reply
    hint = f": needs {needs or 'another token'}" if reply.status in {401, 403} else ""
    raise UnreadableError(f"{vendor}: {reply.status} on {'the list of people' if needs else 'the list'}{hint}")


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        raise UnreadableError("not JSON") from None
