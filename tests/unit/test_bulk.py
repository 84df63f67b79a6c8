"""The pure part of `_bulk`: bodies, items, answers, and the bytes of documents in a search response."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.model import Documents, Run
from shipper.outputs import _bulk
from shipper.outputs._bulk import Answer, Fate, Kind, Verdict, read_reply, retry_after, same, split, systemic, verdict
from shipper.outputs._opensearch_scan import raw_sources
from tests.shipped import LOG, change, checkpoint, control, document


def answer(status, content=b"", **headers):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def failed(status, kind, reason="", **more):
    return {"_index": ".ds-x-000001", "status": status, "error": {"type": kind, "reason": reason, **more}}


def request_error(status, kind, reason="", **headers):
    return answer(status, {"error": {"type": kind, "reason": reason}, "status": status}, **headers)


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_a_body_has_an_action_and_the_untouched_bytes_of_each_document():
    documents = [document(0), control(1), checkpoint(2)]
    lines = _bulk.body(documents, "hr").split(b"\n")
    assert lines.pop() == b""
    assert lines[1::2] == [one.data for one in documents]
    assert [json.loads(line)["create"] for line in lines[::2]] == [
        {"_index": "logs-fieldtrail.change-hr", "_id": f"{LOG}-{0:014x}"},
        {"_index": "logs-fieldtrail.log-hr", "_id": f"{LOG}-{1:014x}"},
        {"_index": "logs-fieldtrail.checkpoint-hr", "_id": f"{LOG}-c{2:014x}"},
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["fieldtrail.change", "fieldtrail.checkpoint", 'odd"%dataset']),
            st.sampled_from([0, 4094, 4095, 4096, 2**24 - 1, 2**53 - 5000]),
            st.sampled_from([0, 1, 3, 4097]),
            st.booleans(),
        ),
        max_size=3,
    )
)
def test_columns_make_the_same_body_as_their_documents_one_by_one(drawn):
    made = Documents(
        Run(dataset, LOG, range(first, first + count) if row else [*range(first, first + count)], [b"{}"] * count)
        for dataset, first, count, row in drawn
    )
    assert _bulk.body(made, "h%r") == _bulk.body(list(made), "h%r")


def test_an_id_with_quotes_stays_one_string():
    one = document(0)._replace(id='a","_index":"other')
    assert json.loads(_bulk.body([one], "x").split(b"\n")[0])["create"]["_id"] == 'a","_index":"other'


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=40), st.integers(1, 1500))
def test_splitting_keeps_every_document_in_order_and_each_part_within_the_limit(lengths, limit):
    documents = [document(0)._replace(id=str(n), data=b"x" * length) for n, length in enumerate(lengths)]
    parts = list(split(documents, limit))
    assert [one for part in parts for one in part] == documents
    assert all(parts)
    assert all(len(part) == 1 or _bulk.size(part) <= limit for part in parts)
    assert [len(part) for part in split(columns_of(documents), limit)] == [len(part) for part in parts]


def columns_of(documents):
    return Documents([Run("fieldtrail.change", LOG, range(len(documents)), [one.data for one in documents])])


def test_a_part_takes_as_much_as_the_limit_allows():
    documents = [document(0)._replace(data=b"x" * 72)] * 7
    assert [len(part) for part in split(documents, 599)] == [2, 2, 2, 1]
    assert [len(part) for part in split(documents, 600)] == [3, 3, 1]


def test_a_request_never_holds_more_documents_than_a_bulk_should():
    documents = [document(0)._replace(data=b"")] * (_bulk.MOST_DOCUMENTS + 1)
    assert [len(part) for part in split(documents, 1 << 40)] == [_bulk.MOST_DOCUMENTS, 1]


# -- the same document -------------------------------------------------------------------------------------------------


def test_a_stored_document_is_the_same_whatever_order_and_spelling_the_server_gave_it():
    ours = document(3).data
    event = orjson.loads(ours)
    turned = dict(reversed(event.items()))
    turned["trail"] = {**event["trail"], "change": {**event["trail"]["change"], "delta": 30000.0}}
    assert same(ours, event)
    assert same(ours, turned)


@pytest.mark.parametrize("path", ["message", "nonce", "index", "extra"])
def test_a_stored_document_of_another_value_nonce_or_index_is_not_the_same(path):
    ours = document(3).data
    theirs = orjson.loads(ours)
    if path == "message":
        theirs["message"] += "."
    elif path == "nonce":
        theirs["seal"]["n"] = "A" * 22
    elif path == "index":
        theirs["seal"]["i"] = 4
    else:
        theirs["extra"] = None
    assert not same(ours, theirs)


@pytest.mark.parametrize("theirs", [None, [], "x", 1e400, {"a": 1e300}, {"a": "\ud800"}])
def test_what_can_be_no_document_of_ours_is_not_the_same(theirs):
    assert not same(document(3).data, theirs)


# -- items -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "fate"),
    [
        ({"status": 201}, Fate.DELIVERED),
        ({"status": 200}, Fate.DELIVERED),
        (failed(409, "version_conflict_engine_exception"), Fate.EXISTS),
        (failed(429, "rejected_execution_exception"), Fate.RETRY),
        (failed(429, "circuit_breaking_exception"), Fate.RETRY),
        (failed(503, "unavailable_shards_exception"), Fate.RETRY),
        (failed(500, "illegal_state_exception"), Fate.RETRY),
        (failed(403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];"), Fate.PAUSE),
        (failed(429, "cluster_block_exception", "index [x] blocked by: [TOO_MANY_REQUESTS/12/…];"), Fate.PAUSE),
        (failed(403, "security_exception", "no permissions for [indices:data/write/bulk[s]]"), Fate.PAUSE),
        (
            failed(404, "index_not_found_exception", "no such index [x] and [action.auto_create_index] is [false]"),
            Fate.PAUSE,
        ),
        (failed(400, "mapper_parsing_exception", "failed to parse field [a] of type [long]"), Fate.REFUSED),
        (failed(400, "strict_dynamic_mapping_exception"), Fate.REFUSED),
        (failed(400, "illegal_argument_exception", "Document contains at least one immense term"), Fate.REFUSED),
        (failed(400, "illegal_argument_exception", "pipeline with id [p] does not exist"), Fate.PAUSE),
        (failed(400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded"), Fate.PAUSE),
        (
            failed(
                400,
                "validation_exception",
                "Validation Failed: 1: this action would add [2] total shards, but this cluster currently has "
                "[1000]/[1000] maximum shards open;",
            ),
            Fate.PAUSE,
        ),
    ],
)
def test_the_fate_of_a_document_follows_from_its_item(item, fate):
    assert verdict(item).fate is fate


@pytest.mark.parametrize(
    "item", [None, 7, {}, {"status": "201"}, {"status": True}, {"status": 201, "error": {"type": "x"}}, [201]]
)
def test_an_item_that_cannot_be_read_is_no_verdict(item):
    assert verdict(item) is None


def test_no_value_of_a_document_can_stop_the_output():
    reason = "failed to parse field [trail.change.old_number] of type [double] in document with id 'x'. Preview of field's value: "
    for text in ("Limit of total fields", "pipeline with id [x] does not exist", "maximum shards open"):
        read = verdict(failed(400, "mapper_parsing_exception", reason + text))
        assert read.fate is Fate.REFUSED
        assert verdict(failed(400, "illegal_argument_exception", f"value {text}")).fate is Fate.REFUSED


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        (
            "failed to parse field [trail.change.delta] of type [double] in document with id 'x'. …",
            "trail.change.delta",
        ),
        ("object mapping for [trail.object] tried to parse field [object] as object, but found …", "trail.object"),
        ("mapping set to strict, dynamic introduction of [secret] within [_doc] is not allowed", "secret"),
        ('Document contains at least one immense term in field="message" (whose UTF8…', "message"),
        ("failed to parse field [trail.raw.Jane Doe] of type [flat_object]", None),
        ("failed to parse field [trail.raw.jane_doe] of type [flat_object]", "trail.raw"),
        ("failed to parse field [labels.jane_doe] of type [keyword]", "labels"),
        ("something about field [a.b] that we do not know", None),
        ("Preview of field's value: 'failed to parse field [a] '", None),
    ],
)
def test_a_refusal_names_the_field_and_never_a_foreign_name_or_value(reason, field):
    assert verdict(failed(400, "mapper_parsing_exception", reason)).field == field


def test_the_reason_of_a_refusal_holds_the_causes_and_its_cause_for_people_none_of_it():
    item = failed(
        400, "mapper_parsing_exception", "failed to parse", caused_by={"type": "x", "reason": "For input: 'abc'"}
    )
    read = verdict(item)
    assert read.reason == "failed to parse: For input: 'abc'"
    assert read.cause == "mapper_parsing_exception (400)"


def test_an_error_type_that_is_no_plain_word_is_unknown():
    assert verdict(failed(400, "Bad\nType")).type == "unknown"
    assert verdict({"status": 400, "error": "just text"}).type == "unknown"
    assert verdict({"status": 400, "error": {"type": "x" * 100}}).type == "unknown"


# -- answers -----------------------------------------------------------------------------------------------------------


def bulk(*inner, errors=True):
    return answer(200, {"took": 1, "errors": errors, "items": [{"create": one} for one in inner]})


def compact(items, errors="false"):
    """An answer as OpenSearch writes it, of items as text."""
    return answer(200, b'{"took":1,"errors":%b,"items":[%b]}' % (errors.encode(), ",".join(items).encode()))


CREATED = '{"create":{"_index":".ds-a-000001","status":201}}'


def test_an_answer_that_accepts_all_names_the_indexes_and_gives_no_verdict_on_each():
    plain = read_reply(compact([CREATED] * 3), 3)
    assert plain == _bulk.Reply(Kind.ITEMS, created=frozenset({".ds-a-000001"}))
    mixed = read_reply(compact([CREATED, '{"create":{"_index":"x","status":201}}', '{"create":{"status":201}}']), 3)
    assert mixed.created == {".ds-a-000001", "x", ""}


@pytest.mark.parametrize(
    "odd",
    [
        '{"create":{"_index":".ds-a-000001","status":200}}',
        '{"create":{"_index":".ds-a-000001","status":201,"error":{"type":"x"}}}',
        '{"create":{"_index":".ds-a-000001","status":201,"status":409}}',
        '{"index":{"_index":".ds-a-000001","status":201}}',
        '{"create":{"status":201,"_index":"%s"}}' % ("x" * 600),
    ],
)
def test_one_odd_item_has_all_of_them_read_one_by_one(odd):
    reply = read_reply(compact([CREATED, odd, CREATED]), 3)
    assert reply.created is None
    assert reply.verdicts or reply.error


@pytest.mark.parametrize(
    "items",
    [
        [CREATED] * 2,
        [CREATED] * 4,
        [CREATED, "", CREATED],
        [CREATED, "{}", CREATED],
        [CREATED, "{]", CREATED],
        [CREATED, '{"create":{"status":201},"x":[{"a":1},{"create":{"status":201}}'],
        [CREATED, '{"create":{"status":201}}],"items":[{"create":{"status":201}}', CREATED],
        [CREATED, '{"create":{"_index":"a},{b","status":201}}'],
    ],
)
def test_an_answer_of_pieces_that_are_no_items_is_not_taken_for_acceptance(items):
    assert read_reply(compact(items), 3).created is None


@pytest.mark.parametrize("end", [b"", b"]", b"}", b"]]", b"}}", b"]}x", b"],}", b'],"errors":true}', b'],"items":[]}'])
def test_an_answer_that_ends_otherwise_is_not_taken_for_acceptance(end):
    good = compact([CREATED] * 3)
    assert good.body.endswith(b"]}")
    reply = read_reply(good._replace(body=good.body[:-2] + end), 3)
    assert reply.created is None
    assert reply.verdicts or reply.error


def by_item(reply, count):
    """The same answer read item by item: a space in it takes it off the quick way."""
    assert reply.body.startswith(b'{"took"')
    return read_reply(reply._replace(body=b" " + reply.body), count)


_ITEM = st.sampled_from(
    [
        CREATED,
        CREATED,
        '{"create":{"_index":".ds-b-000002","status":201}}',
        '{"create":{"status":201}}',
        '{"create":{"status":200}}',
        '{"create":{"status":201.0}}',
        '{"create":{"status":2010}}',
        '{"create":{"_index":7,"status":201}}',
        '{"create":{"_index":"x},{y","status":201}}',
        '{"create":{"_index":"]}","status":201}}',
        '{"create":{"status":409,"error":{"type":"version_conflict_engine_exception"}}}',
        '{"create":{"status":201,"error":null}}',
        '{"create":{"status":201},"index":{"status":201}}',
        '{"create":[{"status":201},{"status":201}]}',
        '{"delete":{"status":201}}',
        "{}",
        "null",
        "[]",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(_ITEM, min_size=1, max_size=5), st.sampled_from(["false", "true", "null"]), st.data())
def test_the_quick_reading_accepts_nothing_that_the_reading_by_item_does_not(items, errors, data):
    reply = compact(items, errors)
    if data.draw(st.booleans()):
        # A mutated answer: one stretch of it replaced by something else, often by a piece of itself.
        body = reply.body
        start = data.draw(st.integers(10, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 60)))
        other = data.draw(st.integers(0, len(body)))
        piece = data.draw(
            st.sampled_from([body[other : other + end - start + 3], b"},{", b"]}", b"}", b'"', b"1", b""])
        )
        reply = reply._replace(body=body[:start] + piece + body[end:])
    count = data.draw(st.sampled_from([len(items), len(items) + 1, max(1, len(items) - 1)]))
    quick, slow = read_reply(reply, count), by_item(reply, count)
    assert slow.created is None
    if quick.created is None:
        assert quick == slow
    else:
        assert slow.kind is Kind.ITEMS and len(slow.verdicts) == count
        assert {(one.fate, one.status) for one in slow.verdicts} == {(Fate.DELIVERED, 201)}
        assert {one.place for one in slow.verdicts} == quick.created


def test_items_are_read_in_the_order_of_the_request():
    reply = read_reply(bulk({"status": 201}, failed(429, "x"), {"status": 201}), 3)
    assert reply.kind is Kind.ITEMS
    assert [one.fate for one in reply.verdicts] == [Fate.DELIVERED, Fate.RETRY, Fate.DELIVERED]


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b"<html>welcome</html>"),
        answer(200, b""),
        answer(200, b'{"took":1,"errors":false,"items":[{"create":{"sta'),
        answer(200, {"took": 1, "errors": False}),
        answer(200, [1, 2]),
        answer(200, {"items": {}}),
        bulk({"status": 201}, errors=False),
        bulk({"status": 201}, {"status": 201}, {"status": 201}, errors=False),
        answer(200, {"items": [{"create": {"status": 201}}, {}]}),
        answer(200, {"items": [{"create": {"status": 201}}, {"a": {"status": 201}, "b": {"status": 201}}]}),
        answer(200, {"items": [{"create": {"status": 201}}, None]}),
        answer(302, b"", location="https://login.example/"),
        answer(502, b"<html>bad gateway</html>"),
        answer(504),
        request_error(503, "cluster_manager_not_discovered_exception"),
    ],
)
def test_an_answer_that_does_not_fit_decides_nothing_and_leaves_a_doubt(reply):
    read = read_reply(reply, 2)
    assert read.kind is Kind.RETRY
    assert read.uncertain
    assert read.error
    assert not read.verdicts and read.created is None


def test_errors_false_is_not_believed_against_the_items():
    assert read_reply(bulk(failed(400, "mapper_parsing_exception"), errors=False), 1).verdicts[0].fate is Fate.REFUSED


@pytest.mark.parametrize(
    ("reply", "kind", "slow"),
    [
        (request_error(429, "rejected_execution_exception"), Kind.RETRY, False),
        (request_error(429, "circuit_breaking_exception"), Kind.RETRY, False),
        (request_error(403, "cluster_block_exception"), Kind.RETRY, True),
        (request_error(403, "security_exception"), Kind.RETRY, True),
        (answer(401, b"Unauthorized"), Kind.RETRY, True),
        (answer(404, b"not here"), Kind.RETRY, True),
        (answer(405), Kind.RETRY, True),
        (answer(413), Kind.TOO_LARGE, False),
        (request_error(400, "action_request_validation_exception", "too long"), Kind.MALFORMED, False),
        (request_error(400, "illegal_argument_exception", "pipeline with id [p] does not exist"), Kind.RETRY, True),
        (request_error(500, "null_pointer_exception"), Kind.BROKEN, False),
    ],
)
def test_an_answer_without_items_says_what_to_do_with_the_whole_request(reply, kind, slow):
    read = read_reply(reply, 30)
    assert read.kind is kind
    assert (read.pause is not None and read.pause >= 30) is slow


def test_a_wrong_password_is_said_in_words():
    assert "wrong user name or password" in read_reply(answer(401), 1).error


def test_no_reason_of_the_server_stands_in_the_error_that_is_logged():
    for status in (400, 403, 429, 500, 503):
        assert "secret" not in read_reply(request_error(status, "some_exception", "secret"), 1).error


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 120 "}, 120.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "soon", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "٣"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_by_the_servers_own_clock(headers, seconds):
    assert retry_after(headers) == seconds


def test_the_wait_that_a_server_asks_for_is_kept():
    assert read_reply(request_error(429, "x", retry_after="9"), 1).pause == 9.0
    assert read_reply(request_error(503, "x", retry_after="9"), 1).pause == 9.0


@pytest.mark.parametrize(
    ("refused", "total", "expected"), [(11, 20, "a"), (10, 20, None), (19, 19, None), (400, 500, "a"), (0, 20, None)]
)
def test_one_refusal_for_more_than_half_of_twenty_or_more_is_no_fault_of_the_documents(refused, total, expected):
    verdicts = [Verdict(Fate.REFUSED, 400, type="a")] * refused + [Verdict(Fate.DELIVERED, 201)] * (total - refused)
    assert systemic(verdicts) == expected


def test_different_refusals_do_not_add_up():
    verdicts = [Verdict(Fate.REFUSED, 400, type=kind) for kind in "ab" for _ in range(10)]
    assert systemic(verdicts) is None


@settings(max_examples=150, deadline=None)
@given(
    st.integers(100, 599),
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["items", "error", "create", "status", "type", "reason"]), inner, max_size=3
                )
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    ),
    st.integers(1, 3),
)
def test_whatever_a_server_answers_is_read_and_never_taken_for_a_delivery(status, content, count):
    reply = read_reply(Answer(status, {}, content), count)
    if reply.kind is Kind.ITEMS:
        assert 200 <= status < 300
        assert len(reply.verdicts) == count and reply.created is None
    else:
        assert reply.error
        assert not reply.verdicts


# -- bytes of documents in a search response ---------------------------------------------------------------------------

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=12)
    | st.floats(allow_nan=False, allow_infinity=False, width=32),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.just("_source"), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.dictionaries(st.text(max_size=6), _JSON, max_size=4), st.booleans()), max_size=5))
def test_the_bytes_of_each_source_are_cut_out_of_the_response_as_they_stand(documents):
    sources = [
        json.dumps(value, indent=1 if spaced else None).encode() if spaced else orjson.dumps(value)
        for value, spaced in documents
    ]
    parts = [
        b'{"_index":"i","_id":%s,"_score":null,"_source":%s,"sort":[1]}'
        % (json.dumps(f'"_source":{{{n}').encode(), source)
        for n, source in enumerate(sources)
    ]
    body = b'{"hits":{"hits":[%s]}}' % b",".join(parts)
    assert raw_sources(body, orjson.loads(body)["hits"]["hits"]) == sources


def test_a_key_that_stands_twice_is_kept_for_the_reader():
    source = b'{"a":1,"a":2,"t":"}\\"{"}'
    body = b'{"hits":{"hits":[{"_id":"x","_source":%s,"sort":[1]}]}}' % source
    assert raw_sources(body, orjson.loads(body)["hits"]["hits"]) == [source]


def test_a_document_without_source_is_an_empty_object():
    body = b'{"hits":{"hits":[{"_id":"x"},{"_id":"y","_source":{"a":1}}]}}'
    assert raw_sources(body, orjson.loads(body)["hits"]["hits"]) == [b"{}", b'{"a":1}']


def test_the_change_that_the_tests_ship_is_in_the_profile():
    assert same(document(0).data, orjson.loads(document(0, change(event__id="e0")).data))
