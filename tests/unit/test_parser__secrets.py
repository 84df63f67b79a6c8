"""Secrets in values: dropped by name, however deep, so that only "changed" stays."""

import json

import pytest
from hypothesis import given

from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Operation
from parsers._json import Items, each
from parsers._secrets import DROPPED, hide_secrets, is_secret
from tests.parser_checks import JSON_VALUES


@pytest.mark.parametrize(
    "name",
    [
        "password", "Password", "userPassword", "client_secret", "clientSecret", "apiKey", "API-Key", "api key",
        "access_token", "refreshToken", "private_key", "password_hash", "encrypted_password", "remember_token",
        "Password__c", "authorization", "Set-Cookie", "passwords", "secretKeys", "x.y.recovery_codes", "accessKey",
    ],
)  # fmt: skip
def test_names_of_secrets_are_known(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "password_changed_at", "password_policy", "token_type", "secret_santa", "key", "keyboard", "token_id", "passwordless",
        "api_key_type", "next_page_token", "continuation_token", "tokens_used", "access_key_id", "", "x" * 500,
    ],
)  # fmt: skip
def test_names_that_only_look_like_it_are_not(name):
    assert not is_secret(name)


def operation(**more):
    return Operation(action="user.update", kind="audit", **more)


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [
        ("a", "b", (SECRET, SECRET)),
        (None, "b", (None, SECRET)),
        ("a", None, (SECRET, None)),
        (ABSENT, "b", (ABSENT, SECRET)),
        (UNKNOWN, "b", (UNKNOWN, SECRET)),
        ("", "b", ("", SECRET)),
        ("a", "a", ("a", "a")),  # nothing changed: no document comes of it
    ],
)
def test_of_a_changed_secret_only_the_direction_stays(old, new, left):
    op = operation(changes=[Change("smtp.password", old, new, old_label="x", new_label="y")])
    hide_secrets(op)
    assert (op.changes[0].old, op.changes[0].new) == left
    if old != new:
        assert op.changes[0].old_label is op.changes[0].new_label is None


def test_secrets_are_dropped_from_values_leftovers_and_within_changes():
    op = operation(
        changes=[Change("settings", {"smtp": {"password": "geheim1"}}, {"smtp": {"password": "geheim2", "host": "h"}})],
        values={"apiKey": "geheim3", "list": [{"client_secret": "geheim4", "pin": 1}], "password": None},
        raw={
            "deep": {"er": [{"access_token": "geheim5"}]},
            "secrets": ["geheim6"],
            "otp_secret": 123456,
            "password": True,
        },
    )
    hide_secrets(op)
    text = json.dumps([op.values, op.raw, op.changes[0].old, op.changes[0].new])
    assert "geheim" not in text and "123456" not in text
    assert op.values == {"apiKey": DROPPED, "list": [{"client_secret": DROPPED, "pin": 1}], "password": None}
    assert op.raw["password"] is True and op.changes[0].new["smtp"]["host"] == "h"


def test_secrets_in_pairs_and_deep_in_values_are_dropped():
    op = Operation(
        action="config.update",
        kind="x",
        raw={"list": [{"Name": "Password", "Value": "p"}, {"key": "size", "value": "5"}], "deep": {"apiKey": "k"}},
        values={"options": {"a": [{"clientSecret": "s", "n": 1}]}, "SecretString": "t"},
        changes=[Change("conf", {"password": "a"}, {"password": None, "size": 1}), Change("SecretString", None, "x")],
    )
    hide_secrets(op, frozenset({"secretstring"}))
    assert op.raw == {
        "list": [{"Name": "Password", "Value": "(secret dropped)"}, {"key": "size", "value": "5"}],
        "deep": {"apiKey": "(secret dropped)"},
    }
    assert op.values == {
        "options": {"a": [{"clientSecret": "(secret dropped)", "n": 1}]},
        "SecretString": "(secret dropped)",
    }
    assert op.changes[0].old == {"password": "(secret dropped)"} and op.changes[0].new == {"password": None, "size": 1}
    assert op.changes[1] == Change("SecretString", None, SECRET)


def test_a_change_of_nothing_but_a_secret_deep_inside_stays_a_change():
    record = {"id": 1, "options": [{"password": "a"}, {"password": "b"}]}

    def one(item):
        return [operation(changes=[Change("options", *item.pop("options"))], raw=item)]

    (op,) = each(Items([record], {}), one)
    assert not op.no_change and op.changes[0].old == op.changes[0].new == {"password": DROPPED}


def test_lists_under_the_name_of_a_secret_go_whole():
    op = operation(raw={"recovery_codes": [{"code": "geheim"}], "backupCodes": ["geheim"], "passwords": []})
    hide_secrets(op)
    assert op.raw == {"recovery_codes": DROPPED, "backupCodes": DROPPED, "passwords": []}


@given(JSON_VALUES)
def test_any_value_can_be_walked(value):
    op = operation(raw={"a": value}, values={"b": value}, changes=[Change("c", value, {"password": value})])
    hide_secrets(op)
