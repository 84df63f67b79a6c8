"""Verification of webhooks: is this request the source's? Over the raw bytes, before anything of them is parsed.

`verify` knows no clock, no file and no network: the time of receipt is the request's, the secrets are handed in
(`_schemes_keys.Keys` reads and renews them). It raises nothing, whatever came. A refusal names what is wrong, never
what the request said.

Time. Where a scheme signs a time, a request older than the section's `window` is refused, and so is one that lies more
than five minutes ahead. A repeat is known by what `Accepted` names it by, for `remember` seconds. A retry that is
signed anew has a time of its own, so the window never refuses it: only an id that is made of the signed time can be
forgotten with the window.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from shipper._webhook_auth import (
    ApiKeyScheme,
    AshbyAuth,
    BambooHrAuth,
    BasicScheme,
    BearerScheme,
    FieldtrailAuth,
    GreenhouseAuth,
    HighLevelAuth,
    HmacScheme,
    HubSpotAuth,
    KeapAuth,
    LeverAuth,
    SlackAuth,
    WebhookAuthSection,
    ZoomAuth,
)
from shipper.inputs._hint import Hint
from shipper.inputs.webhook import _schemes_bodies as bodies
from shipper.inputs.webhook import _schemes_parts as parts
from shipper.inputs.webhook import _schemes_public as public
from shipper.inputs.webhook._schemes_model import Accepted, Challenge, RawRequest, Refused, Response, Verdict

__all__ = ["Accepted", "Challenge", "Hint", "RawRequest", "Refused", "Response", "Verdict", "remember", "verify"]

UNTIMED: Final = 30 * 86400.0
"""Seconds for which ids are to be remembered that may come again at any time. Nothing bounds a replay after them."""

_WRONG: Final = Refused("the signature is wrong")
_CREDENTIALS: Final = Refused("the credentials are wrong")
_ENDED: Final = Challenge()
_BAMBOOHR_HEADERS: Final = ("X-BambooHR-Signature", "X-BambooHR-Timestamp")
_HUBSPOT_HEADERS: Final = ("X-HubSpot-Signature-v3", "X-HubSpot-Request-Timestamp")
_SLACK_HEADERS: Final = ("X-Slack-Signature", "X-Slack-Request-Timestamp")
_ZOOM_HEADERS: Final = ("x-zm-signature", "x-zm-request-timestamp")
_place = re.compile(r"(\{[a-z]+\})")
_is_place = _place.fullmatch
_is_hook_secret = re.compile(r"[\x21-\x7e]{1,256}").fullmatch
# What HubSpot's signature has decoded in an address.
_HUBSPOT_ESCAPES: Final = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")",
    "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip
_hubspot_escape = re.compile("|".join(_HUBSPOT_ESCAPES), re.IGNORECASE)


def verify(section: WebhookAuthSection, request: RawRequest, secrets: Sequence[bytes]) -> Verdict:
    """Whether a request is the source's.

    `secrets`: all that are good at the moment, UTF-8; for HighLevel the public keys (32 bytes Ed25519, or DER RSA). An
    empty one never fits.
    """
    scheme = section.scheme
    if isinstance(scheme, KeapAuth):
        return _keap(request)
    if not any(secrets):
        return Refused("there is no secret to verify with")
    if isinstance(scheme, HmacScheme):
        return _hmac(scheme, request, secrets, section.name.removeprefix("hmac_"))
    if isinstance(scheme, (BearerScheme, BasicScheme)):
        return _credentials(scheme, request, secrets)
    if isinstance(scheme, HighLevelAuth):
        return _highlevel(scheme, request, secrets)
    if isinstance(scheme, (SlackAuth, ZoomAuth)):
        return _v0(scheme, request, secrets)
    if isinstance(scheme, (GreenhouseAuth, AshbyAuth)):
        return _of_body(scheme, request, secrets)
    if isinstance(scheme, FieldtrailAuth):
        return _fieldtrail(scheme, request, secrets)
    if isinstance(scheme, BambooHrAuth):
        return _bamboohr(scheme, request, secrets)
    if isinstance(scheme, HubSpotAuth):
        return _hubspot(scheme, request, secrets)
    return _lever(scheme, request, secrets)


def remember(section: WebhookAuthSection) -> float:
    """Seconds for which delivery ids must be remembered so that nothing is taken twice."""
    scheme = section.scheme
    if isinstance(scheme, (FieldtrailAuth, HmacScheme)):
        timed = isinstance(scheme, FieldtrailAuth) or scheme.timestamp_header is not None
        by_time = timed and scheme.id_header is None and scheme.id_field is None
        return scheme.window + parts.AHEAD if by_time else UNTIMED
    return scheme.window + parts.AHEAD if isinstance(scheme, LeverAuth) else UNTIMED


# -- our own, and whatever can be configured ---------------------------------------------------------------------------


def _fieldtrail(scheme: FieldtrailAuth, request: RawRequest, secrets: Sequence[bytes]) -> Verdict:
    value = parts.header(request, scheme.header)
    if isinstance(value, Refused):
        return value
    found = re.fullmatch(r"t=([0-9]{10}),v1=([0-9a-f]{64})", value)
    if found is None:
        return Refused("the signature is not written as it should be")
    when = parts.signed_time(found[1], request, scheme.window, parts.seconds)
    if isinstance(when, Refused):
        return when
    message = found[1].encode() + b"." + request.body
    if parts.signed_by(secrets, message, found[2].encode(), encoding="hex") is None:
        return _WRONG
    return _identified(scheme, request, parts.digest_id("signed", message), when)


def _hmac(scheme: HmacScheme, request: RawRequest, secrets: Sequence[bytes], digest: str) -> Verdict:
    value = parts.header(request, scheme.header)
    if isinstance(value, Refused):
        return value
    presented = parts.without_prefix(value, scheme.prefix)
    if isinstance(presented, Refused):
        return presented
    places = {
        "method": request.method.encode("utf-8", "replace"),
        "path": parts.as_bytes(request.path),
        "url": parts.as_bytes((scheme.url or "") + _query(request)),
        "body": request.body,
    }
    when: float | None = None
    if scheme.timestamp_header is not None:
        stamp = parts.header(request, scheme.timestamp_header)
        if isinstance(stamp, Refused):
            return stamp
        reading = parts.seconds if scheme.timestamp_unit == "s" else parts.millis
        checked = parts.signed_time(stamp, request, scheme.window, reading)
        if isinstance(checked, Refused):
            return checked
        when, places["timestamp"] = checked, stamp.encode()
    signs_id = "{id}" in scheme.signed
    if signs_id:
        identity = parts.header(request, scheme.id_header or "")
        if isinstance(identity, Refused):
            return identity
        places["id"] = parts.as_bytes(identity)
    message = b"".join(places[part[1:-1]] if _is_place(part) else part.encode() for part in _place.split(scheme.signed))
    fits = parts.signed_by(secrets, message, parts.as_bytes(presented), encoding=scheme.encoding, digest=digest)
    if fits is None:
        return _WRONG
    return _identified(scheme, request, parts.digest_id("signed", message), when, signs_id=signs_id)


def _query(request: RawRequest) -> str:
    return f"?{request.query}" if request.query else ""


def _identified(
    scheme: FieldtrailAuth | HmacScheme | BearerScheme | BasicScheme,
    request: RawRequest,
    own: str | None = None,
    when: float | None = None,
    *,
    signs_id: bool = False,
) -> Accepted:
    """With the delivery's id out of a header or the body, or `own`, which stands for what was signed, if it was."""
    if scheme.id_header is None:
        found = bodies.id_in(bodies.json_of(request.body), scheme.id_field) if scheme.id_field is not None else None
        return Accepted(found or own, when)
    identity = parts.header(request, scheme.id_header)
    delivery = parts.id_of(identity) if isinstance(identity, str) else None
    if delivery is None or signs_id or own is None:
        return Accepted(delivery or own, when)
    known_by = parts.id_with_body(delivery, request.body)
    return Accepted(delivery, when, replay=None if when is None else own, known_by=known_by)


def _credentials(scheme: BearerScheme | BasicScheme, request: RawRequest, secrets: Sequence[bytes]) -> Verdict:
    value = parts.header(request, scheme.header if isinstance(scheme, ApiKeyScheme) else "Authorization")
    if isinstance(value, Refused):
        return value
    expected: Sequence[bytes] = [secret for secret in secrets if secret]
    if not isinstance(scheme, ApiKeyScheme):
        kind, _, value = value.partition(" ")
        if kind.lower() != ("basic" if isinstance(scheme, BasicScheme) else "bearer"):
            return Refused("another kind of credentials than configured")
    if isinstance(scheme, BasicScheme):
        user = scheme.username.encode() + b":"
        expected = [base64.b64encode(user + password) for password in expected]
    presented = parts.as_bytes(value)
    if not any([parts.same(one, presented) for one in expected]):  # noqa: C419 - all of them, so that it takes always as long
        return _CREDENTIALS
    return _identified(scheme, request)


# -- vendors -----------------------------------------------------------------------------------------------------------


def _of_body(scheme: GreenhouseAuth | AshbyAuth, request: RawRequest, secrets: Sequence[bytes]) -> Verdict:
    """Greenhouse and Ashby: an HMAC of the body alone; both send a ping when a webhook is made."""
    greenhouse = isinstance(scheme, GreenhouseAuth)
    value = parts.header(request, "Signature" if greenhouse else "Ashby-Signature")
    if isinstance(value, Refused):
        return value
    presented = parts.without_prefix(value, "sha256 " if greenhouse else "sha256=")
    if isinstance(presented, Refused):
        return presented
    if parts.signed_by(secrets, request.body, parts.as_bytes(presented), encoding="hex") is None:
        return _WRONG
    value_of = bodies.json_of(request.body)
    if bodies.is_ping(value_of):
        return _ENDED
    own = parts.digest_id("signed", request.body)
    if not greenhouse:
        return Accepted(bodies.id_in(value_of, "webhookActionId") or own)
    identity = parts.header(request, "Greenhouse-Event-ID")
    delivery = parts.id_of(identity) if isinstance(identity, str) else None
    if delivery is None:
        return Accepted(own)
    return Accepted(delivery, known_by=parts.id_with_body(delivery, request.body))


def _bamboohr(scheme: BambooHrAuth, request: RawRequest, secrets: Sequence[bytes]) -> Verdict:
    given = parts.timed_signature(request, _BAMBOOHR_HEADERS, scheme.window, parts.any_time)
    if isinstance(given, Refused):
        return given
    signature, stamp, when = given
    pieces = (request.body, stamp.encode()) if scheme.layout == "{body}{timestamp}" else (stamp.encode(), request.body)
    message = b"".join(pieces)
    if parts.signed_by(secrets, message, parts.as_bytes(signature), encoding="hex") is None:
        return _WRONG
    value = bodies.json_of(request.body)
    own = parts.digest_id("signed", message)
    # The replay as well: where the time comes first, digits can move from it to the body, which is then another one.
    return Accepted(bodies.bamboohr_delivery(value, request.body) or own, when, bodies.bamboohr_hints(value), own)


def _hubspot(scheme: HubSpotAuth, request: RawRequest, secrets: Sequence[bytes]) -> Verdict:
    given = parts.timed_signature(request, _HUBSPOT_HEADERS, scheme.window, parts.millis)
    if isinstance(given, Refused):
        return given
    signature, stamp, when = given
    query = _query(request)
    decoded = _hubspot_escape.sub(lambda found: _HUBSPOT_ESCAPES[found[0].upper()], query)
    for one in dict.fromkeys((query, decoded)):
        head = parts.as_bytes(request.method + scheme.url + one)
        message = head + request.body + stamp.encode()
        if parts.signed_by(secrets, message, parts.as_bytes(signature), encoding="base64") is not None:
            break
    else:
        return _WRONG
    value = bodies.json_of(request.body)
    own = parts.digest_id("signed", message)
    return Accepted(bodies.hubspot_delivery(value) or own, when, bodies.hubspot_hints(value), own)


def _v0(scheme: SlackAuth | ZoomAuth, request: RawRequest, secrets: Sequence[bytes]) -> Verdict:
    """Slack and Zoom: `v0=` and the HMAC of `v0:<seconds>:<body>`.

    Slack signs its handshake. Whether Zoom does is told both ways; one without a signature is answered, too, since an
    HMAC of letters and digits is no signature of anything.
    """
    slack = isinstance(scheme, SlackAuth)
    if not slack and not any(name.lower() == _ZOOM_HEADERS[0] for name, _ in request.headers):
        answer = _zoom_answer(bodies.json_of(request.body), next(one for one in secrets if one))
        if answer is not None:
            return answer
    names = _SLACK_HEADERS if slack else _ZOOM_HEADERS
    given = parts.timed_signature(request, names, scheme.window, parts.seconds, prefix="v0=")
    if isinstance(given, Refused):
        return given
    presented, stamp, when = given
    message = b"v0:" + stamp.encode() + b":" + request.body
    secret = parts.signed_by(secrets, message, parts.as_bytes(presented), encoding="hex")
    if secret is None:
        return _WRONG
    value_of = bodies.json_of(request.body)
    answer = _slack_answer(value_of) if slack else _zoom_answer(value_of, secret)
    if answer is not None:
        return answer
    identity = bodies.id_in(value_of, "event_id") if slack else bodies.zoom_delivery(value_of, request.body)
    return Accepted(identity or parts.digest_id("signed", message), when)


def _slack_answer(value: Any) -> Challenge | None:
    text = bodies.slack_challenge(value)
    return None if text is None else Challenge(Response(200, (("Content-Type", "text/plain"),), text.encode()))


def _zoom_answer(value: Any, secret: bytes) -> Challenge | None:
    token = bodies.zoom_token(value)
    if token is None:
        return None
    answer = {"plainToken": token, "encryptedToken": parts.hmac_hex(secret, token.encode())}
    return Challenge(Response(200, (("Content-Type", "application/json"),), json.dumps(answer).encode()))


def _keap(request: RawRequest) -> Verdict:
    """Keap's handshake is an empty body with `X-Hook-Secret`, which wants the header back."""
    if not request.body:
        value = parts.header(request, "X-Hook-Secret")
        if isinstance(value, Refused):
            return value
        if not _is_hook_secret(value):
            return Refused("the hook's secret is not written as it should be")
        return Challenge(Response(200, (("X-Hook-Secret", value),)))
    return _to_read(None, None, bodies.keap_hints(bodies.json_of(request.body)))


def _lever(scheme: LeverAuth, request: RawRequest, secrets: Sequence[bytes]) -> Verdict:
    """Lever signs `token` and `triggeredAt` with the rest of the body beside them: it is believed in nothing else."""
    value = bodies.json_of(request.body)
    token, stamp = (bodies.text_of(bodies.member(value, name)) for name in ("token", "triggeredAt"))
    presented = bodies.member(value, "signature")
    if token is None or stamp is None or not isinstance(presented, str):
        return Refused("no token, triggeredAt and signature in the body")
    when = parts.signed_time(stamp, request, scheme.window, parts.millis)
    if isinstance(when, Refused):
        return when
    message = parts.as_bytes(token + stamp)
    if parts.signed_by(secrets, message, parts.as_bytes(presented), encoding="hex") is None:
        return _WRONG
    return _to_read(parts.digest_id("lever", message), when, bodies.lever_hints(value))


def _to_read(delivery: str | None, when: float | None, hints: tuple[Hint, ...]) -> Verdict:
    """What may only be a reason to read: without an object it holds nothing for us."""
    return Accepted(delivery, when, hints) if hints else _ENDED


# -- HighLevel: a signature that everybody can check and nobody else can make ------------------------------------------


def _highlevel(scheme: HighLevelAuth, request: RawRequest, keys: Sequence[bytes]) -> Verdict:
    value = parts.header(request, "X-GHL-Signature")
    if isinstance(value, str):
        fits = public.ed25519(keys, request.body, value)
    elif scheme.legacy_key and not any(name.lower() == "x-ghl-signature" for name, _ in request.headers):
        value = parts.header(request, "X-WH-Signature")
        if isinstance(value, Refused):
            return value
        fits = public.rsa(keys, request.body, value)
    else:
        return value
    if not fits:
        return _WRONG
    body = bodies.json_of(request.body)
    stamp = bodies.text_of(bodies.member(body, "timestamp"))
    when: float | None = None
    if stamp is not None:
        checked = parts.signed_time(stamp, request, scheme.window, parts.any_time)
        if isinstance(checked, Refused):
            return checked
        when = checked
    delivery = bodies.id_in(body, "webhookId") or parts.digest_id("signed", request.body)
    return Accepted(delivery, when, bodies.highlevel_hints(body, request.body))
