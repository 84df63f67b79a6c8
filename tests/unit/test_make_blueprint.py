"""The scenario for Make.com: its structure, and that the body it builds is verified and understood by us.

Make itself is not here: a small evaluator does what the scenario's own expressions need (mapped values, four functions),
as Make's documentation describes them.
"""

import hashlib
import hmac
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import fieldtrail_change
from parsers._contract import Rejected
from shipper._webhook_auth import WebhookAuthSection
from shipper.inputs.webhook.schemes import Accepted, RawRequest, Refused, verify
from tests.parser_checks import CONTEXT

ROOT = Path(__file__).resolve().parents[2]
BLUEPRINT = json.loads((ROOT / "mappings/make/change-recorder.blueprint.json").read_text(encoding="utf-8"))
MODULES = {module["id"]: module for module in BLUEPRINT["flow"]}
NOW = 1_770_000_000
KEY = "a-secret-of-this-scenario-alone"
SYSTEM = {"scenario.id": "1229", "scenario.executionId": "da518adcd14b4b6488ac"}

_token = re.compile(r'\s*(?:"([^"]*)"|([A-Za-z][A-Za-z0-9]*)\(|([0-9A-Za-z_.]+)|([;)]))')


def expression(text, bundles):
    """The value of one `{{…}}`: a mapped value, `now`, a quoted text, or a function of such."""

    def read(at):
        found = _token.match(text, at)
        assert found, f"cannot read {text[at:]!r} in {text!r}"
        quoted, function, name, _ = found.groups()
        at = found.end()
        if quoted is not None:
            return quoted, at
        if function is None:
            return mapped(name), at
        arguments = []
        while True:
            value, at = read(at)
            arguments.append(value)
            mark = _token.match(text, at)
            at = mark.end()
            if mark[4] == ")":
                return call(function, arguments), at

    def mapped(name):
        if name == "now":
            return NOW
        head, _, path = name.partition(".")
        if head == "var":
            return SYSTEM[path]
        value = bundles[int(head)]
        for part in path.split("."):
            value = value[part]
        return value

    value, end = read(0)
    assert not text[end:].strip(), text
    return value


def call(function, arguments):
    if function == "formatDate":
        when, layout = arguments
        return {"X": str(when), "YYYY-MM-DDTHH:mm:ssZ": "2026-02-02T03:40:00+01:00"}[layout]
    if function == "encodeURL":
        return quote(str(arguments[0]), safe="-_.!~*'()")  # as JavaScript's encodeURIComponent
    assert function == "sha256", function
    text, encoding, key = arguments
    assert encoding == "hex"
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def mapped(text, bundles):
    """A field's text with its expressions replaced; an expression alone keeps its type."""
    whole = re.fullmatch(r"\{\{([^{}]*)\}\}", text)
    if whole:
        return expression(whole[1], bundles)
    return re.sub(r"\{\{([^{}]*)\}\}", lambda found: str(expression(found[1], bundles)), text)


def run(before, after, *, object_id="c-1", key=KEY):
    """What the scenario posts: (address, headers, body)."""
    bundles = {1: {"object_id": object_id, "patch": '{"x":1}'}}
    for module in BLUEPRINT["flow"][1:]:
        identity, mapper = module["id"], module["mapper"]
        if module["module"] == "util:SetVariables":
            given = {one["name"]: mapped(one["value"], bundles) for one in mapper["variables"]}
            bundles[identity] = {**given, "key": key} if "key" in given else given
        elif module["module"] == "json:TransformToJSON":
            value = mapped(mapper["object"], bundles)
            bundles[identity] = {"json": json.dumps(value, ensure_ascii=False, separators=(",", ":"))}
        else:
            url, body = mapped(mapper["url"], bundles), mapped(mapper.get("data", ""), bundles)
            headers = [(one["name"], mapped(one["value"], bundles)) for one in mapper["headers"]]
            bundles[identity] = {"data": {3: before, 5: None, 6: after}.get(identity), "sent": (url, headers, body)}
    return bundles[10]["sent"]


def verified(headers, body, received=NOW + 30, secret=KEY):
    section = WebhookAuthSection.model_validate({"fieldtrail": {"secret": KEY, "window": "1d"}})
    return verify(section, RawRequest("POST", "/in/make", "", headers, body.encode(), received), [secret.encode()])


def parsed(body):
    found = fieldtrail_change.parse(body.encode(), CONTEXT)
    assert not isinstance(found, Rejected), found
    return found


def test_the_blueprint_has_the_parts_that_an_import_needs():
    assert set(BLUEPRINT) == {"name", "flow", "metadata"}
    scenario = BLUEPRINT["metadata"]["scenario"]
    # One run after the other, so that a read before is never older than the run before it; what failed is kept.
    assert scenario["sequential"] is True and scenario["dlq"] is True
    assert len(MODULES) == len(BLUEPRINT["flow"])
    handlers = [one for module in BLUEPRINT["flow"] for one in module.get("onerror", [])]
    identities = [*MODULES, *(one["id"] for one in handlers)]
    assert len(set(identities)) == len(identities)
    for module in (*BLUEPRINT["flow"], *handlers):
        assert re.fullmatch(r"[a-z]+:[A-Za-z0-9]+", module["module"]) and module["version"] in {1, 3}
        assert isinstance(module["mapper"], dict) and isinstance(module["parameters"], dict)
        assert {"x", "y", "name"} <= set(module["metadata"]["designer"])


def test_the_scenario_reads_before_it_writes_and_reads_again_before_it_tells():
    steps = [module["module"] for module in BLUEPRINT["flow"]]
    assert steps == [
        "gateway:CustomWebHook", "util:SetVariables", "http:ActionSendData", "json:TransformToJSON",
        "http:ActionSendData", "http:ActionSendData", "json:TransformToJSON", "util:SetVariables", "util:SetVariables",
        "http:ActionSendData",
    ]  # fmt: skip
    methods = [module["mapper"]["method"] for module in BLUEPRINT["flow"] if "method" in module["mapper"]]
    assert methods == ["get", "patch", "get", "post"]


def test_every_mapped_value_comes_from_a_module_before_it():
    seen = set()
    for module in BLUEPRINT["flow"]:
        for text in re.findall(r"\{\{([^{}]*)\}\}", json.dumps(module["mapper"]).replace('\\"', '"')):
            for number in re.findall(r"(?<![\w.\"])(\d+)\.[a-z]", text):
                assert int(number) in seen, (module["id"], text)
        seen.add(module["id"])


def test_an_answer_that_is_no_2xx_fails_the_step_and_is_tried_again_with_the_same_bytes():
    tell = MODULES[10]
    assert all(
        module["parameters"]["handleErrors"] for module in MODULES.values() if module["module"].startswith("http")
    )
    (again,) = tell["onerror"]
    assert again["module"] == "builtin:Break" and again["mapper"]["retry"] is True
    # Time and body come from a module before, so that a step that runs again sends and signs the same.
    assert tell["mapper"]["data"] == "{{8.body}}"
    assert "now" not in json.dumps(tell["mapper"])


def test_the_blueprint_holds_no_secret_and_no_connection_of_anybody():
    text = json.dumps(BLUEPRINT)
    assert "__IMTCONN__" not in text and '"hook"' not in text
    assert "REPLACE-BY-THE-SECRET-OF-THIS-SCENARIO" in text
    for address in re.findall(r"https?://([^/\"]+)", text):
        assert address.endswith(".example")


def test_what_the_scenario_sends_is_verified_and_becomes_the_change_with_both_values():
    address, headers, body = run({"id": "c-1", "owner": "lee", "n": 1}, {"id": "c-1", "owner": "kim", "n": 1})
    assert address == "https://audit.co.example/in/make"
    verdict = verified(headers, body)
    assert isinstance(verdict, Accepted) and verdict.timestamp == NOW
    (op,) = parsed(body)
    assert (op.action, op.object_type, op.object_id, op.id) == (
        "field.update",
        "contact",
        "c-1",
        SYSTEM["scenario.executionId"],
    )
    assert [(one.field, one.old, one.new) for one in op.changes] == [("owner", "lee", "kim")]
    assert (op.actor_type, op.fields["user.id"]) == ("automation", "svc-make-contact-sync")
    assert op.fields["trail.automation.scenario.id"] == "1229"
    assert op.fields["trail.automation.execution.id"] == SYSTEM["scenario.executionId"]
    assert op.raw in ({}, None)


def test_a_retry_hours_later_is_the_same_delivery():
    _, headers, body = run({"a": 1}, {"a": 2})
    first, again = verified(headers, body), verified(headers, body, received=NOW + 3 * 3600)
    assert first.delivery_id == again.delivery_id is not None
    assert verified(headers, body, received=NOW + 86401) == Refused("the time is too old")


def test_a_body_that_was_changed_and_another_key_are_refused():
    _, headers, body = run({"owner": "lee"}, {"owner": "kim"})
    assert isinstance(verified(headers, body.replace("kim", "pat")), Refused)
    assert isinstance(verified(headers, body, secret="another"), Refused)
    _, forged, same = run({"owner": "lee"}, {"owner": "kim"}, key="REPLACE-BY-THE-SECRET-OF-THIS-SCENARIO")
    assert isinstance(verified(forged, same), Refused)


def test_nothing_changed_is_no_change():
    _, headers, body = run({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]})
    assert isinstance(verified(headers, body), Accepted)
    assert [op.no_change for op in parsed(body)] == [True]


@pytest.mark.parametrize("identity", ['c","actor":{"id":"root"},"x":"', "a\\", "a b/c?d", "ü\n\u2028", "{{1.patch}}"])
def test_an_id_that_would_break_out_of_its_text_cannot(identity):
    _, headers, body = run({"a": 1}, {"a": 2}, object_id=identity)
    assert isinstance(verified(headers, body), Accepted)
    (op,) = parsed(body)
    assert op.object_id == quote(identity, safe="-_.!~*'()") and op.fields["user.id"] == "svc-make-contact-sync"


VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12)
RECORDS = st.dictionaries(st.text("abcxyz_", min_size=1, max_size=6), VALUES, min_size=1, max_size=5)


@settings(max_examples=100, deadline=None)
@given(before=RECORDS, after=RECORDS)
def test_values_of_any_text_arrive_as_they_are(before, after):
    _, headers, body = run(before, after)
    assert isinstance(verified(headers, body), Accepted)
    told = json.loads(body)
    assert (told["before"], told["after"]) == (before, after)
    parsed(body)


def test_the_how_to_names_every_module_and_every_setting():
    page = (ROOT / "docs/howto/make.md").read_text(encoding="utf-8")
    for one in MODULES[2]["mapper"]["variables"]:
        assert f"`{one['name']}`" in page, one["name"]
    for module in BLUEPRINT["flow"]:
        assert f"{module['id']}." in page
