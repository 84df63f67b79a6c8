"""Webhooks are the source's, or refused: every scheme, with the vendors' own examples where there are some.

The other signatures are made here by an HMAC that knows nothing of the one under test (RFC 2104 by hand; it is checked
against RFC 4231 itself).
"""

import base64
import hashlib
import json
import os
import re
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shipper._webhook_auth import WebhookAuthSection, webhook_auth_problems
from shipper.errors import ConfigError
from shipper.inputs._hint import Hint
from shipper.inputs._ledger import Ledger
from shipper.inputs.webhook._entries import PATIENCE, Entries, Entry
from shipper.inputs.webhook._schemes_keys import Keys, public_key
from shipper.inputs.webhook._schemes_parts import as_bytes, id_of, id_with_body
from shipper.inputs.webhook.schemes import Accepted, Challenge, RawRequest, Refused, remember, verify
from shipper.outputs.http import signature

SECRET = "k4-not-a-real-secret-0123456789"
SECRETS = (SECRET.encode(),)
NOW = 1_770_000_000.0
BODY = b'{"webhookId":"w-1","action":"job_updated","event_id":"Ev1","id":"c-1","type":"ContactUpdate"}'


def hmac_by_hand(key: bytes, message: bytes, digest="sha256") -> bytes:
    """RFC 2104: H(K xor opad, H(K xor ipad, text))."""
    block = {"sha256": 64, "sha512": 128}[digest]
    if len(key) > block:
        key = hashlib.new(digest, key).digest()
    key = key.ljust(block, b"\0")
    inner = hashlib.new(digest, bytes(one ^ 0x36 for one in key) + message).digest()
    return hashlib.new(digest, bytes(one ^ 0x5C for one in key) + inner).digest()


def test_the_hmac_of_these_tests_is_that_of_rfc_4231():
    # Test case 2 of RFC 4231, section 4.3.
    key, data = b"Jefe", b"what do ya want for nothing?"
    assert hmac_by_hand(key, data).hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert (
        hmac_by_hand(key, data, "sha512").hex().startswith("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7")
    )


def section(name, **given):
    return WebhookAuthSection.model_validate({name: given})


def a_request(body=BODY, headers=(), *, method="POST", path="/in/x", query="", received=NOW):
    return RawRequest(method, path, query, tuple(headers), body, received)


def hex_of(message: bytes, secret=SECRET) -> str:
    return hmac_by_hand(secret.encode(), message).hex()


PRIVATE = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
STAMP = str(int(NOW))
MILLIS = str(int(NOW * 1000))


class Case:
    """A scheme, how its headers are made for a body and a time, and which of them are needed."""

    def __init__(self, name, options, headers, needed, *, timed=True, secrets=SECRETS, **request):
        self.name, self.options, self._headers, self.needed = name, options, headers, needed
        self.timed, self.secrets, self.request = timed, secrets, request
        self.section = section(name, **options)

    def signed(self, body=BODY, at=NOW, received=NOW):
        return a_request(body, self._headers(body, at), received=received, **self.request)

    def verify(self, request, secrets=None):
        return verify(self.section, request, self.secrets if secrets is None else secrets)


def _slack(body, at):
    stamp = str(int(at))
    return [
        ("X-Slack-Request-Timestamp", stamp),
        ("X-Slack-Signature", "v0=" + hex_of(b"v0:" + stamp.encode() + b":" + body)),
    ]


def _zoom(body, at):
    return [(name.replace("X-Slack", "x-zm").lower(), value) for name, value in _slack(body, at)]


def _hubspot(body, at):
    stamp = str(int(at * 1000))
    message = b"POSThttps://hooks.example/in/hubspot?a=1" + body + stamp.encode()
    return [
        ("X-HubSpot-Signature-v3", base64.b64encode(hmac_by_hand(SECRET.encode(), message)).decode()),
        ("X-HubSpot-Request-Timestamp", stamp),
    ]


def _bamboohr(body, at):
    stamp = str(int(at))
    return [("X-BambooHR-Signature", hex_of(body + stamp.encode())), ("X-BambooHR-Timestamp", stamp)]


def _fieldtrail(body, at):
    stamp = str(int(at))
    return [("X-Fieldtrail-Signature", f"t={stamp},v1={hex_of(stamp.encode() + b'.' + body)}")]


def _own(body, at):
    stamp = str(int(at * 1000))
    message = b"POST\n/in/x\n" + stamp.encode() + b"\nid-7\n" + body
    signature = base64.b64encode(hmac_by_hand(SECRET.encode(), message, "sha512")).decode()
    return [("X-Sig", f"v1,{signature}"), ("X-Time", stamp), ("X-Id", "id-7")]


CASES = [
    Case("fieldtrail", {"secret": SECRET}, _fieldtrail, ["X-Fieldtrail-Signature"]),
    Case(
        "greenhouse",
        {"secret": SECRET},
        lambda body, at: [("Signature", "sha256 " + hex_of(body)), ("Greenhouse-Event-ID", "e-5")],
        ["Signature"],
        timed=False,
    ),
    Case(
        "ashby",
        {"secret": SECRET},
        lambda body, at: [("Ashby-Signature", "sha256=" + hex_of(body))],
        ["Ashby-Signature"],
        timed=False,
    ),
    Case("bamboohr", {"secret": SECRET}, _bamboohr, ["X-BambooHR-Signature", "X-BambooHR-Timestamp"]),
    Case(
        "hubspot",
        {"secret": SECRET, "url": "https://hooks.example/in/hubspot"},
        _hubspot,
        ["X-HubSpot-Signature-v3", "X-HubSpot-Request-Timestamp"],
        query="a=1",
    ),
    Case("slack", {"secret": SECRET}, _slack, ["X-Slack-Signature", "X-Slack-Request-Timestamp"]),
    Case("zoom", {"secret": SECRET}, _zoom, ["x-zm-signature", "x-zm-request-timestamp"]),
    Case(
        "highlevel",
        {"key": base64.b64encode(PUBLIC).decode()},
        lambda body, at: [("X-GHL-Signature", base64.b64encode(PRIVATE.sign(body)).decode())],
        ["X-GHL-Signature"],
        timed=False,
        secrets=(PUBLIC,),
    ),
    Case(
        "hmac_sha256",
        {"secret": SECRET, "header": "X-Hub-Signature-256", "prefix": "sha256="},
        lambda body, at: [("X-Hub-Signature-256", "sha256=" + hex_of(body))],
        ["X-Hub-Signature-256"],
        timed=False,
    ),
    Case(
        "hmac_sha512",
        {
            "secret": SECRET, "header": "X-Sig", "prefix": "v1,", "encoding": "base64", "timestamp_header": "X-Time",
            "timestamp_unit": "ms", "layout": "{method}\n{path}\n{timestamp}\n{id}\n{body}", "id_header": "X-Id",
        },
        _own,
        ["X-Sig", "X-Time", "X-Id"],
    ),
]  # fmt: skip
TIMED = [case for case in CASES if case.timed]
CREDENTIALS = [
    Case(
        "bearer",
        {"token": SECRET},
        lambda body, at: [("Authorization", f"Bearer {SECRET}")],
        ["Authorization"],
        timed=False,
    ),
    Case(
        "api_key",
        {"token": SECRET, "header": "X-Token"},
        lambda body, at: [("X-Token", SECRET)],
        ["X-Token"],
        timed=False,
    ),
    Case(
        "basic",
        {"username": "make", "password": SECRET},
        lambda body, at: [("Authorization", "Basic " + base64.b64encode(f"make:{SECRET}".encode()).decode())],
        ["Authorization"],
        timed=False,
    ),
    Case(
        "pipedrive",
        {"username": "pd", "password": SECRET},
        lambda body, at: [("Authorization", "Basic " + base64.b64encode(f"pd:{SECRET}".encode()).decode())],
        ["Authorization"],
        timed=False,
    ),
]
ALL = [*CASES, *CREDENTIALS]
named = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
named_all = pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
named_timed = pytest.mark.parametrize("case", TIMED, ids=lambda case: case.name)


# -- the vendors' own examples -----------------------------------------------------------------------------------------


def test_the_example_on_slacks_page_is_accepted():
    # docs.slack.dev/authentication/verifying-requests-from-slack
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = [
        ("X-Slack-Request-Timestamp", "1531420618"),
        ("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    ]
    slack, secret = section("slack", secret="x"), b"8f742231b10e8888abcd99yyyzzz85a5"
    verdict = verify(slack, a_request(body, headers, received=1531420700), [secret])
    assert isinstance(verdict, Accepted) and verdict.timestamp == 1531420618
    assert verify(slack, a_request(body, headers, received=1531420618 + 301), [secret]) == Refused(
        "the time is too old"
    )
    assert isinstance(verify(slack, a_request(body + b"&", headers, received=1531420700), [secret]), Refused)


def test_the_example_on_githubs_page_is_accepted_by_the_scheme_that_is_configured():
    # docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    headers = [
        ("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
        ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
    ]
    github = section(
        "hmac_sha256", secret="x", header="X-Hub-Signature-256", prefix="sha256=", id_header="X-GitHub-Delivery"
    )
    verdict = verify(github, a_request(b"Hello, World!", headers), [b"It's a Secret to Everybody"])
    identity = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    assert verdict == Accepted(identity, known_by=id_with_body(identity, b"Hello, World!"))
    assert isinstance(verify(github, a_request(b"Hello, World", headers), [b"It's a Secret to Everybody"]), Refused)


def test_the_example_of_rfc_8032_is_accepted_as_a_signature_of_highlevel():
    # RFC 8032, section 7.1, test 2: HighLevel prints no example of its own.
    key = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    headers = [("X-GHL-Signature", base64.b64encode(signature).decode())]
    auth = section("highlevel", key=base64.b64encode(key).decode())
    assert isinstance(verify(auth, a_request(b"\x72", headers), Keys(auth.scheme, "here").secrets), Accepted)
    assert isinstance(verify(auth, a_request(b"\x73", headers), [key]), Refused)


# -- what holds of every scheme ----------------------------------------------------------------------------------------


@named_all
def test_what_is_signed_as_it_should_be_is_accepted(case):
    verdict = case.verify(case.signed())
    assert isinstance(verdict, Accepted)
    assert verdict.timestamp == (NOW if case.timed else None)


@named_all
def test_header_names_count_in_any_case(case):
    request = case.signed()
    upper = a_request(request.body, [(name.upper(), value) for name, value in request.headers], query=request.query)
    assert isinstance(case.verify(upper), Accepted)


@named_all
def test_another_secret_fits_nothing_and_one_of_several_is_enough(case):
    other = bytes(range(7, 39)) if case.name == "highlevel" else b"another-secret-of-nobody"
    assert isinstance(case.verify(case.signed(), [other]), Refused)
    assert isinstance(case.verify(case.signed(), [other, *case.secrets]), Accepted)
    assert isinstance(case.verify(case.signed(), [*case.secrets, other]), Accepted)


@named_all
def test_an_empty_secret_lets_nobody_in(case):
    for none in ((), (b"",), (b"", b"")):
        assert case.verify(case.signed(), none) == Refused("there is no secret to verify with")
    empty = Case(case.name, case.options, lambda body, at: [(n, "") for n in case.needed], case.needed)
    assert isinstance(empty.verify(empty.signed(), [b"", *case.secrets]), Refused)


def test_a_signature_by_the_empty_secret_is_refused_beside_a_true_one():
    forged = a_request(BODY, [("Signature", "sha256 " + hmac_by_hand(b"", BODY).hex())])
    assert verify(section("greenhouse", secret="x"), forged, [b"", b"x"]) == Refused("the signature is wrong")


@named_all
def test_a_header_that_is_missing_is_refused_by_its_name(case):
    request = case.signed()
    for name in case.needed:
        without = [one for one in request.headers if one[0] != name]
        verdict = case.verify(a_request(request.body, without, query=request.query))
        assert verdict == Refused(f"no header {name}")


@named_all
def test_a_header_that_came_twice_is_refused_also_with_the_same_value(case):
    request = case.signed()
    for name in case.needed:
        again = next(one for one in request.headers if one[0] == name)
        verdict = case.verify(
            a_request(request.body, [*request.headers, (again[0].lower(), again[1])], query=request.query)
        )
        assert verdict == Refused(f"header {name} more than once")


@named_all
def test_a_header_without_end_is_refused(case):
    request = case.signed()
    for name in case.needed:
        longer = [(one, value * 5000 if one == name else value) for one, value in request.headers]
        verdict = case.verify(a_request(request.body, longer, query=request.query))
        assert verdict == Refused(f"header {name} is too long")


@pytest.mark.parametrize(
    "case",
    [one for one in CASES if one.name not in {"fieldtrail", "bamboohr", "hubspot", "highlevel"}],
    ids=lambda case: case.name,
)
def test_a_signature_without_the_words_before_it_is_refused(case):
    request = case.signed()
    bare = [(name, re.sub(r"^(sha256[ =]|v0=|v1,)", "", value)) for name, value in request.headers]
    assert bare != list(request.headers)
    verdict = case.verify(a_request(request.body, bare, query=request.query))
    assert verdict == Refused("the signature is not written as it should be")


def test_no_digit_can_move_from_the_body_to_the_time_that_is_signed_behind_it():
    seconds, millis = section("bamboohr", secret="x"), section("hubspot", secret="x", url="https://h.example/")
    for body, stamp in ((b"[1", "1" + STAMP), (b"[", "11" + STAMP)):
        whole = b"[11" + STAMP.encode()
        headers = [("X-BambooHR-Signature", hex_of(whole)), ("X-BambooHR-Timestamp", stamp)]
        assert verify(seconds, a_request(body, headers), SECRETS) == Refused("the time is not written as it should be")
    for body, stamp in ((b"[", "0" + MILLIS), (b"[0" + MILLIS[:1].encode(), MILLIS[1:])):
        signature = base64.b64encode(
            hmac_by_hand(SECRET.encode(), b"POSThttps://h.example/[0" + MILLIS.encode())
        ).decode()
        headers = [("X-HubSpot-Signature-v3", signature), ("X-HubSpot-Request-Timestamp", stamp)]
        assert verify(millis, a_request(body, headers), SECRETS) == Refused("the time is not written as it should be")


@named
def test_a_body_that_was_changed_is_refused(case):
    request = case.signed()
    for body in (request.body + b" ", request.body[:-1], b"", request.body.replace(b"1", b"2", 1)):
        assert isinstance(case.verify(a_request(body, request.headers, query=request.query)), Refused)


@named
def test_the_signature_of_another_scheme_is_refused(case):
    for other in CASES:
        if other.name != case.name:
            assert isinstance(case.verify(other.signed()), Refused)


@named_timed
def test_a_time_outside_of_the_window_is_refused(case):
    window = case.section.scheme.window
    assert isinstance(case.verify(case.signed(at=NOW - window)), Accepted)
    assert case.verify(case.signed(at=NOW - window - 1)) == Refused("the time is too old")
    assert isinstance(case.verify(case.signed(at=NOW + 300)), Accepted)
    assert case.verify(case.signed(at=NOW + 301)) == Refused("the time lies ahead of ours")


@named_timed
def test_a_time_of_another_request_is_refused(case):
    mine, other = case.signed(), case.signed(at=NOW - 10)
    for name in case.needed:
        mixed = [next(o for o in other.headers if o[0] == n) if n == name else (n, v) for n, v in mine.headers]
        verdict = case.verify(a_request(mine.body, mixed, query=mine.query))
        assert isinstance(verdict, Refused) or len(case.needed) == 1 or name == "X-Id"


@named_timed
def test_the_same_request_again_has_the_same_id_and_another_request_another(case):
    first, again = case.verify(case.signed()), case.verify(case.signed(received=NOW + 20))
    assert (first.delivery_id, first.replay) == (again.delivery_id, again.replay)
    assert first.delivery_id is not None
    other = case.verify(case.signed(body=BODY.replace(b"Ev1", b"Ev2")))
    assert other.delivery_id != first.delivery_id or case.name == "hmac_sha512"


HMAC = {"secret": SECRET, "header": "X-Sig"}
TIMED_HMAC = {**HMAC, "timestamp_header": "X-Time"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fieldtrail", {"secret": SECRET}),
        ("fieldtrail", {"secret": SECRET, "window": "2h"}),
        ("lever", {"secret": SECRET}),
        ("hmac_sha256", TIMED_HMAC),
    ],
)
def test_ids_made_of_the_signed_time_are_remembered_for_longer_than_the_window_takes_a_request(name, options):
    # The sender's clock may be ahead of ours by five minutes; after that the window counts from its time.
    auth = section(name, **options)
    assert remember(auth) == auth.scheme.window + 300


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((case.name, case.options) for case in ALL if case.name != "fieldtrail"),
        ("keap", {}),
        ("fieldtrail", {"secret": SECRET, "id_field": "id"}),
        ("fieldtrail", {"secret": SECRET, "id_header": "X-Id"}),
        ("hmac_sha512", {**HMAC, "id_field": "id"}),
        ("hmac_sha512", {**TIMED_HMAC, "id_field": "id"}),
        ("hmac_sha512", {**TIMED_HMAC, "id_header": "X-Id"}),
    ],
)
def test_ids_that_can_come_again_with_another_time_are_remembered_for_a_month(name, options):
    assert remember(section(name, **options)) == 30 * 86400


@named_all
def test_no_reason_repeats_what_the_request_said(case):
    request = case.signed()
    bad = [(name, value + "SENTINEL") for name, value in request.headers]
    verdict = case.verify(a_request(b"SENTINEL" + request.body, bad, query=request.query))
    assert isinstance(verdict, Refused) and "SENTINEL" not in verdict.reason and SECRET not in verdict.reason


def flipped(data: bytes, bit: int) -> bytes:
    at = bit // 8 % len(data)
    return data[:at] + bytes([data[at] ^ (1 << bit % 8)]) + data[at + 1 :]


@named
@settings(max_examples=80, deadline=None)
@given(bit=st.integers(0, 1 << 20))
def test_no_flipped_bit_of_the_body_is_accepted(case, bit):
    request = case.signed()
    verdict = case.verify(a_request(flipped(request.body, bit), request.headers, query=request.query))
    assert isinstance(verdict, Refused)


@named_all
def test_no_flipped_bit_of_a_header_is_accepted(case):
    request = case.signed()
    for name, value in request.headers:
        if name not in case.needed:
            continue
        # The word of the kind of credentials may be written in any case (RFC 9110, section 11.1).
        start = value.find(" ") + 1 if name == "Authorization" else 0
        for bit in range(start * 8, len(value) * 8):
            text = flipped(value.encode(), bit).decode("utf-8", "surrogateescape")
            headers = [(n, text if n == name else v) for n, v in request.headers]
            verdict = case.verify(a_request(request.body, headers, query=request.query))
            assert isinstance(verdict, Refused), (name, value, text)


@named
def test_no_flipped_bit_of_a_long_body_is_accepted_anywhere(case):
    body = BODY + b" " * 40
    request = case.signed(body=body)
    for bit in range(len(body) * 8):
        assert isinstance(case.verify(a_request(flipped(body, bit), request.headers, query=request.query)), Refused)


ANY_TEXT = st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
NAMES = sorted(
    {name for case in ALL for name in case.needed} | {"X-WH-Signature", "X-Hook-Secret", "Greenhouse-Event-ID"}
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.binary(max_size=200) | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(["data", "id", "type", "event", "payload", "object_keys", "token", "signature",
                             "triggeredAt", "webhookId", "timestamp", "plainToken", "employees", "challenge"])
            | st.text(max_size=4), inner, max_size=5),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
    headers=st.lists(st.tuples(st.sampled_from(NAMES) | ANY_TEXT, ANY_TEXT), max_size=6),
    query=ANY_TEXT,
)  # fmt: skip
def test_nothing_that_comes_raises_and_nothing_unsigned_is_accepted(body, headers, query):
    for case in ALL:
        verdict = case.verify(a_request(body, headers, query=query))
        assert isinstance(verdict, (Refused, Challenge)), case.name
        assert isinstance(verdict, Refused) or case.name == "zoom"
    assert isinstance(verify(section("lever", secret="x"), a_request(body, headers), [b"x"]), Refused)
    verify(section("keap"), a_request(body, headers), ())


@settings(max_examples=200, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([
                "data", "id", "type", "event", "payload", "webhookId", "timestamp", "plainToken", "employees", "event_id",
                "employeeId", "subscriptionType", "objectId", "occurredAt", "action", "webhookActionId",
            ]),
            inner,
            max_size=6,
        ),
        max_leaves=15,
    )
)  # fmt: skip
def test_a_signed_body_of_any_shape_is_taken(value):
    body = json.dumps(value).encode()
    for case in CASES:
        assert not isinstance(case.verify(case.signed(body=body)), Refused) or case.name == "highlevel"


# -- HighLevel ---------------------------------------------------------------------------------------------------------


def highlevel(body, *, received=NOW, key=PRIVATE, more=(), **options):
    signature = base64.b64encode(key.sign(body)).decode()
    auth = section("highlevel", key=base64.b64encode(PUBLIC).decode(), **options)
    return verify(auth, a_request(body, [("X-GHL-Signature", signature), *more], received=received), [PUBLIC])


def test_highlevels_webhook_id_is_the_delivery_and_its_snapshot_a_hint():
    body = b'{"type":"ContactUpdate","id":"c-1","webhookId":"w-1","timestamp":"2026-02-02T02:40:00.000Z","email":"a@co.example"}'
    assert highlevel(body) == Accepted("w-1", NOW, (Hint("changed", "contact", "c-1", body, NOW),))
    deleted = b'{"type":"OpportunityDelete","id":"o-1","webhookId":"w-2","timestamp":"2026-02-02T02:40:00.000Z"}'
    assert highlevel(deleted).feeds_hint == (Hint("deleted", "opportunity", "o-1", None, NOW),)


def test_a_retry_of_highlevel_after_seventy_minutes_is_taken_and_one_after_three_hours_is_not():
    body = b'{"type":"ContactUpdate","id":"c-1","webhookId":"w-1","timestamp":"2026-02-02T02:40:00Z"}'
    assert isinstance(highlevel(body, received=NOW + 70 * 60), Accepted)
    assert highlevel(body, received=NOW + 3 * 3600 + 1) == Refused("the time is too old")
    assert isinstance(highlevel(body, received=NOW + 301, window="5m"), Refused)


def test_highlevels_body_without_id_and_time_is_known_by_its_bytes():
    first, again = highlevel(b'{"type":"ContactUpdate","id":"c"}'), highlevel(b'{"type":"ContactUpdate","id":"c"}')
    assert first.delivery_id == again.delivery_id != None  # noqa: E711 - three of them in one
    assert highlevel(b'{"type":"ContactUpdate","id":"d"}').delivery_id != first.delivery_id


def test_the_old_header_of_highlevel_counts_only_where_its_key_is_configured_and_never_beside_a_wrong_new_one():
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    old = ("X-WH-Signature", base64.b64encode(private.sign(BODY, padding.PKCS1v15(), SHA256())).decode())
    without = section("highlevel", key=base64.b64encode(PUBLIC).decode())
    both = section("highlevel", key=base64.b64encode(PUBLIC).decode(), legacy_key=public)
    keys = Keys(both.scheme, "here").secrets
    assert verify(without, a_request(BODY, [old]), keys) == Refused("no header X-GHL-Signature")
    assert isinstance(verify(both, a_request(BODY, [old]), keys), Accepted)
    assert isinstance(verify(both, a_request(BODY + b" ", [old]), keys), Refused)
    wrong = ("X-GHL-Signature", base64.b64encode(b"\0" * 64).decode())
    assert verify(both, a_request(BODY, [old, wrong]), keys) == Refused("the signature is wrong")
    assert verify(both, a_request(BODY, [old, wrong, wrong]), keys) == Refused("header X-GHL-Signature more than once")


def test_a_public_key_is_taken_as_pem_as_its_bytes_and_as_der():
    key = PRIVATE.public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert {public_key(text) for text in (
        pem, pem.replace("\n", "\\n"), base64.b64encode(PUBLIC).decode(), base64.b64encode(der).decode()
    )} == {PUBLIC}  # fmt: skip
    assert [public_key(text) for text in ("", "nonsense", "AAAA", pem[:60], "é")] == [None] * 5


# -- Greenhouse, Ashby, BambooHR, HubSpot ------------------------------------------------------------------------------


def test_greenhouses_event_id_is_the_delivery_and_its_ping_holds_no_record():
    greenhouse = section("greenhouse", secret=SECRET)

    def sent(body, *more):
        return verify(greenhouse, a_request(body, [("Signature", "sha256 " + hex_of(body)), *more]), [SECRET.encode()])

    assert sent(BODY, ("Greenhouse-Event-ID", "e-5")) == Accepted("e-5", known_by=id_with_body("e-5", BODY))
    assert isinstance(sent(b'{"action":"ping","payload":{"web_hook_id":1}}'), Challenge)
    # The body counts as it was sent, with its escapes.
    escaped = b'{"name":"Zo\\u00eb"}'
    assert isinstance(sent(escaped), Accepted)
    signed = [("Signature", "sha256 " + hex_of(escaped))]
    assert isinstance(verify(greenhouse, a_request('{"name":"Zoë"}'.encode(), signed), [SECRET.encode()]), Refused)


def test_ashbys_action_id_is_the_delivery():
    body = b'{"action":"candidateHire","webhookActionId":"wa-1","data":{}}'
    headers = [("Ashby-Signature", "sha256=" + hex_of(body))]
    assert verify(section("ashby", secret="x"), a_request(body, headers), [SECRET.encode()]) == Accepted("wa-1")


def test_bamboohrs_order_can_be_turned_and_its_time_be_a_date():
    stamp = "2026-02-02T02:40:00Z"
    headers = [("X-BambooHR-Signature", hex_of(stamp.encode() + BODY)), ("X-BambooHR-Timestamp", stamp)]
    turned = section("bamboohr", secret="x", layout="{timestamp}{body}")
    assert isinstance(verify(turned, a_request(BODY, headers), [SECRET.encode()]), Accepted)
    usual = section("bamboohr", secret="x")
    assert verify(usual, a_request(BODY, headers), [SECRET.encode()]) == Refused("the signature is wrong")


@pytest.mark.parametrize(
    ("body", "hints"),
    [
        (
            b'{"type":"employee.updated","timestamp":"2026-02-02T02:40:00+0000","data":{"companyId":"1","employeeId":"67890"}}',
            (Hint("changed", "employee", "67890", time=NOW),),
        ),
        (
            b'{"type":"employee.deleted","timestamp":"2026-02-02T02:40:00+0000","data":{"employeeId":67890}}',
            (Hint("deleted", "employee", "67890", time=NOW),),
        ),
        (
            b'{"employees":[{"id":"1","action":"Updated"},{"id":"2","action":"Deleted"},{"x":1}]}',
            (Hint("changed", "employee", "1"), Hint("deleted", "employee", "2")),
        ),
        (b"[]", ()),
        (b"name=x", ()),
    ],
)
def test_bamboohr_names_the_employees_to_look_at(body, hints):
    verdict = verify(section("bamboohr", secret="x"), a_request(body, _bamboohr(body, NOW)), [SECRET.encode()])
    assert verdict.feeds_hint == hints


def test_hubspot_signs_the_public_address_and_not_the_one_behind_the_proxy():
    auth = section("hubspot", secret="x", url="https://hooks.example/in/hubspot")
    request = a_request(BODY, _hubspot(BODY, NOW), path="/behind", query="a=1")
    assert isinstance(verify(auth, request, [SECRET.encode()]), Accepted)
    other = section("hubspot", secret="x", url="https://hooks.example/in/other")
    assert verify(other, request, [SECRET.encode()]) == Refused("the signature is wrong")
    assert verify(auth, a_request(BODY, request.headers, query="a=2"), [SECRET.encode()]) == Refused(
        "the signature is wrong"
    )
    assert isinstance(
        verify(auth, a_request(BODY, request.headers, method="PUT", query="a=1"), [SECRET.encode()]), Refused
    )


@pytest.mark.parametrize("signed", ["?to=a%2Fb%40c", "?to=a/b@c"])
def test_hubspots_address_counts_as_sent_and_as_decoded(signed):
    message = b"POSThttps://hooks.example/in/hubspot" + signed.encode() + BODY + MILLIS.encode()
    headers = [
        ("X-HubSpot-Signature-v3", base64.b64encode(hmac_by_hand(SECRET.encode(), message)).decode()),
        ("X-HubSpot-Request-Timestamp", MILLIS),
    ]
    auth = section("hubspot", secret="x", url="https://hooks.example/in/hubspot")
    request = a_request(BODY, headers, query="to=a%2Fb%40c")
    assert isinstance(verify(auth, request, [SECRET.encode()]), Accepted)


def test_a_retry_of_hubspot_is_the_same_delivery_though_it_is_signed_anew():
    def sent(attempt, at, value="b"):
        item = {
            "eventId": 1, "subscriptionId": 2, "portalId": 3, "occurredAt": int(NOW * 1000), "attemptNumber": attempt,
            "subscriptionType": "contact.propertyChange", "objectId": 123, "propertyName": "a", "propertyValue": value,
        }  # fmt: skip
        body = json.dumps([item]).encode()
        auth = section("hubspot", secret="x", url="https://hooks.example/in/hubspot")
        return verify(auth, a_request(body, _hubspot(body, at), query="a=1", received=at), [SECRET.encode()])

    first, again = sent(0, NOW), sent(1, NOW + 60)
    assert first.delivery_id == again.delivery_id and first.replay != again.replay
    assert sent(0, NOW, value="c").delivery_id != first.delivery_id
    assert first.feeds_hint == (Hint("changed", "contact", "123", time=NOW),)


# -- repeats, to the end: what becomes of them -------------------------------------------------------------------------


class Hook:
    """An endpoint and its ledger, with a clock that is turned by hand. A frame is durable at once unless `stalled`."""

    def __init__(self, folder, auth, secrets=SECRETS):
        self.auth, self.secrets, self.now = auth, secrets, NOW
        self.told, self.events, self.n = {}, [], 0
        self.ledger = Ledger.open(folder / "hook.db", 0)
        self.entries = Entries(self.ledger, self._post, now=lambda: self.now)

    def _post(self, entries, kept):
        self.told.update(dict.fromkeys(entries, kept))

    def post(self, body, headers=(), *, stalled=False, **more):
        """What the sender is told: 200 or 429."""
        verdict = verify(self.auth, a_request(body, headers, received=self.now, **more), self.secrets)
        assert isinstance(verdict, Accepted), verdict
        one = Entry(
            body, self.now, lambda kept: None,
            delivery=verdict.delivery_id, replay=verdict.replay, known_by=verdict.known_by,
        )  # fmt: skip
        assert self.entries.take(one)
        self.entries.group()
        for group in self.entries.give(2**40):
            self.events += [record.data for record in group.records]
            self.n = group.n
        if stalled:
            self.entries.expire(self.now + PATIENCE)
        self.entries.kept(self.n)
        return 200 if self.told[one] else 429

    def later(self, seconds):
        """Time passes, and what may be forgotten is."""
        self.now += seconds
        self.ledger.prune_deliveries(self.now - remember(self.auth), 5_000_000)


@pytest.fixture
def hooked(tmp_path):
    made = []

    def hook(name, **options):
        made.append(Hook(tmp_path / str(len(made)), section(name, **options)))
        return made[-1]

    yield hook
    for one in made:
        one.ledger.close()


def _hubspot_body(attempt):
    item = {
        "eventId": 1, "subscriptionType": "contact.propertyChange", "objectId": 123, "occurredAt": int(NOW * 1000),
        "propertyName": "a", "propertyValue": "b", "attemptNumber": attempt,
    }  # fmt: skip
    return json.dumps([item]).encode()


BAMBOOHR_BODIES = {
    "events": b'{"type":"employee.updated","timestamp":"2026-02-02T02:40:00+0000","data":{"companyId":"1","employeeId":"6"}}',
    "fields": b'{"employees":[{"id":"1","action":"Updated","timestamp":"2026-02-02T02:40:00+0000","fields":{"a":"b"}}]}',
}
ANEW = {
    "hubspot": (
        {"secret": SECRET, "url": "https://hooks.example/in/hubspot"},
        _hubspot,
        _hubspot_body,
        {"query": "a=1"},
    ),
    "slack": ({"secret": SECRET}, _slack, lambda attempt: b'{"type":"event_callback","event_id":"Ev9"}', {}),
    "zoom": ({"secret": SECRET}, _zoom, lambda attempt: b'{"event":"user.updated","event_ts":1770000000123}', {}),
    "bamboohr events": ({"secret": SECRET}, _bamboohr, lambda attempt: BAMBOOHR_BODIES["events"], {}),
    "bamboohr fields": ({"secret": SECRET}, _bamboohr, lambda attempt: BAMBOOHR_BODIES["fields"], {}),
    "fieldtrail": ({"secret": SECRET, "id_field": "id"}, _fieldtrail, lambda attempt: b'{"id":"c-812"}', {}),
}


@pytest.mark.parametrize("name", ANEW)
def test_a_retry_that_is_signed_anew_after_the_window_is_no_second_event(hooked, name):
    options, headers, body, more = ANEW[name]
    hook = hooked(name.partition(" ")[0], **options)
    # The disk stalls: the sender is told to try again, though what it sent is given out already and is kept.
    assert hook.post(body(0), headers(body(0), hook.now), stalled=True, **more) == 429
    for attempt, pause in enumerate((60, 700, 3600, 8 * 3600), 1):
        hook.later(pause)
        assert hook.post(body(attempt), headers(body(attempt), hook.now), **more) == 200
    assert hook.events == [body(0)]


def test_what_has_no_time_in_its_body_is_another_event_when_it_is_signed_anew(hooked):
    # A form of BambooHR tells neither time nor id: the same field of the same employee may have changed again.
    form, hook = b"type=employee.updated&data[employeeId]=6", hooked("bamboohr", secret=SECRET)
    for _ in range(2):
        assert hook.post(form, _bamboohr(form, hook.now)) == 200
        assert hook.post(form, _bamboohr(form, hook.now)) == 200
        hook.later(60)
    assert hook.events == [form, form]


@pytest.mark.parametrize(
    "body", [b"[]", b"name=x", b"{}", b'{"employees":[]}', b'{"employees":[{"id":"1","timestamp":"x"},{"id":"2"}]}']
)
@pytest.mark.parametrize("name", ["bamboohr events", "hubspot", "zoom"])
def test_a_body_of_another_shape_is_an_event_once(hooked, name, body):
    options, headers, _, more = ANEW[name]
    hook = hooked(name.partition(" ")[0], **options)
    for _ in range(2):
        assert hook.post(body, headers(body, NOW), **more) == 200
    assert hook.events == [body]


def test_digits_that_move_from_bamboohrs_time_to_its_body_make_no_second_event(hooked):
    hook = hooked("bamboohr", secret=SECRET, layout="{timestamp}{body}")
    body = BAMBOOHR_BODIES["events"]
    signature = ("X-BambooHR-Signature", hex_of(MILLIS.encode() + body))
    assert hook.post(body, [signature, ("X-BambooHR-Timestamp", MILLIS)]) == 200
    assert hook.post(b"000" + body, [signature, ("X-BambooHR-Timestamp", STAMP)]) == 200
    assert hook.events == [body]


def _greenhouse(body, *more):
    return [("Signature", "sha256 " + hex_of(body)), *more]


def _untimed(body, *more):
    return [("X-Sig", hex_of(body)), *more]


@pytest.mark.parametrize(
    ("name", "options", "headers", "id_header"),
    [
        ("greenhouse", {"secret": SECRET}, _greenhouse, "Greenhouse-Event-ID"),
        ("hmac_sha256", {**HMAC, "id_header": "X-Id"}, _untimed, "X-Id"),
    ],
)
def test_who_has_recorded_one_delivery_cannot_make_a_later_one_a_repeat(hooked, name, options, headers, id_header):
    hook, first, second = hooked(name, **options), b'{"action":"first"}', b'{"action":"second"}'
    assert hook.post(first, headers(first, (id_header, "1001"))) == 200
    # A stranger sends the recorded body under ids that are still to come.
    for guessed in ("1002", "1003"):
        assert hook.post(first, headers(first, (id_header, guessed))) == 200
    assert hook.post(second, headers(second, (id_header, "1002"))) == 200
    assert hook.events.count(second) == 1
    # The source's own retries are repeats, a month long.
    hook.later(29 * 86400)
    assert hook.post(second, headers(second, (id_header, "1002"))) == 200
    assert hook.post(first, headers(first, (id_header, "1001"))) == 200
    assert hook.events.count(second) == 1 and hook.events.count(first) == 3


def test_beside_a_signed_time_an_id_that_was_not_signed_cannot_be_taken_from_a_later_one_either(hooked):
    def sent(body, at, identity):
        stamp = str(int(at))
        return [("X-Sig", hex_of(stamp.encode() + b"." + body)), ("X-Time", stamp), ("X-Id", identity)]

    hook = hooked("hmac_sha256", **TIMED_HMAC, id_header="X-Id")
    # What the stranger sends was held back from us, so its signature is new to us.
    assert hook.post(b"first", sent(b"first", NOW, "1002")) == 200
    assert hook.post(b"second", sent(b"second", NOW, "1002")) == 200
    hook.later(700)
    assert hook.post(b"second", sent(b"second", hook.now, "1002")) == 200
    assert hook.events == [b"first", b"second"]


@pytest.mark.parametrize(
    ("name", "options", "headers"),
    [
        ("greenhouse", {"secret": SECRET}, _greenhouse),
        ("ashby", {"secret": SECRET}, lambda body: [("Ashby-Signature", "sha256=" + hex_of(body))]),
        ("hmac_sha256", HMAC, _untimed),
        ("hmac_sha256", {**HMAC, "id_header": "X-Id"}, _untimed),
        ("hmac_sha256", {**HMAC, "id_field": "id"}, _untimed),
    ],
)
def test_what_is_signed_without_time_and_id_is_known_by_its_bytes(hooked, name, options, headers):
    hook = hooked(name, **options)
    for body in (b'{"action":"first"}', b'{"action":"second"}'):
        for _ in range(3):
            assert hook.post(body, headers(body)) == 200
            hook.later(86400)
    assert hook.events == [b'{"action":"first"}', b'{"action":"second"}']


def test_credentials_alone_make_every_request_a_delivery_of_its_own_unless_it_names_itself(hooked):
    authorization = ("Authorization", f"Bearer {SECRET}")
    plain, named_by = hooked("bearer", token=SECRET), hooked("bearer", token=SECRET, id_header="X-Id")
    for _ in range(2):
        assert plain.post(b"{}", [authorization]) == 200
        # Who has the credentials is believed in everything, so its id stands for itself.
        assert named_by.post(os.urandom(8), [authorization, ("X-Id", "7")]) == 200
    assert (len(plain.events), len(named_by.events)) == (2, 1)


# -- handshakes --------------------------------------------------------------------------------------------------------


def test_slack_gets_its_challenge_back_only_where_it_signed_it():
    body = b'{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}'
    auth = section("slack", secret="x")
    verdict = verify(auth, a_request(body, _slack(body, NOW)), [SECRET.encode()])
    assert verdict.response.body == b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
    assert verdict.response.headers == (("Content-Type", "text/plain"),)
    assert isinstance(verify(auth, a_request(body), [SECRET.encode()]), Refused)
    strange = b'{"challenge":"<script>","type":"url_verification"}'
    assert isinstance(verify(auth, a_request(strange, _slack(strange, NOW)), [SECRET.encode()]), Accepted)
    event = b'{"type":"event_callback","event_id":"Ev9"}'
    assert verify(auth, a_request(event, _slack(event, NOW)), [SECRET.encode()]).delivery_id == "Ev9"


def test_zoom_gets_its_token_back_with_its_hmac():
    body = b'{"payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1654503849680,"event":"endpoint.url_validation"}'
    auth = section("zoom", secret="x")
    for headers in (_zoom(body, NOW), ()):
        verdict = verify(auth, a_request(body, headers), [SECRET.encode(), b"older"])
        assert json.loads(verdict.response.body) == {
            "plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": hex_of(b"qgg8vlvZRS6UYooatFL8Aw")
        }  # fmt: skip
    wrong = [(name, value[:-1] + "x") for name, value in _zoom(body, NOW)]
    assert isinstance(verify(auth, a_request(body, wrong), [SECRET.encode()]), Refused)


def test_the_handshake_of_zoom_signs_nothing_that_could_be_a_request():
    forged = f"v0:{STAMP}:{{}}"
    body = json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": forged}}).encode()
    auth = section("zoom", secret="x")
    assert isinstance(verify(auth, a_request(body), [SECRET.encode()]), Refused)
    signed = verify(auth, a_request(body, _zoom(body, NOW)), [SECRET.encode()])
    assert isinstance(signed, Accepted)


def test_keap_gets_its_hook_secret_back_and_its_hooks_are_hints():
    keap = section("keap")
    verdict = verify(keap, a_request(b"", [("x-hook-secret", "s3cr3t-of-keap")]), ())
    assert verdict.response.headers == (("X-Hook-Secret", "s3cr3t-of-keap"),)
    assert isinstance(verify(keap, a_request(b"", [("X-Hook-Secret", "a\r\nSet-Cookie: x")]), ()), Refused)
    assert isinstance(verify(keap, a_request(b""), ()), Refused)
    body = (
        b'{"event_key":"contact.edit","object_type":"contact","object_keys":[{"id":1234,"apiUrl":"https://api.example/1234",'
        b'"timestamp":"2026-02-02T02:40:00Z"},{"id":"5"},{"id":null}]}'
    )
    assert verify(keap, a_request(body), ()).feeds_hint == (
        Hint("changed", "contact", "1234", time=NOW),
        Hint("changed", "contact", "5"),
    )
    gone = b'{"event_key":"contact.delete","object_keys":[{"id":1}]}'
    assert verify(keap, a_request(gone), ()).feeds_hint == (Hint("deleted", "contact", "1"),)
    assert isinstance(verify(keap, a_request(b"{}"), ()), Challenge)


# -- Lever -------------------------------------------------------------------------------------------------------------


def lever(received=NOW, secret=SECRET, **changed):
    body = {
        "id": "x", "event": "candidateStageChange", "triggeredAt": int(NOW * 1000), "token": "ab12",
        "data": {"candidateId": "cand-1", "opportunityId": "opp-1", "toStageId": "phone"},
    }  # fmt: skip
    body["signature"] = hex_of(b"ab12" + MILLIS.encode(), secret)
    body.update(changed)
    raw = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
    return verify(section("lever", secret="x"), a_request(raw, received=received), [SECRET.encode()])


def test_levers_signature_covers_token_and_time_alone_so_its_body_is_a_hint_at_most():
    assert lever().feeds_hint == (Hint("changed", "opportunity", "opp-1", time=NOW),)
    # Whoever has one signed pair can write any data beside it: it is read again, and never believed.
    other = lever(data={"opportunityId": "opp-2"})
    assert other.delivery_id == lever().delivery_id
    assert not section("lever", secret="x").body_is_signed and not section("keap").body_is_signed
    assert section("slack", secret="x").body_is_signed


def test_what_lever_signed_is_held_to_it():
    assert isinstance(lever(token="ab13"), Refused)
    assert isinstance(lever(triggeredAt=int(NOW * 1000) + 1), Refused)
    assert lever(signature=None) == Refused("no token, triggeredAt and signature in the body")
    assert lever(token=None) == Refused("no token, triggeredAt and signature in the body")
    assert lever(secret="another") == Refused("the signature is wrong")
    assert lever(received=NOW + 86401) == Refused("the time is too old")
    assert isinstance(lever(data={}), Challenge)


# -- our own schemes ---------------------------------------------------------------------------------------------------


def test_what_the_output_of_type_http_signs_the_scheme_fieldtrail_accepts():
    headers = [("X-Fieldtrail-Signature", signature(SECRET, int(NOW), BODY))]
    assert isinstance(
        verify(section("fieldtrail", secret=SECRET), a_request(BODY, headers), [SECRET.encode()]), Accepted
    )


def test_a_delivery_id_that_is_not_signed_does_not_make_a_replay_another_delivery():
    auth = section("hmac_sha256", secret="x", header="X-Sig", timestamp_header="X-Time", id_header="X-Id")
    signature = hex_of(STAMP.encode() + b"." + BODY)

    def sent(identity):
        headers = [("X-Sig", signature), ("X-Time", STAMP), *([("X-Id", identity)] if identity else [])]
        return verify(auth, a_request(BODY, headers), [SECRET.encode()])

    first, replayed = sent("d-1"), sent("d-2")
    assert (first.delivery_id, replayed.delivery_id) == ("d-1", "d-2")
    assert first.replay == replayed.replay == sent("").delivery_id != None  # noqa: E711 - four of them in one
    # One that is signed stands for itself.
    own = next(case for case in CASES if case.name == "hmac_sha512")
    assert own.verify(own.signed()) == Accepted("id-7", NOW)


def test_a_sender_that_signs_each_try_anew_names_its_delivery_in_the_body():
    auth = section("fieldtrail", secret=SECRET, id_field="id")

    def sent(at):
        body = b'{"fieldtrail_change":1,"id":"c-812"}'
        return verify(auth, a_request(body, _fieldtrail(body, at), received=at), SECRETS)

    assert (sent(NOW).delivery_id, sent(NOW + 60).delivery_id) == ("c-812", "c-812")


def test_a_delivery_id_out_of_the_body_is_a_text_or_a_number():
    def sent(body):
        auth = section("bearer", token=SECRET, id_field="meta.id")
        return verify(auth, a_request(body, [("Authorization", f"bearer {SECRET}")]), [SECRET.encode()]).delivery_id

    assert sent(b'{"meta":{"id":"d-1"}}') == "d-1"
    assert sent(b'{"meta":{"id":7}}') == "7"
    assert [sent(one) for one in (b'{"meta":{"id":true}}', b'{"meta":[]}', b"no", b'{"meta":{"id":""}}')] == [None] * 4


def test_long_and_strange_ids_are_kept_as_digests():
    assert id_of("a" * 200) == "a" * 200
    assert id_of("a" * 201).startswith("text:") and id_of("a b") != id_of("a  b")
    assert id_of("") is None
    assert as_bytes("\udcff") == b"\xff" and as_bytes("\ud800")


def test_basic_wants_the_user_too():
    auth = section("basic", username="make", password="x")
    for text in ("other:" + SECRET, "make:wrong", "make", ":", ""):
        value = "Basic " + base64.b64encode(text.encode()).decode()
        assert isinstance(verify(auth, a_request(BODY, [("Authorization", value)]), [SECRET.encode()]), Refused)
    assert verify(auth, a_request(BODY, [("Authorization", f"Bearer {SECRET}")]), [SECRET.encode()]) == Refused(
        "another kind of credentials than configured"
    )


# -- the configuration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "give exactly one of"),
        ({"slack": {"secret": "x"}, "zoom": {"secret": "x"}}, "give exactly one of"),
        ({"slack": {}}, "give secret or secret_file"),
        ({"slack": {"secret": ""}}, "an empty secret lets everybody in"),
        ({"slack": {"secret": ["good", " "]}}, "an empty secret lets everybody in"),
        ({"slack": {"secret": []}}, "give secret or secret_file"),
        ({"slack": {"secret": "x", "window": "0s"}}, "greater than or equal to 1"),
        ({"slack": {"secret": "x", "windows": "5m"}}, "Extra inputs"),
        ({"bearer": {"token": "short"}}, "can be guessed"),
        ({"fieldtrail": {"secret": "short"}}, "can be guessed"),
        ({"basic": {"username": "a:b", "password": "x"}}, "pattern"),
        ({"bearer": {"token": SECRET, "id_header": "X-Id", "id_field": "id"}}, "give id_header or id_field"),
        ({"hubspot": {"secret": "x", "url": "hooks.example"}}, "not a URL without query"),
        ({"hmac_sha256": {"secret": "x"}}, "header"),
        ({"hmac_sha256": {"secret": "x", "header": "S", "layout": "{timestamp}"}}, "must hold {body} once"),
        ({"hmac_sha256": {"secret": "x", "header": "S", "layout": "{bdy}{body}"}}, "{bdy} is not one of"),
        ({"hmac_sha256": {"secret": "x", "header": "S", "layout": "{path}{path}{body}"}}, "names a place twice"),
        ({"hmac_sha256": {"secret": "x", "header": "S", "layout": "{timestamp}{body}"}}, "needs timestamp_header"),
        ({"hmac_sha256": {"secret": "x", "header": "S", "layout": "{url}{body}"}}, "needs url"),
        (
            {"hmac_sha256": {"secret": "x", "header": "S", "timestamp_header": "T", "layout": "{body}"}},
            "a time that is not signed proves nothing",
        ),
        ({"hmac_sha256": {"secret": "x", "header": "S", "window": "5m"}}, "only with timestamp_header"),
    ],
)
def test_a_section_that_proves_nothing_is_an_error(given, says):
    with pytest.raises(ValidationError, match=says.replace("{", r"\{").replace("}", r"\}")):
        WebhookAuthSection.model_validate(given)


def test_hooks_whose_bodies_are_not_signed_must_feed_a_poll_and_keaps_path_must_be_unguessable(tmp_path):
    def problems(auth, path="/in/x", feeds=None):
        return [text for _, text in webhook_auth_problems("inputs[0].auth", auth, path=path, feeds=feeds)]

    secret = tmp_path / "secret"
    secret.write_text("x")
    assert "not signed" in problems(section("lever", secret="x"))[0]
    assert problems(section("lever", secret="x"), feeds="lever") == []
    assert "random characters" in problems(section("keap"), "/in/keap", "keap")[0]
    assert problems(section("keap"), "/in/keap/0123456789abcdef0123456789abcdef", "keap") == []
    assert problems(section("slack", secret_file=str(secret))) == []
    assert problems(section("slack", secret_file=[str(secret), str(tmp_path / "none")])) == [
        f"cannot read {tmp_path / 'none'}"
    ]


def looked(keys):
    """The secrets after a look at the files."""
    keys.look()
    return keys.secrets


def test_secrets_are_read_out_of_files_again_and_what_cannot_be_used_leaves_the_one_before(tmp_path):
    file = tmp_path / "secret"
    file.write_text("first\n")
    now = [0.0]
    keys = Keys(section("slack", secret=["inline"], secret_file=str(file)).scheme, "x", monotonic=lambda: now[0])
    assert looked(keys) == (b"inline", b"first")
    file.write_text("second")
    assert looked(keys) == (b"inline", b"first")  # it looks once a second at the most
    now[0] = 1.0
    assert looked(keys) == (b"inline", b"second") and keys.problem == ""
    for broken in ("", None):
        if broken is None:
            file.unlink()
        else:
            file.write_text(broken)
        now[0] += 1
        assert looked(keys) == (b"inline", b"second") and str(file) in keys.problem
    fresh = tmp_path / "fresh"
    fresh.write_text("third\r\n")
    os.replace(fresh, file)
    now[0] += 1
    assert looked(keys) == (b"inline", b"third") and keys.problem == ""


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("slack", "\n", "empty"),
        ("bearer", "short", "can be guessed"),
        ("highlevel", "nonsense", "not a public key"),
    ],
)
def test_a_secret_in_a_file_that_proves_nothing_ends_the_start(tmp_path, name, text, cause):
    file = tmp_path / "secret"
    file.write_text(text)
    key = {"slack": "secret_file", "bearer": "token_file", "highlevel": "key_file"}[name]
    with pytest.raises(ConfigError, match=cause) as raised:
        Keys(section(name, **{key: str(file)}).scheme, "x")
    assert raised.value.hint and raised.value.place == str(file)


def test_secrets_do_not_show_in_a_printed_section():
    assert SECRET not in repr(section("bearer", token=SECRET)) and SECRET not in str(
        section("fieldtrail", secret=SECRET)
    )


GUIDE = (Path(__file__).resolve().parents[2] / "docs/howto/webhook-sources.md").read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: next(iter(example["auth"])))
def test_every_example_of_the_guide_is_a_section_without_problems_but_its_files(example):
    auth = WebhookAuthSection.model_validate(example["auth"])
    told = webhook_auth_problems("auth", auth, path=example.get("path", "/in/x"), feeds=example.get("feeds"))
    assert [text for _, text in told if not text.startswith("cannot read /etc/fieldtrail/")] == []


def test_the_guide_has_an_example_of_every_scheme_but_one():
    assert set(WebhookAuthSection.model_fields) - {next(iter(one["auth"])) for one in EXAMPLES} == {"hmac_sha512"}


def test_the_guides_program_signs_what_is_accepted(monkeypatch):
    program = re.search(r"```python\n(.*?)```", GUIDE, re.DOTALL)[1]
    made = {}
    exec(program, made)
    monkeypatch.setattr("time.time", lambda: NOW + 0.9)
    headers = [("X-Fieldtrail-Signature", made["signature"](SECRET.encode(), BODY))]
    assert isinstance(verify(section("fieldtrail", secret=SECRET), a_request(BODY, headers), SECRETS), Accepted)
