"""How a webhook shows who it is from: `auth` of an input of type `webhook`, one model for each scheme.

Every secret can be given several times, so that it can be exchanged while both are in use: `secret: [new, old]`, or
`secret_file: [new.txt, old.txt]` with one secret a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from shipper._settings import Model, Seconds

SHORTEST_OWN: Final = 16
"""Characters that a secret of the user's own must have at the least; vendors choose theirs themselves."""
SHORTEST_PATH: Final = 22
"""Characters of the last part of a path that nobody must guess: 128 bits in base64."""


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_listed)]
"""One secret, or a list of them."""
Files = Annotated[tuple[Path, ...], BeforeValidator(_listed)]
"""One file, or a list of them."""
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Window = Annotated[Seconds, Field(ge=1, le=7 * 86400)]
"""How old a signed time may be."""


class Credential(Model):
    """What shows who a request is from: several values here, or files that hold one each.

    `named` is the key of the values, with `_file` that of the files. `own`: the user chooses them, not the vendor.
    """

    named: ClassVar[str] = "secret"
    own: ClassVar[bool] = False

    @model_validator(mode="after")
    def _has_some(self) -> Self:
        if not self.inline and not self.files:
            raise ValueError(f"give {self.named} or {self.named}_file")
        values = [one.get_secret_value() for one in self.inline]
        if any(not one.strip() for one in values):
            raise ValueError("an empty secret lets everybody in")
        if self.own and any(len(one) < SHORTEST_OWN for one in values):
            raise ValueError(
                f"a secret of fewer than {SHORTEST_OWN} characters can be guessed; try `openssl rand -hex 32`"
            )
        return self

    @property
    def inline(self) -> tuple[SecretStr, ...]:
        """The values that stand in the configuration itself."""
        inline: tuple[SecretStr, ...] = getattr(self, self.named)
        return inline

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold one value each."""
        files: tuple[Path, ...] = getattr(self, f"{self.named}_file")
        return files


class SecretScheme(Credential):
    """A secret that both sides know."""

    secret: Secrets = ()
    secret_file: Files = ()


class TimedScheme(SecretScheme):
    """A secret, and a signed time that may be `window` old."""

    window: Window = 300.0


class Identified(Model):
    """Where a delivery's id stands: a header, or a member of the JSON body (`meta.id`)."""

    id_header: HeaderName | None = None
    id_field: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _has_one_id(self) -> Identified:
        if self.id_header is not None and self.id_field is not None:
            raise ValueError("give id_header or id_field")
        return self


class FieldtrailAuth(TimedScheme, Identified):
    """Our own header: `X-Fieldtrail-Signature: t=<seconds>,v1=<hex>`, over the seconds, a dot and the body."""

    own: ClassVar[bool] = True
    header: HeaderName = "X-Fieldtrail-Signature"


class HighLevelAuth(Credential):
    """HighLevel: Ed25519 over the raw body in `X-GHL-Signature`.

    `key` is HighLevel's public key: PEM, or base64 of its 32 or 44 bytes. The old header `X-WH-Signature` (RSA) counts
    only where `legacy_key` is given, and never beside a wrong new one. `window` is wide: retries come for 70 minutes.
    """

    named: ClassVar[str] = "key"
    key: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    key_file: Files = ()
    legacy_key: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    window: Window = 3 * 3600.0

    @property
    def inline(self) -> tuple[SecretStr, ...]:
        """The keys that stand in the configuration itself."""
        return tuple(SecretStr(one) for one in (*self.key, *self.legacy_key))


class GreenhouseAuth(SecretScheme):
    """Greenhouse Recruiting: `Signature: sha256 <hex>` over the raw body; the delivery is `Greenhouse-Event-ID`."""


class AshbyAuth(SecretScheme):
    """Ashby: `Ashby-Signature: sha256=<hex>` over the raw body."""


class BambooHrAuth(TimedScheme):
    """BambooHR: hex in `X-BambooHR-Signature`, over the body and `X-BambooHR-Timestamp`.

    The vendor's pages do not say in which order; `layout` is what receivers in public use.
    """

    layout: Literal["{body}{timestamp}", "{timestamp}{body}"] = "{body}{timestamp}"


class HubSpotAuth(TimedScheme):
    """HubSpot v3: base64 in `X-HubSpot-Signature-v3`, over method, address, body and time (ms).

    `url` is the address as HubSpot knows it, without what follows `?`: behind a proxy we cannot see it.
    """

    url: str

    @field_validator("url")
    @classmethod
    def _is_public(cls, url: str) -> str:
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
            raise ValueError("not a URL without query; write for example https://hooks.example/in/hubspot")
        return url


class LeverAuth(TimedScheme):
    """Lever: the body's own `signature`, over its `token` and `triggeredAt`. The rest of the body is not signed."""

    window: Window = 86400.0


class SlackAuth(TimedScheme):
    """Slack v0: `X-Slack-Signature` and `X-Slack-Request-Timestamp`; answers `url_verification`."""


class ZoomAuth(TimedScheme):
    """Zoom v0: `x-zm-signature` and `x-zm-request-timestamp`; answers `endpoint.url_validation`."""


class KeapAuth(Model):
    """Keap signs nothing: the path must be unguessable, and the object is read again. Answers `X-Hook-Secret`."""


class BearerScheme(Credential, Identified):
    """`Authorization: Bearer <token>` (RFC 6750)."""

    named: ClassVar[str] = "token"
    own: ClassVar[bool] = True
    token: Secrets = ()
    token_file: Files = ()


class ApiKeyScheme(BearerScheme):
    """A token alone in a header of its own."""

    header: HeaderName = "X-Api-Key"


class BasicScheme(Credential, Identified):
    """User name and password (RFC 7617)."""

    named: ClassVar[str] = "password"
    username: Annotated[str, Field(min_length=1, pattern=r"^[^:]+$")]
    password: Secrets = ()
    password_file: Files = ()


class PipedriveAuth(BasicScheme):
    """Pipedrive: the user name and password of the webhook."""


PLACES: Final = ("method", "url", "path", "timestamp", "id", "body")
"""What a layout can name."""
_place = re.compile(r"\{([^{}]*)\}")


class HmacScheme(TimedScheme, Identified):
    """An HMAC of any layout: what is signed, where the signature is, and how it is written.

    `layout` names, in order, `{method}`, `{url}`, `{path}`, `{timestamp}`, `{id}` and `{body}`; whatever else stands in
    it is signed as it is. `{id}` is the header `id_header`. Without `timestamp_header` nothing bounds a replay.
    """

    header: HeaderName
    prefix: str = ""
    encoding: Literal["hex", "base64"] = "hex"
    timestamp_header: HeaderName | None = None
    timestamp_unit: Literal["s", "ms"] = "s"
    layout: str = ""
    url: str | None = None

    @model_validator(mode="after")
    def _signs_what_it_says(self) -> HmacScheme:
        names = _place.findall(self.signed)
        for name in names:
            if name not in PLACES:
                raise ValueError(f"layout: {{{name}}} is not one of {', '.join(f'{{{one}}}' for one in PLACES)}")
        if names.count("body") != 1:
            raise ValueError("layout: must hold {body} once: what is not signed proves nothing")
        if len(set(names)) != len(names):
            raise ValueError("layout: names a place twice")
        for name, key in (("timestamp", "timestamp_header"), ("id", "id_header"), ("url", "url")):
            if name in names and getattr(self, key) is None:
                raise ValueError(f"layout: {{{name}}} needs {key}")
        if self.timestamp_header is not None and "timestamp" not in names:
            raise ValueError("timestamp_header: a time that is not signed proves nothing; put {timestamp} into layout")
        if "window" in self.model_fields_set and self.timestamp_header is None:
            raise ValueError("window: only with timestamp_header")
        return self

    @property
    def signed(self) -> str:
        """The layout, or the usual one."""
        return self.layout or ("{timestamp}.{body}" if self.timestamp_header is not None else "{body}")


Scheme = (
    FieldtrailAuth
    | HighLevelAuth
    | GreenhouseAuth
    | AshbyAuth
    | BambooHrAuth
    | HubSpotAuth
    | LeverAuth
    | SlackAuth
    | ZoomAuth
    | KeapAuth
    | BearerScheme
    | BasicScheme
    | HmacScheme
)


class WebhookAuthSection(Model):
    """How an endpoint knows that a request is the source's: exactly one scheme."""

    fieldtrail: FieldtrailAuth | None = None
    highlevel: HighLevelAuth | None = None
    greenhouse: GreenhouseAuth | None = None
    bamboohr: BambooHrAuth | None = None
    hubspot: HubSpotAuth | None = None
    ashby: AshbyAuth | None = None
    lever: LeverAuth | None = None
    pipedrive: PipedriveAuth | None = None
    keap: KeapAuth | None = None
    slack: SlackAuth | None = None
    zoom: ZoomAuth | None = None
    bearer: BearerScheme | None = None
    api_key: ApiKeyScheme | None = None
    basic: BasicScheme | None = None
    hmac_sha256: HmacScheme | None = None
    hmac_sha512: HmacScheme | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> WebhookAuthSection:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def name(self) -> str:
        """The scheme's name, as in the configuration."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def scheme(self) -> Scheme:
        """The scheme's own section."""
        scheme: Scheme = getattr(self, self.name)
        return scheme

    @property
    def body_is_signed(self) -> bool:
        """Whether what a request says can be believed; if not, it is a reason to read the object again."""
        return self.name not in {"keap", "lever"}


def webhook_auth_problems(
    where: str, auth: WebhookAuthSection, *, path: str, feeds: str | None
) -> Iterator[tuple[str, str]]:
    """(path in the configuration, text) of what a model cannot see.

    `path` and `feeds` are the endpoint's: a hook whose body is not signed must feed a poll that reads the object again.
    """
    name, scheme = auth.name, auth.scheme
    if not auth.body_is_signed and feeds is None:
        yield f"{where}.{name}", "its bodies are not signed: name in `feeds` the poll input that reads the object again"
    if isinstance(scheme, KeapAuth):
        if not re.fullmatch(rf"[A-Za-z0-9_-]{{{SHORTEST_PATH},}}", path.rpartition("/")[2]):
            text = f"Keap signs nothing: end the path with {SHORTEST_PATH} or more random characters"
            yield f"{where}.{name}", f"{text} (openssl rand -hex 16)"
        return
    for file in scheme.files:
        if not os.access(file, os.R_OK):
            yield f"{where}.{name}", f"cannot read {file}"
