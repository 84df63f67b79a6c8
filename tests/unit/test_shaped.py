"""Operations of hand-written parsers: the quick way gives the reference's bytes and times, or steps aside."""

import copy
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mappings
from parsers import Change, Operation, Time, names
from parsers._contract import ABSENT, UNKNOWN, Context
from shipper.build import Lanes
from shipper.config import parse
from shipper.normalize import Origin
from shipper.seal.canonical import canonical
from shipper.shaped import Shaper
from shipper.spliced import Times
from tests.framed import records_of

RECEIVED, RECEIVED_TEXT = 1_780_000_000.0, "2026-05-28T20:26:40.000Z"
BEFORE = 1_772_000_000.0
GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def lane(name="nginx", setting="keep_original: false"):
    text = f'inputs: [{{id: x, type: file, paths: ["/x"], format: {name}, timezone: Europe/Berlin, {setting}}}]'
    return Lanes(parse(text, "test"), "test", bytes).lane("x", name)


class Way:
    """A quick way whose parser gives the operation that it is handed."""

    def __init__(self, name="nginx", **more):
        made = lane(name, **more)
        self.normalizer = made.normalizer
        self.operations = []
        self.shaper = Shaper(lambda data, context: copy.deepcopy(self.operations), made.context, made.normalizer)

    @classmethod
    def afresh(cls):
        """One that knows nothing yet, sooner than with a lane of its own."""
        way = copy.copy(cls._FIRST or cls())
        cls._FIRST = way
        way.operations = []
        way.shaper = Shaper(lambda data, context: copy.deepcopy(way.operations), Context(), way.normalizer)
        return way

    _FIRST = None

    def quick(self, operation, data=b"a line", before=BEFORE):
        self.operations = [operation]
        times = Times(before)
        line = self.shaper.begin("stream", 'a "b".log', RECEIVED, RECEIVED_TEXT, None, times)
        found = line(data, 40, len(data) + 1)
        if found is None:
            assert times.previous == before
            return None
        dataset, bodies = found
        assert {orjson.loads(body)["data_stream"]["dataset"] for body in bodies} == {dataset}
        return bodies, times.previous

    def reference(self, operation, data=b"a line", before=BEFORE):
        origin = Origin("stream", 'a "b".log', 40, len(data) + 1, RECEIVED, RECEIVED_TEXT, None, before, 0, data)
        documents, seconds = self.normalizer.events(copy.deepcopy(operation), origin)
        return [canonical(document) for document in documents], before if seconds is None else seconds

    def agrees(self, operation, before=BEFORE):
        """Whether the quick way took it; if it did, it gave what the reference gives."""
        found = self.quick(operation, before=before)
        if found is not None:
            assert found == self.reference(operation, before=before)
        return found is not None


def usual(**members):
    given = {
        "action": "http.request",
        "kind": "access",
        "time": Time("10/Mar/2026:13:55:36 +0100", "clf"),
        "outcome": "success",
        "fields": {
            "source.ip": "203.0.113.7",
            "http.request.method": "GET",
            "url.original": "/path?x=1",
            "url.path": "/path",
            "url.query": "x=1",
            "http.response.status_code": 200,
            "user_agent.original": "ExampleBrowser/1.0",
            "user.name": "kim",
        },
        "message": "GET /path?x=1 HTTP/1.1",
    }
    return Operation(**{**given, **members})


def edit(**members):
    given = {
        "action": "field.update",
        "kind": "audit",
        "time": Time("2026-02-03T10:30:00.123Z"),
        "id": "op-1",
        "object_type": "employee",
        "object_id": "7711",
        "object_name": "Kim",
        "actor_type": "user",
        "actor_confidence": "asserted",
        "fields": {"user.id": "7", "user.email": "kim@co.example", "source.ip": "2001:db8::1"},
        "changes": [Change("status", "open", "closed"), Change("amount", 5, 7)],
        "raw": {"left": "over", "number": 7, "flag": True, "none": None},
    }
    return Operation(**{**given, **members})


def with_fields(operation, **fields):
    operation.fields.update({name.replace("__", "."): value for name, value in fields.items()})
    return operation


def secret(text):
    return usual(message=f"GET {text} HTTP/1.1", fields={**usual().fields, "url.original": text, "url.path": text})


@pytest.mark.parametrize("make", [usual, edit])
def test_a_usual_operation_goes_the_quick_way_at_once(make):
    way = Way()
    assert way.agrees(make())
    assert way.agrees(make())


NEAR = {
    "other texts": with_fields(usual(), user__name="Zoë 東京 😀", url__path="/{x}%s"),
    "quotes and backslashes": with_fields(usual(), user_agent__original='a "b" \\ c\\u001e', user__name="\\"),
    "control characters": with_fields(usual(), user_agent__original="a\tb\x00\x1b\x7f\u2028\u202e"),
    "an address of the newer kind": with_fields(usual(), source__ip="2001:DB8:0::1"),
    "an address with a port": with_fields(usual(), source__ip="203.0.113.7:443"),
    "a number as text": with_fields(usual(), http__response__status_code="404"),
    "a secret in the query": with_fields(usual(), url__query="token=abc&x=1"),
    "a secret in the sentence alone": usual(message="password: hunter2"),
    "a secret with a quoted key": usual(message='{"password": "hunter2"}'),
    "a secret in path and sentence": secret("/a?token=abc"),
    "an account number": secret("/DE89370400440532013000"),
    "a card number": secret("/4111111111111111"),
    "a social security number": secret("/078-05-1120"),
    "a part that is none of the whole": with_fields(usual(), url__path="/other", url__query="password=hunter2"),
    "a whole that the sentence does not hold": with_fields(
        usual(), url__original="/p?password=y", url__path="/p", url__query="password=y"
    ),
    "a time without an offset": usual(time=Time("10/Mar/2026:13:55:36", "clf")),
    "a time without a year": usual(time=Time("Mar 10 13:55:36", "rfc3164")),
    "a long text": with_fields(usual(), user_agent__original="x" * 3000),
    "an edit with odd texts": edit(
        id='"id"', object_id="a b", object_name="{x} \\", changes=[Change("ü", "{a}", "tab\t")]
    ),
    "an edit with long texts": edit(object_name="n" * 400, changes=[Change("f" * 100, "o" * 500, "p" * 120)]),
    "an edit of a number": edit(changes=[Change("amount", "5", 7.5), Change("amount", None, 7)]),
    "an edit of what was never said": edit(changes=[Change("amount", UNKNOWN, 7), Change("amount", ABSENT, "")]),
    "an edit without a name": edit(object_name=None),
    "an edit without an id": edit(object_id=None),
    "an edit with an empty id": edit(object_id=""),
    "an edit without an operation id": edit(id=None),
    "an edit by an automation": edit(interface="automation"),
    "other leftovers": edit(raw={"left": "\x1e\\", "number": -3, "flag": False, "none": None}),
}


@pytest.mark.parametrize("operation", NEAR.values(), ids=NEAR)
def test_operations_near_the_usual_ones_are_what_the_reference_makes_of_them(operation):
    way = Way()
    for one in (usual(), edit(), operation, operation, usual(), edit(), operation):
        way.agrees(one)


@pytest.mark.parametrize("name", ["other texts", "a number as text", "a secret in the query", "an account number"])
def test_what_differs_in_texts_alone_goes_the_quick_way(name):
    way = Way()
    assert way.agrees(usual())
    assert way.agrees(NEAR[name])


FAR = {
    "values of a record": edit(values={"a": "b"}),
    "an edit of nothing": usual(no_change=True),
    "no time": usual(time=None),
    "an unreadable time": usual(time=Time("yesterday")),
    "a list": with_fields(usual(), host__ip=["192.0.2.1"]),
    "a field that is none": with_fields(usual(), no__such="x"),
    "a field that the policy withholds": with_fields(usual(), http__request__password="x"),
    "a number that is none": with_fields(usual(), http__response__status_code="many"),
    "a name that is no address": with_fields(usual(), source__ip="crm.example"),
    "an empty text": with_fields(usual(), user__name=""),
    "a value that the policy withholds": edit(changes=[Change("iban", "DE89", "DE90")]),
    "a value that is JSON": edit(changes=[Change("status", '{"a":1}', "b")]),
    "a leftover that is JSON": edit(raw={"left": '{"iban":"x"}'}),
    "a leftover with members": edit(raw={"left": {"iban": "x"}}),
    "a leftover that the policy withholds": edit(raw={"password": "x", "n": 1}),
    "a name that is JSON": edit(object_name='{"iban":"x"}'),
    "half a character": with_fields(usual(), user__name="\ud800"),
}


@pytest.mark.parametrize("operation", FAR.values(), ids=FAR)
def test_what_needs_more_than_texts_in_a_template_is_left_to_the_reference(operation):
    way = Way()
    for one in (operation, usual(), edit()):
        assert way.agrees(one) == (one is not operation)
    assert not way.agrees(operation)


@pytest.mark.parametrize("setting", ["keep_original: true", "keep_unmapped: false"])
def test_inputs_that_keep_more_or_less_of_a_line_have_no_quick_way(setting):
    way = Way(setting=setting)
    assert [way.agrees(usual()) for _ in range(3)] == [False] * 3


def test_two_records_in_one_line_and_lines_that_were_refused_are_left_to_the_reference():
    way = Way()
    assert way.agrees(usual())
    way.operations = [usual(), usual()]
    line = way.shaper.begin("stream", "a.log", RECEIVED, RECEIVED_TEXT, None, Times(None))
    assert line(b"a line", 0, 7) is None
    assert line(b"x" * 9_000, 0, 9_001) is None


# -- any two operations of one shape ------------------------------------------------------------------------------------

ODD = st.sampled_from(
    ["x", "7", "-", "ü", "東 😀", "\u202e", "\u2028", "a\tb", "\x7f", "\x1e", "\\u001e", 'say "x"', "\\", "{", "{x}", "{}",
     '{"iban":"x"}', "[1]", "%s", "|", "ꙮ", "ꙮm", "None", "automation x", "the system", "192.0.2.1", "2001:DB8::1", "::1",
     "kim@co.example", "/p?q=1", "/p", "q=1", "token=abc", "/p?token=abc&x=y", "password: hunter2", "'password': 'x'", '"pin"=5',
     "DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "4111 1111 1111 1111", "4111111111111111", "078-05-1120",
     "2026-01-01", "true", "y" * 121, "z" * 700, "GET /p?q=1 HTTP/1.1", "GET /p?token=abc HTTP/1.1", "\ud800"]
)  # fmt: skip
TEXTS = ODD | st.text(max_size=12) | st.tuples(ODD, ODD).map(" ".join)
SCALARS = TEXTS | st.integers(-(2**60), 2**60) | st.booleans() | st.none() | st.floats(allow_nan=False)
FIELDS = st.sampled_from(
    ["source.ip", "client.ip", "source.port", "destination.ip", "source.domain", "host.hostname", "user.id", "user.name",
     "user.email", "user.full_name", "user.target.id", "user.target.name", "url.original", "url.path", "url.query",
     "http.request.referrer", "event.reason", "error.message", "http.response.status_code", "http.response.body.bytes",
     "event.duration", "event.sequence", "event.code", "event.timezone", "event.provider", "event.outcome",
     "trail.session.id", "trail.interface", "trail.actor.type", "trail.actor.basis", "trail.object.id",
     "trail.object.name", "trail.object.owner_id", "trail.automation.scenario.id", "trail.automation.scenario.name",
     "trail.change.field", "process.pid", "process.name", "log.level", "file.hash.sha256", "labels.team", "no.such",
     "user", "event.category", "network.forwarded_ip", "observer.vendor", "message", "tags", "related.user"]
)  # fmt: skip
NAMES = st.sampled_from(
    ["left", "extra", "time", "message", "name", "value", "field", "iban", "a.b", "", "ü", "x" * 130]
)
TIMES = st.sampled_from(
    [Time("2026-02-03T10:30:00.123Z"), Time("2026-02-03T10:30:00+01:00"), Time("2026-02-03 10:30:00"),
     Time("2026-02-03T10:30:00.1234567Z"), Time("10/Mar/2026:13:55:36 +0100", "clf"), Time("Mar 10 13:55:36", "rfc3164"),
     Time("Dec 31 23:55:36", "rfc3164"), Time(1772000000, "epoch_s"), Time(1772000000.5, "epoch_s"),
     Time("1772000000123", "epoch_ms"), Time("never"), Time("2026-02-31T10:30:00Z")]
)  # fmt: skip
WORDS = {
    "action": st.sampled_from([*sorted(mappings.actions()), "unheard of"]),
    "kind": st.sampled_from(["audit", "access"]),
    "code": st.sampled_from([None, "", "Code", '"c"']),
    "outcome": st.sampled_from([None, "success", "failure", "odd"]),
    "category": st.sampled_from([(), ("iam",), ("database",)]),
    "type": st.sampled_from([(), ("info",), ("odd",)]),
    "object_type": st.sampled_from([None, "", "employee", "user", "account"]),
    "object_label": st.sampled_from([None, "Offer"]),
    "actor_type": st.sampled_from(["user", "unknown", "api_key", "system", "automation", "odd"]),
    "actor_confidence": st.sampled_from(["asserted", "unknown", "odd"]),
    "interface": st.sampled_from([None, "ui", "api", "automation", "system", "rest", "odd"]),
    "missing": st.sampled_from([(), ("user.name", "event.reason")]),
}
USUAL_WORDS = {
    "action": st.sampled_from(["http.request", "auth.login", "field.update", "record.read", "log.message"]),
    "kind": st.just("audit"),
    "code": st.sampled_from([None, 'a "code"']),
    "object_type": st.sampled_from([None, "employee", "user"]),
    "actor_type": st.sampled_from(["user", "unknown", "automation"]),
    "interface": st.sampled_from([None, "ui", "system"]),
}
PLAIN_FIELDS = st.sampled_from(
    ["source.ip", "client.ip", "source.port", "host.hostname", "user.id", "user.name", "user.email", "url.original",
     "url.path", "url.query", "http.request.referrer", "event.reason", "http.response.status_code", "event.duration",
     "trail.session.id", "trail.automation.scenario.name", "process.pid", "user_agent.original"]
)  # fmt: skip
PLAIN_TIMES = st.sampled_from(
    [Time("2026-02-03T10:30:00.123Z"), Time("10/Mar/2026:13:55:36 +0100", "clf"), Time("Mar 10 13:55:36", "rfc3164")]
)
CALM = st.integers(0, 10**6).map("v{}".format)


ADDRESSES = st.sampled_from(["192.0.2.1", "192.0.2.9", "2001:db8::1", "2001:DB8::1", "192.0.2.1:5", "crm.example", ""])
NUMBERS = st.integers(-5, 70_000) | st.sampled_from(["7", "x", 2**53, 404, True])
CHANGED = st.sampled_from(["status", "amount", "name", "email", "rate_pct", "ü", "due_date", "iban", ""])
ENDINGS = ("port", "status_code", "bytes", "duration", "sequence", "pid")


def of_field(draw, name, values, calm):
    """A value for a field: one that fits, where it is to be `calm`."""
    if name.endswith((".ip", "_ip")):
        return draw(st.integers(1, 250).map("192.0.2.{}".format) if calm else ADDRESSES)
    if name.endswith(ENDINGS):
        return draw(st.integers(1, 30_000) if calm else NUMBERS)
    return draw(CALM if calm else values)


@st.composite
def pairs(draw):
    """Two operations that differ in values alone: the first, from which something can be learned, and an odd one."""
    rare = draw(st.integers(0, 3)) == 0
    words = {name: draw(some) for name, some in (WORDS if rare else USUAL_WORDS).items()}
    names = draw(st.lists(FIELDS if rare else PLAIN_FIELDS, max_size=6, unique=True))
    left = draw(st.lists(NAMES if rare else st.sampled_from(["left", "extra", "time"]), max_size=3, unique=True))
    changed = draw(st.lists(CHANGED, max_size=3)) if draw(st.booleans()) else []
    has = {name: draw(st.booleans()) for name in ("id", "object_id", "object_name", "message")}
    derivation = draw(st.sampled_from(["native", "native", "new_only", "reconstructed", "snapshot_diff"]))
    odd = draw(st.sampled_from([TEXTS, TEXTS, SCALARS]))
    both = []
    for calm in (True, False):
        values = CALM if calm else odd
        fields = {name: of_field(draw, name, values, calm) for name in names}
        if draw(st.booleans()) and {"url.path", "url.query"} <= fields.keys():
            fields["url.original"] = f"{fields['url.path']}?{fields['url.query']}"
        message = draw(values if calm else TEXTS) if has["message"] else draw(st.sampled_from([None, None, ""]))
        if message and "url.original" in fields and draw(st.booleans()):
            message = f"GET {fields['url.original']} HTTP/1.1"
        sides = values | st.sampled_from([UNKNOWN, ABSENT, None, "", 5, 7, True]) if rare or not calm else values
        both.append(
            Operation(
                **words,
                time=draw(PLAIN_TIMES if calm else TIMES),
                id=draw(CALM if calm else TEXTS) if has["id"] else None,
                object_id=draw(CALM if calm else TEXTS | st.just("")) if has["object_id"] else None,
                object_name=draw(CALM if calm else TEXTS) if has["object_name"] else None,
                fields=fields,
                raw={name: draw(values) for name in left},
                changes=[Change(name, draw(sides), draw(sides), derivation=derivation) for name in changed],
                message=message,
            )
        )
    return both


@given(both=pairs(), before=st.sampled_from([BEFORE, None, 1_790_000_000.0]))
@settings(max_examples=1200, deadline=None)
def test_both_ways_agree_on_any_two_operations_of_one_shape(both, before):
    """What was learned from one operation is right for another that has the same shape."""
    way = Way.afresh()
    for operation in (*both, *both[::-1], both[0]):
        way.agrees(operation, before)


# -- lines after one another -------------------------------------------------------------------------------------------

CLOCKS = st.sampled_from(
    [Time(text, "rfc3164") for text in ("Dec 31 23:59:59", "Dec 31 22:30:00", "Jan  1 00:30:00", "Jan  1 01:00:00",
                                        "Oct 26 02:30:00", "Oct 26 02:30:01", "Mar 30 02:30:00", "May 28 20:26:00",
                                        "Feb 29 10:00:00")]
    + [Time(text) for text in ("2026-01-01T00:00:00Z", "2025-10-26 02:30:00", "2025-10-26T03:30:00+01:00", "never")]
    + [Time("31/Dec/2025:23:30:00 -0100", "clf"), Time("26/Oct/2025:02:30:00", "clf"), Time(1_780_000_000, "epoch_s"),
       Time(1_780_000_000.0, "epoch_s"), Time("1780000000", "epoch_s"), Time(True, "epoch_s"), Time(1, "epoch_s")]
)  # fmt: skip


@given(
    clocks=st.lists(st.tuples(CLOCKS, st.sampled_from([None, {}, {"list": []}, {"left": "x"}])), max_size=12),
    before=st.sampled_from([None, BEFORE, 1_767_222_000.0, 1_761_440_000.0, 1_798_000_000.0]),
    received=st.sampled_from([RECEIVED, 1_767_225_600.0 - 90_000, 1_767_225_600.0, 1_761_440_400.0]),
)
@settings(max_examples=400, deadline=None)
def test_times_are_read_the_same_whichever_way_the_lines_before_went(clocks, before, received):
    way = Way.afresh()
    times, previous = Times(before), before
    line = way.shaper.begin("stream", "a.log", received, RECEIVED_TEXT, None, times)
    for clock, left in clocks:
        operation = usual(time=clock, raw=left or {}, action="http.request" if left is None else "log.message")
        origin = Origin("stream", "a.log", 40, 7, received, RECEIVED_TEXT, None, previous, 0, b"a line")
        documents, seconds = way.normalizer.events(copy.deepcopy(operation), origin)
        way.operations = [operation]
        found = line(b"a line", 40, 7)
        if found is not None:
            assert found[1] == [canonical(document) for document in documents]
        elif seconds is not None:
            times.read(seconds)
        previous = previous if seconds is None else seconds
        assert times.previous == previous


def test_what_is_remembered_is_bounded():
    way = Way()
    for number in range(700):
        way.agrees(usual(code=f"code {number}"))
        way.agrees(edit(raw={f"member {number}": "x"}))
        way.agrees(usual(code="x" * 200 + str(number)))
    assert len(way.shaper._shapes) == 512
    assert way.shaper._shared.learned <= 512
    assert way.agrees(usual(code="code 1"))
    assert not way.agrees(usual(code="code 699"))


# -- lines of the formats ----------------------------------------------------------------------------------------------

FORMATS = sorted(name for name in names() if (GOLDEN / name).is_dir())
PIECES = st.sampled_from(
    [b"token=abc", b"DE89370400440532013000", b'"', b"\\", b"\\x22", b"{", b"\x00", b"\x7f", "ü😀".encode(), b"\xff", b" ",
     b"", b"x" * 400, b"078-05-1120", b"password: y", b"|", b"2001:db8::1", b"203.0.113.9", b"-", b"999", b"Dec 31"]
)  # fmt: skip


@given(data=st.data(), name=st.sampled_from(FORMATS))
@settings(max_examples=300, deadline=None)
def test_both_ways_agree_on_odd_lines_of_each_format(data, name):
    files = sorted((GOLDEN / name).glob("*.log"))
    samples = [record.data for path in files for record in records_of(name, path.read_bytes())]
    usual_line = data.draw(st.sampled_from([line for line in samples if len(line) < 3_000]))
    lines = [usual_line]
    for _ in range(3):
        start = data.draw(st.integers(0, len(usual_line)))
        end = min(len(usual_line), start + data.draw(st.integers(0, 12)))
        lines.append(usual_line[:start] + data.draw(PIECES) + usual_line[end:])
    made = LANES.setdefault(name, lane(name))
    shaper = Shaper(made.parse, made.context, made.normalizer)
    for line in (*lines, *lines):
        times = Times(BEFORE)
        found = shaper.begin("stream", "a.log", RECEIVED, RECEIVED_TEXT, None, times)(line, 40, len(line) + 1)
        if found is None:
            assert times.previous == BEFORE
            continue
        (operation,) = made.parse(line, made.context)
        origin = Origin("stream", "a.log", 40, len(line) + 1, RECEIVED, RECEIVED_TEXT, None, BEFORE, 0, line)
        documents, seconds = made.normalizer.events(operation, origin)
        assert (found[1], times.previous) == ([canonical(document) for document in documents], seconds)


LANES = {}
