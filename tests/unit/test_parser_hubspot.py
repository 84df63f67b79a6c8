"""HubSpot webhooks, property history and account activity: bodies to operations."""

import json

import pytest

import mappings
from parsers import hubspot
from parsers._contract import SECRET, UNKNOWN, Change, Context, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

WEBHOOK = {
    "eventId": 3181526809,
    "subscriptionId": 25,
    "portalId": 33,
    "appId": 1160452,
    "occurredAt": 1772384645507,
    "subscriptionType": "contact.propertyChange",
    "attemptNumber": 0,
    "objectId": 991,
    "propertyName": "salary",
    "propertyValue": "120000",
    "changeSource": "CRM_UI",
    "sourceId": "userId:7",
}
HISTORY = {
    "id": "991",
    "archived": False,
    "propertiesWithHistory": {
        "salary": [
            {"value": "120", "timestamp": "2026-03-01T00:00:00Z", "sourceType": "CRM_UI", "updatedByUserId": 7},
            {
                "value": "95",
                "timestamp": "2026-02-01T00:00:00Z",
                "sourceType": "AUTOMATION_PLATFORM",
                "sourceId": "e:1",
            },
            {"value": None, "timestamp": "2026-01-01T00:00:00Z", "sourceId": "userId:8", "sourceLabel": "Lee"},
        ]
    },
}
AUDIT = {
    "id": "a-1",
    "category": "CRM_OBJECT",
    "subCategory": "CONTACT",
    "action": "UPDATE",
    "targetObjectId": "991",
    "occurredAt": "2026-03-01T17:04:05.507Z",
    "actingUser": {"userId": 7, "userEmail": "kim@co.example"},
}
LOGIN = {
    "id": "48",
    "loginAt": "2026-03-01T17:04:05.507Z",
    "userId": 7,
    "email": "kim@co.example",
    "loginSucceeded": False,
    "ipAddress": "198.51.100.9",
    "location": "bern, switzerland",
    "userAgent": "ExampleBrowser/1.0",
    "countryCode": "ch",
    "regionCode": "be",
}
SECURITY = {
    "id": "s-1",
    "type": "ADD_USER",
    "createdAt": "2026-03-01T17:04:05.303Z",
    "actingUser": "kim@co.example",
    "userId": 7,
    "objectId": "7654",
    "ipAddress": "198.51.100.9",
    "infoUrl": "https://app.hubspot.example/settings",
}
LINES = [
    json.dumps([WEBHOOK, {**WEBHOOK, "subscriptionType": "contact.merge", "mergedObjectIds": [1]}]).encode(),
    json.dumps(HISTORY).encode(),
    json.dumps({"results": [AUDIT], "paging": {"next": {"after": "x"}}}).encode(),
    json.dumps(LOGIN).encode(),
    json.dumps(SECURITY).encode(),
]


def parse(document, context=CONTEXT):
    return hubspot.parse(json.dumps(document).encode(), context)


def test_a_property_change_gives_the_new_value_and_the_user():
    assert one(hubspot.parse, [WEBHOOK]) == Operation(
        action="field.update",
        kind="webhook",
        time=Time(1772384645507, "epoch_ms"),
        id="3181526809",
        code="contact.propertyChange",
        object_type="contact",
        object_id="991",
        actor_type="user",
        actor_confidence="asserted",
        interface="ui",
        fields={"organization.id": "33", "user.id": "7"},
        changes=[Change("salary", UNKNOWN, "120000", derivation="new_only")],
        raw={"subscriptionId": 25, "appId": 1160452, "attemptNumber": 0, "changeSource": "CRM_UI"},
    )


@pytest.mark.parametrize(
    ("kind", "more", "action", "object_id"),
    [
        ("contact.creation", {}, "record.create", "991"),
        ("company.deletion", {}, "record.delete", "991"),
        ("contact.privacyDeletion", {}, "record.purge", "991"),
        ("deal.restore", {}, "record.restore", "991"),
        ("contact.merge", {"objectId": None, "primaryObjectId": 5, "mergedObjectIds": [6]}, "record.merge", "5"),
        ("contact.associationChange", {"objectId": None, "fromObjectId": 5, "toObjectId": 6}, "record.link", "5"),
        ("contact.associationChange", {"fromObjectId": 5, "associationRemoved": True}, "record.unlink", "991"),
        ("conversation.newMessage", {}, "log.message", "991"),
    ],
)
def test_subscription_types_become_our_actions(kind, more, action, object_id):
    op = one(hubspot.parse, [{**WEBHOOK, "subscriptionType": kind, **more}])
    assert (op.action, op.object_id, op.code, op.changes) == (action, object_id, kind, [])


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"sourceId": "x"}, ("ui", "user", "inferred", "changeSource")),
        (
            {"sourceId": None, "changeSource": "AUTOMATION_PLATFORM"},
            ("automation", "automation", "inferred", "changeSource"),
        ),
        ({"sourceId": None, "changeSource": "API"}, ("api", "api_key", "inferred", "changeSource")),
        ({"sourceId": None, "changeSource": "NEW"}, (None, "unknown", "unknown", None)),
        ({"changeSource": "API"}, ("api", "user", "asserted", None)),
    ],
)
def test_an_actor_that_is_not_named_is_only_inferred(more, expected):
    op = one(hubspot.parse, [{**WEBHOOK, **more}])
    assert (op.interface, op.actor_type, op.actor_confidence, op.fields.get("trail.actor.basis")) == expected


def test_generic_subscriptions_name_the_type_by_its_id():
    generic = {**WEBHOOK, "subscriptionType": "object.propertyChange"}
    assert one(hubspot.parse, [{**generic, "objectTypeId": "0-3"}]).object_type == "deal"
    assert one(hubspot.parse, [{**generic, "objectTypeId": "2-77"}]).object_type == "2-77"


def test_each_history_item_is_an_operation_whose_old_value_is_the_next_older_item():
    operations = parse(HISTORY)
    assert [op.changes for op in operations] == [
        [Change("salary", UNKNOWN, None, derivation="new_only")],
        [Change("salary", None, "95", derivation="reconstructed")],
        [Change("salary", "95", "120", derivation="reconstructed")],
    ]
    assert [op.fields.get("user.id") for op in operations] == ["8", None, "7"]
    assert [op.actor_type for op in operations] == ["user", "automation", "user"]
    assert [op.time.text for op in operations] == [f"2026-0{month}-01T00:00:00Z" for month in (1, 2, 3)]
    assert operations[0].raw == {"archived": False, "propertiesWithHistory": {"salary": {"sourceLabel": "Lee"}}}


def test_an_item_that_stands_alone_has_what_was_before_it_beside_it():
    newest, older, *_ = HISTORY["propertiesWithHistory"]["salary"]
    alone = {"objectType": "deal", "id": "5", "propertiesWithHistory": {"salary": [newest]}}
    op = one(hubspot.parse, {**alone, "before": {"salary": older}})
    assert op.changes == [Change("salary", "95", "120", derivation="reconstructed")]
    assert (op.object_type, op.object_id, op.fields["user.id"]) == ("deal", "5", "7")
    assert op.raw["before"] == {"salary": {name: value for name, value in older.items() if name != "value"}}
    assert one(hubspot.parse, alone).changes == [Change("salary", UNKNOWN, "120", derivation="new_only")]
    assert isinstance(hubspot.parse(json.dumps({**alone, "before": {"salary": 1}}).encode(), CONTEXT), Rejected)


def test_a_history_that_was_turned_round_is_read_in_the_order_of_time():
    turned = {**HISTORY, "propertiesWithHistory": {"salary": HISTORY["propertiesWithHistory"]["salary"][::-1]}}
    assert [op.changes[0].new for op in parse(turned)] == [None, "95", "120"]


def test_the_type_of_a_history_comes_from_the_option_or_the_url():
    assert {op.object_type for op in parse(HISTORY)} == {None}
    assert {op.object_type for op in parse(HISTORY, Context(options={"object_type": "contact"}))} == {"contact"}
    url = "https://app.hubspot.example/contacts/33/record/0-2/991"
    assert {op.object_type for op in parse({**HISTORY, "url": url})} == {"company"}


def test_a_history_without_items_is_no_change():
    assert one(hubspot.parse, {**HISTORY, "propertiesWithHistory": {"a": []}}).no_change


@pytest.mark.parametrize(
    ("category", "sub", "verb", "action", "object_type"),
    [
        ("CRM_OBJECT", "CONTACT", "UPDATE", "field.update", "contact"),
        ("CRM_OBJECT", "DEAL", "CREATE", "record.create", "deal"),
        ("PROPERTY_VALUE", "CONTACT", "UPDATE", "field.update", "property_value"),
        ("PIPELINE", "DEAL", "UPDATE", "config.update", "pipeline"),
        ("WORKFLOW", None, "UPDATE", "automation.edit", "workflow"),
        ("USER", "USER_PERMISSIONS", "UPDATE", "user.update", "user"),
        ("PERMISSION_SET", None, "DELETE", "role.delete", "permission_set"),
        ("PRIVATE_APP", None, "DELETE", "token.revoke", "private_app"),
        ("EXPORT", "CONTACT", "PERFORM", "data.export", "export"),
        ("LOGIN", "LOGIN_FAILED", "PERFORM", "auth.login", None),
        ("SOMETHING", "NEW", "FROB", "log.message", "something"),
    ],
)
def test_categories_of_the_audit_log_become_our_actions(category, sub, verb, action, object_type):
    op = one(hubspot.parse, {**AUDIT, "category": category, "subCategory": sub, "action": verb})
    assert (op.action, op.object_type) == (action, object_type)
    assert op.code == ".".join(word for word in (category, sub, verb) if word)
    assert (op.fields["user.id"], op.fields["user.email"]) == ("7", "kim@co.example")


def test_a_login_has_its_outcome_and_where_from():
    op = one(hubspot.parse, LOGIN)
    assert (op.action, op.outcome, op.id) == ("auth.login", "failure", "48")
    assert op.fields["source.ip"] == "198.51.100.9"
    assert op.fields["source.geo.country_iso_code"] == "CH"
    assert op.raw == {"regionCode": "be"}


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("ADD_USER", "user.create"),
        ("REMOVE_USER", "user.delete"),
        ("DEACTIVATE_USER", "user.disable"),
        ("EXPORT_CONTACTS", "data.export"),
        ("ADD_TWO_FACTOR_AUTHENTICATION", "mfa.enable"),
        ("REMOVE_TWO_FACTOR_AUTHENTICATION", "mfa.disable"),
        ("VIEW_API_KEY", "record.view"),
        ("CREATE_API_KEY", "token.create"),
        ("DEACTIVATE_API_KEY", "token.revoke"),
        ("ADD_SUPER_ADMIN", "role.grant"),
        ("REQUIRE_SINGLE_SIGN_ON", "config.update"),
        ("SOMETHING_NEW", "log.message"),
    ],
)
def test_types_of_security_activity_become_our_actions(kind, action):
    assert one(hubspot.parse, {**SECURITY, "type": kind}).action == action


def test_every_action_is_in_the_vocabulary():
    known = set(mappings.actions())
    assert {action for *_, action, _ in hubspot._SECURITY} | set(hubspot._WEBHOOKS.values()) <= known
    for _, family, update in hubspot._NOUNS:
        if family not in {"auth", "record"} and "." not in family:
            verbs = ("create", update) if family == "token" else ("create", update, "delete")
            assert {f"{family}.{verb}" for verb in verbs} <= known


@pytest.mark.parametrize("document", [WEBHOOK, AUDIT, LOGIN, SECURITY])
def test_nothing_of_a_body_is_lost_or_doubled(document):
    line = json.dumps({**document, "extra": {"k": ["only here"]}}).encode()
    ours = {"CRM_OBJECT", "CONTACT", "UPDATE", "False", "ch", "salary", "userId:7", "ADD_USER"}
    assert_nothing_is_lost_or_doubled(hubspot.parse, line, translated=ours)


def test_a_secret_property_is_dropped():
    assert one(hubspot.parse, {**WEBHOOK, "propertyName": "api_key"}).changes[0].new is SECRET


def test_null_keeps_its_direction():
    assert one(hubspot.parse, {**WEBHOOK, "propertyValue": None}).changes[0].new is None


@pytest.mark.parametrize(
    "document",
    [
        {"results": []},
        {**WEBHOOK, "portalId": ...},
        {**HISTORY, "propertiesWithHistory": {"a": {}}},
        {**AUDIT, "occurredAt": ...},
    ],
)
def test_what_is_not_hubspots_is_refused(document):
    document = {name: value for name, value in document.items() if value is not ...}
    assert isinstance(parse(document), Rejected)


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in LINES:
        assert any(literal in line for literal in hubspot.LITERALS)
