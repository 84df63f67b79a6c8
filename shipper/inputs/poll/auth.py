"""How the agent shows an API who it is.

Tokens that are exchanged live in memory; a refresh token that the server exchanges is kept in the input's ledger, since
the one before is worth nothing from then on.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlencode

import orjson

from shipper._poll_spec import ExchangeAuth, OAuth2Auth, PollAuthSection
from shipper.errors import UnavailableError
from shipper.inputs.poll.pages import UnusableError, at, decode, moment, text_at
from shipper.inputs.poll.paging import reason

if TYPE_CHECKING:
    from pydantic import SecretStr

    from shipper.inputs.poll.http import Answer

EARLY: Final = 120.0
"""Seconds before its end at which a token is exchanged, at the most a tenth of its life."""
_ANSWER: Final = 60.0
"""Seconds that a stop waits for the answer to a refresh token."""
_LIFETIME: Final = 3600.0
"""Seconds that a token is taken to live where the server does not say."""


class DeniedError(UnavailableError):
    """The API does not accept who we are, or we cannot say it: a person is needed."""


class BusyError(UnavailableError):
    """The server that gives tokens cannot now. `headers`: of its answer."""

    def __init__(self, place: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__("get a token", place, f"status {status}")
        self.headers = headers


class Sender(Protocol):
    """What sends a request, as `Client` does."""

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """The answer, whatever its status."""

    def cut(self) -> None:
        """End the request under way. For any thread."""

    def close(self) -> None:
        """Release everything; may be called twice."""


class Store(Protocol):
    """Where a refresh token is kept, durably before `put` returns."""

    def get(self) -> bytes | None:
        """What was put."""

    def put(self, blob: bytes) -> None:
        """Keep it."""


class Auth:
    """Headers for requests. Used by one thread. `now` is s since the epoch, by our clock: only durations count.

    A refresh token is worth nothing once it was sent. So the request that sends one is never cut off, and what it
    brought is the one that counts from then on, though the disk may not take it yet.
    """

    def __init__(self, section: PollAuthSection, place: str, store: Store) -> None:
        """`place`: of the input, for errors."""
        self._section, self._place, self._store = section, place, store
        self._token: str | None = None
        self._until = 0.0
        self._fresh: dict[str, str] | None = None
        """The refresh token that is not kept yet."""
        self._changed = threading.Condition()
        self._spending = self._ended = False

    def headers(self, now: float, sender: Sender) -> dict[str, str]:
        """What a request says of us; asks for a token first where that is needed.

        Raises `DeniedError`, `BusyError`, what `sender` does, and `DiskError` as long as a new refresh token cannot be
        kept.
        """
        section = self._section
        if section.token is not None:
            one = section.token
            return {one.header: one.prefix + self._secret(one.token, one.token_file)}
        if section.bearer is not None:
            return {"Authorization": f"Bearer {self._secret(section.bearer.token, section.bearer.token_file)}"}
        if section.basic is not None:
            basic = section.basic
            return {"Authorization": _basic(basic.username, self._secret(basic.password, basic.password_file))}
        if section.oauth2 is None and section.exchange is None:
            return {}
        self.settle()
        if self._token is None or now >= self._until:
            token, lifetime = (
                self._refresh(section.oauth2, sender)
                if section.oauth2 is not None
                else self._exchange(section.exchange, sender, now)
            )
            self._token, self._until = token, now + lifetime - min(EARLY, lifetime / 10)
            self.settle()
            self._go_on()
        return {"Authorization": f"Bearer {self._token}"}

    def refused(self) -> bool:
        """The API answered 401. Whether there is a point in asking again at once: with another token."""
        renewable = self._token is not None
        self._token = None
        return renewable

    def settle(self) -> None:
        """Keep a refresh token that is not kept yet. Raises `DiskError`."""
        if self._fresh is not None:
            self._store.put(orjson.dumps(self._fresh))
            self._fresh = None

    def end(self, cut: Callable[[], None]) -> None:
        """No refresh token is spent from now on; `cut` ends the request under way. For any thread.

        The answer to one that spends a refresh token is waited for, `_ANSWER` seconds at the most.
        """
        with self._changed:
            self._ended = True
            self._changed.wait_for(lambda: not self._spending, _ANSWER)
            cut()

    # -- tokens -------------------------------------------------------------------------------------------------------

    def _refresh(self, section: OAuth2Auth, sender: Sender) -> tuple[str, float]:
        secret = self._secret(section.client_secret, section.client_secret_file)
        form: dict[str, str] = {"grant_type": section.grant}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if section.credentials == "header":
            # RFC 6749, 2.3.1: both are encoded as in a form first.
            headers["Authorization"] = _basic(quote(section.client_id, safe=""), quote(secret, safe=""))
        else:
            form.update(client_id=section.client_id, client_secret=secret)
        if section.scope is not None:
            form["scope"] = section.scope
        configured = ""
        if section.grant == "refresh_token":
            configured = self._secret(section.refresh_token, section.refresh_token_file)
            form["refresh_token"] = self._kept(configured) or configured
        value = self._spend(section.token_url or "", headers, form, sender)
        # Whatever else the answer lacks: the server goes by the new one.
        fresh = text_at(value, "refresh_token")
        if configured and fresh is not None and fresh != form["refresh_token"]:
            self._fresh = {"of": _mark(configured), "token": fresh}
        token = text_at(value, "access_token")
        if token is None:
            self.settle()
            raise DeniedError("get a token", self._place, "the answer has no access_token")
        seconds = at(value, "expires_in")
        known = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0
        return token, float(seconds) if known else _LIFETIME

    def _spend(self, url: str, headers: Mapping[str, str], form: Mapping[str, str], sender: Sender) -> Any:
        """Send a form that may have a refresh token in it."""
        with self._changed:
            self._go_on()
            self._spending = "refresh_token" in form
        try:
            return self._post(url, headers, urlencode(form).encode(), sender)
        finally:
            with self._changed:
                self._spending = False
                self._changed.notify_all()

    def _go_on(self) -> None:
        if self._ended:
            raise UnavailableError("get a token", self._place, "the input stops")

    def _kept(self, configured: str) -> str | None:
        """The refresh token that followed the configured one; None where that is a new one."""
        blob = self._store.get() if self._fresh is None else None
        kept = self._fresh or (orjson.loads(blob) if blob is not None else {})
        return str(kept["token"]) if kept.get("of") == _mark(configured) else None

    def _exchange(self, section: ExchangeAuth | None, sender: Sender, now: float) -> tuple[str, float]:
        assert section is not None, "one of the schemes is given"
        headers = {
            "Content-Type": "application/json",
            **section.headers,
            "Authorization": _basic(self._secret(section.key, section.key_file), ""),
        }
        value = self._post(section.url or "", headers, b"", sender)
        token = text_at(value, section.token)
        if token is None:
            raise DeniedError("get a token", self._place, f"the answer has no {section.token}")
        expires = moment(at(value, section.expires))
        return token, section.lifetime if expires is None else max(1.0, expires - now)

    def _post(self, url: str, headers: Mapping[str, str], body: bytes, sender: Sender) -> Any:
        answer = sender.send("POST", url, headers, body)
        if answer.status in {408, 425, 429} or answer.status >= 500:
            raise BusyError(self._place, answer.status, answer.headers)
        if not 200 <= answer.status < 300:
            code = reason(answer.body)
            text = f"no token ({answer.status}{', ' + code if code else ''})"
            raise DeniedError("get a token", self._place, text, "check auth: is it complete, and not withdrawn?")
        try:
            return decode(answer.body)
        except UnusableError as error:
            raise DeniedError("get a token", self._place, str(error)) from None

    def _secret(self, inline: SecretStr | None, file: Path | None) -> str:
        """The secret; a file is read each time, so that it can be exchanged while the agent runs."""
        if inline is not None:
            text = inline.get_secret_value()
        else:
            assert file is not None, "one of both is given"
            try:
                text = file.read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                cause = error.strerror if isinstance(error, OSError) and error.strerror else "not UTF-8 text"
                raise DeniedError("read a secret", str(file), cause, f"ls -l {file}") from None
        if not text or not text.isascii() or not text.isprintable():
            raise DeniedError("read a secret", str(file or self._place), "empty, or not one line of ASCII")
        return text


def _basic(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def _mark(configured: str) -> str:
    """By which the configured token is known again, without it."""
    return sha256(b"fieldtrail/refresh/1 " + configured.encode()).hexdigest()[:32]
