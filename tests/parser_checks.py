"""What every parser must hold, for the contract suite and the unit tests of the formats."""

import json
from collections import Counter

from hypothesis import strategies as st

from parsers._contract import ABSENT, UNKNOWN, Context, Operation, Rejected
from parsers._json import Number

CONTEXT = Context(received="2026-04-01T00:00:00.000Z")

FOREIGN = {
    "django-auditlog": b'{"content_type":7,"object_pk":"12","object_id":12,"object_repr":"Offer 12","action":1,"changes":{"salary":["1","2"]},"actor":3,"remote_addr":"192.0.2.1","timestamp":"2026-03-01T17:04:05Z","additional_data":null}',
    "ecs": b'{"@timestamp":"2026-03-01T17:04:05.507Z","log.level":"warning","message":"field changed","ecs.version":"1.6.0","event":{"type":["change"],"action":"edit"},"user":{"id":"42"}}',
    "structlog": b'{"event":"field changed","level":"info","logger":"app","timestamp":"2026-03-01T17:04:05Z","user_id":7}',
    "generic": b'{"id":1,"type":"note","text":"hello","data":{"a":[1,2]}}',
    "list": b'[1,"two",null]',
    "bamboohr": b'{"type":"employee.updated","timestamp":"2026-01-31T18:42:00+0000","data":{"companyId":"12345","employeeId":"67890","changedFields":["firstName"]}}',
    "nginx": b'192.0.2.1 - - [01/Mar/2026:17:04:05 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8"',
    "empty": b"",
    "blank": b" \t",
    "bom": b'\xef\xbb\xbf{"a":1}',
    "not utf-8": b'{"a":"\xff"}',
    "nan": b'{"a":NaN}',
    "surrogate": b'{"a":"\\ud800"}',
    "number": b"12345678901234567890",
    "text": b'"text"',
    "null": b"null",
    "greenhouse": b'{"request":{"id":"r9","type":"offers#update"},"performer":{"id":7,"type":"user","ip_address":"198.51.100.9","meta":{"name":"Kim Q","username":"kim@co.example"}},"organization_id":123,"event":{"type":"data_change_update","target_type":"Offer","target_id":55,"meta":{"salary":[90000,120000]}},"event_time":"2026-02-03T10:30:00.000Z"}',
    "makecom": b'{"uuid":"c37c7292-35cd","triggeredAt":"2026-03-14T12:34:56Z","eventName":"webhook_updated","organization":{"id":11,"name":"Acme"},"actor":{"id":7,"name":"Ann","email":"ann@acme.example"},"targetId":"654"}',
    "makecom run": b'{"imtId":"1773491696497_scenario.1229.auto.da518adc","id":"da518adc","status":1,"duration":19979,"operations":10,"type":"auto","authorId":null,"timestamp":"2026-03-14T12:34:56.497Z"}',
    "keap": b'{"event_key":"contact.edit","object_type":"contact","object_keys":[{"id":1234,"apiUrl":"https://api.keap.example/contacts/1234","timestamp":"2026-03-01T17:04:05Z"}]}',
    "keap move": b'{"id":"812","opportunity_id":"991","move_time":"2026-03-01T17:04:05Z","move_from_stage_id":"0","move_to_stage_id":"14","user_id":"40077"}',
    "greenhouse webhook": b'{"action":"offer_updated","payload":{"id":5120,"application_id":71980,"version":2,"offer_status":"Created"}}',
    "greenhouse onboarding": b'{"event_type":"employee:updated","id":"0b7e5d1c","payload":{"updated_employee_id":31,"acting_employee_id":7,"updated_at":"2026-02-03T10:31:00-07:00","updated_fields":[{"id":"phone","name":"Phone"}]}}',
    "bamboohr fields": b'{"employees":[{"id":"3108","action":"Updated","timestamp":"2026-02-10T09:15:00+0000","changedFields":["Pay rate"],"fields":{"Pay rate":"98000.00 USD"}}]}',
    "workday": b'{"activityAction":"READ","systemAccount":"rvale","requestTime":"2026-03-09T07:15:30.250Z","taskDisplayName":"View Worker Pay","sessionId":"d04f1a","taskId":"7a10b3c4d5e6","ipAddress":"198.51.100.9"}',
    "workday sign-on": b'{"Report_Entry":[{"Authentication_Type":"SAML","Sign-on_Time":"2026-03-12T09:20:05-07:00","Session_ID":"e7719c","userName":"rvale"}]}',
    "lever": b'{"id":"5f1c","event":"candidateStageChange","triggeredAt":1772384645000,"token":"7c40","signature":"e15d","data":{"candidateId":"c-1","fromStageId":"lead-new","toStageId":"phone-screen"}}',
    "lever audit": b'{"id":"ae-1","createdAt":1772384645000,"type":"user:login","user":{"id":"u-7","name":"Kim Q"},"target":{"type":"user","id":"u-7"},"meta":{}}',
    "ashby": b'{"webhookActionId":"0d9a61b2","action":"candidateStageChange","data":{"application":{"id":"a-1","status":"Active","currentInterviewStage":{"id":"s-2","title":"Phone Screen"}}}}',
    "bullhorn": b'{"requestId":2,"events":[{"eventId":"ID:JBM-9001","eventType":"ENTITY","eventTimestamp":1772384645000,"eventMetadata":{"PERSON_ID":"2"},"entityName":"Candidate","entityId":5401,"entityEventType":"UPDATED","updatedProperties":["salary"]}]}',
    "bullhorn history": b'{"id":6001,"columnName":"payRate","oldValue":"40","newValue":"45","editHistory":{"id":880,"dateAdded":1772384645000,"modifyingPerson":{"id":2},"targetEntity":{"id":55}}}',
    "personio": b'{"company_id":"4711","event_name":"person.updated","occurred_at":"2026-03-01T17:04:05Z","payload":{"person_id":"1024"}}',
    "paylocity": b'{"companyId":"ACM1","employeeId":"20417"}',
    "highlevel": b'{"type":"OpportunityStageUpdate","locationId":"loc-1","id":"opp-1","status":"open","pipelineStageId":"stage-2","monetaryValue":40}',
}
"""One line of each of many formats, and lines of none."""


def assert_never_raises_when_cut(parse, line):
    """Every proper prefix is refused (JSON has no complete prefix of an object), and nothing raises."""
    for end in range(len(line)):
        assert isinstance(parse(line[:end], CONTEXT), Rejected), end


def leaves(value):
    """The scalars in a JSON value, as text."""
    if isinstance(value, dict):
        for member in value.values():
            yield from leaves(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from leaves(member)
    elif value is not ABSENT and value is not UNKNOWN:
        yield str(value)


def carried(operations):
    """How often each scalar stands in what the operations carry; names and marks of ours are left out."""
    found = Counter()
    for op in operations:
        found.update(leaves([op.raw, op.values, op.fields, [[c.old, c.new] for c in op.changes]]))
        scalars = [op.code, op.object_id, op.object_label, op.time.text if op.time else None]
        if op.id not in op.fields.values():
            scalars.append(op.id)
        found.update(leaves([scalar for scalar in scalars if scalar is not None]))
    return found


def assert_nothing_is_lost_or_doubled(parse, line, translated=()):
    """Each scalar of `line` (they must all differ) is carried exactly once, but for `translated` ones."""
    source = list(leaves(json.loads(line)))
    assert len(source) == len(set(source)), "a sample for this check has scalars that all differ"
    operations = parse(line, CONTEXT)
    assert isinstance(operations, list)
    found = carried(operations)
    wrong = {text: found[text] for text in source if text not in translated and found[text] != 1}
    assert wrong == {}


def one(parse, document):
    """The only operation of a document (an object or bytes)."""
    result = parse(document if isinstance(document, bytes) else json.dumps(document).encode(), CONTEXT)
    assert isinstance(result, list), result
    assert len(result) == 1
    return result[0]


def assert_sound(result):
    """A result is what the contract says, whatever the input was."""
    if isinstance(result, Rejected):
        assert isinstance(result.reason, str) and len(result.reason) < 200
        return
    assert isinstance(result, list) and result
    for op in result:
        assert isinstance(op, Operation)
        for text in (op.id, op.code, op.object_type, op.object_id, op.object_label):
            assert text is None or (isinstance(text, str) and not isinstance(text, Number))
        assert op.outcome in {None, "success", "failure", "unknown"}
        assert op.actor_type in {"user", "automation", "api_key", "system", "unknown"}
        assert op.actor_confidence in {"asserted", "inferred", "unknown"}
        assert op.interface in {None, "ui", "api", "automation", "import", "mobile", "sync", "system", "unknown"}
        assert all(isinstance(change.field, str) and change.field for change in op.changes)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["0", "192.0.2.1", "2026-03-01T17:04:05Z", "a@b.example", " ", "1.10"]),
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=4), child, max_size=3),
    max_leaves=6,
)


def _paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _paths(member, (*path, name))
    elif isinstance(value, list):
        for position, member in enumerate(value):
            yield from _paths(member, (*path, position))


@st.composite
def mutated(draw, lines):
    """A sample with a few of its members replaced by any JSON value, dropped, or with bytes overwritten."""
    document = json.loads(draw(st.sampled_from(lines)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_paths(document))))
        if not path:
            continue
        holder = document
        for step in path[:-1]:
            holder = holder[step]
        if draw(st.booleans()):
            holder[path[-1]] = draw(JSON_VALUES)
        else:
            del holder[path[-1]]
    line = bytearray(json.dumps(document, ensure_ascii=draw(st.booleans())).encode())
    if draw(st.booleans()):
        line[draw(st.integers(0, len(line) - 1))] = draw(st.integers(0, 255))
    return bytes(line)
