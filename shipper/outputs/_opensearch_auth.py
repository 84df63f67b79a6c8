"""How a client of OpenSearch shows who it is: a header for each request, and a credential that is read again.

A credential may be replaced while the agent runs. So where the server does not accept it, it is read anew, and the
request goes out once more if it has changed.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from shipper._auth import AuthSection
from shipper.outputs._opensearch_errors import DeniedError


class Credentials(Protocol):
    """What signs requests; shared by the threads of one output. Both methods raise `DeniedError`."""

    version: int
    """Counts how often another credential was read."""

    def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        """The headers that go with this request; `url` is complete, `body` what is sent (compressed)."""

    def renew(self, seen: int) -> bool:
        """Read it again, unless that was done since `version` was `seen`; whether there is another one now."""


class Fixed:
    """An `Authorization` header that `read` makes, anew only when it is not accepted."""

    def __init__(self, read: Callable[[], str]) -> None:
        self.version = 0
        self._read = read
        self._value: str | None = None
        self._lock = threading.Lock()

    def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        """The header; the same for every request."""
        del method, url, body
        with self._lock:
            if self._value is None:
                self._value = self._read()
            return {"authorization": self._value}

    def renew(self, seen: int) -> bool:
        """See `Credentials.renew`."""
        with self._lock:
            if self.version == seen:
                value = self._read()
                if value == self._value:
                    return False
                self._value = value
                self.version += 1
            return True


def basic(username: str, password: Callable[[], str]) -> Fixed:
    """User name and password (RFC 7617), in UTF-8: opensearch-py's Latin-1 cannot write every password."""
    return Fixed(lambda: "Basic " + base64.b64encode(f"{username}:{password()}".encode()).decode())


def bearer(token: Callable[[], str]) -> Fixed:
    """A bearer token (RFC 6750)."""
    return Fixed(lambda: f"Bearer {token()}")


def api_key(token: Callable[[], str]) -> Fixed:
    """An API key of OpenSearch's security plugin (3.7 and newer)."""
    return Fixed(lambda: f"ApiKey {token()}")


def secret_in(path: Path) -> str:
    """The text of a file without its line end."""
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "not UTF-8 text"
        raise DeniedError("read the credential", str(path), cause, f"ls -l {path}") from None
    if not text or not text.isprintable():
        cause = "is empty" if not text else "is not one line of text"
        raise DeniedError("read the credential", str(path), cause, f"wc -l {path}")
    return text


def credentials_of(section: AuthSection) -> Credentials | None:
    """What `auth` says; None for nothing. `ConfigError` where it needs an extra that is not installed."""
    if section.basic is not None:
        return basic(section.basic.username, reader(section.basic.password, section.basic.password_file))
    if section.api_key is not None:
        return api_key(reader(section.api_key.token, section.api_key.token_file))
    if section.aws is not None:
        from shipper.outputs._aws import Aws  # noqa: PLC0415 - an extra, imported only where it is configured

        return Aws(section.aws.region, profile=section.aws.profile, service=section.aws.service)
    return None


def reader(secret: SecretStr | None, path: Path | None) -> Callable[[], str]:
    """What gives the secret: out of its file each time it is called (`DeniedError`), or the one that was given."""
    if path is not None:
        return lambda: secret_in(path)
    assert secret is not None, "the configuration has one of them"
    value = secret.get_secret_value()
    return lambda: value
