"""The rows of the decision table, by name: what an answer of each kind does to the documents, and what follows."""

import json
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.model import Documents, Run
from shipper.outputs._bulk import body
from tests.integration import faulty_opensearch as faulty
from tests.integration.faulty_opensearch import FaultyOpenSearch
from tests.shipped import LOG, batch, change, document

STREAM = "logs-fieldtrail.change-default"
FLOOD = "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];"
READ_ONLY = "index [x] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];"


@pytest.fixture
def server():
    with FaultyOpenSearch() as running:
        yield running


@pytest.fixture
def opened():
    with faulty.outputs() as make:
        yield make


def documents(count, first=0):
    return [document(first + n) for n in range(count)]


def identity(index):
    return f"{LOG}-{index:014x}"


def told(receipt):
    """How many documents were delivered, refused, forked and are to be sent again."""
    return receipt.delivered, len(receipt.refused), len(receipt.fork), len(receipt.retry)


def stored(server):
    return [one for _, one in server.documents]


def every(code, kind, reason=""):
    return faulty.items(lambda _: faulty.item(code, kind, reason))


def pretty(answer_of):
    """As with `?pretty` forced by what stands in front: no substring of `"errors":true` in it."""

    def answer(request):
        made = {"took": 1, "errors": True, "items": request.server.store(request, answer_of)}
        request.answer(200, json.dumps(made, indent=4).replace('": ', '" : ').encode())

    return answer


def first_is_fine(request):
    """The first item created, all others rejected: no item speaks for the others."""
    first = next(request.lines())[1]
    faulty.items(lambda one: None if one == first else faulty.item(429, "rejected_execution_exception"))(request)


# -- what is tried again: (the answer, at least so long, does the doubt make it search first) ---------------------------

AGAIN = {
    "429 of an item": (every(429, "rejected_execution_exception"), None, False),
    "429 of a request": (faulty.error(429, "rejected_execution_exception"), None, False),
    "429 by the circuit breaker": (faulty.error(429, "circuit_breaking_exception"), None, False),
    "502": (faulty.status(502, b"<html>"), None, True),
    "503 of an item, unavailable shards": (every(503, "unavailable_shards_exception"), None, True),
    "503 of a request": (faulty.error(503, "unavailable_shards_exception"), None, True),
    "504": (faulty.status(504), None, True),
    "500 of an item": (every(500, "null_pointer_exception"), None, True),
    "an unheard-of 5xx of an item": (every(599, "some_new_exception"), None, True),
    "reset": (faulty.reset, None, True),
    "403 of an item, read-only index": (every(403, "cluster_block_exception", READ_ONLY), 30, False),
    "403 of a request, read-only index": (faulty.error(403, "cluster_block_exception", READ_ONLY), 30, False),
    "429 of an item, flood stage": (every(429, "cluster_block_exception", FLOOD), 30, False),
    "403 of an item, index creation blocked": (every(403, "index_create_block_exception"), 30, False),
    "401": (faulty.status(401), 30, False),
    "403 of a request, no rights": (faulty.error(403, "security_exception"), 30, False),
    "403 of an item, no rights": (every(403, "security_exception"), 30, False),
    "400, too many shards": (
        every(400, "validation_exception", "Validation Failed: 1: this action would add [2] total shards, but"),
        30,
        False,
    ),
    "400, too many fields": (every(400, "illegal_argument_exception", "Limit of total fields [1] has"), 30, False),
    "400, missing pipeline": (every(400, "illegal_argument_exception", "pipeline with id [a] does not exist"), 30, False),
    "404, index may not be made": (every(404, "index_not_found_exception"), 30, False),
    "200 and no JSON": (faulty.stored_then(faulty.status(200, b"<html>")), None, True),
    "200, JSON cut short": (faulty.stored_then(faulty.status(200, b'{"items":[')), None, True),
    "200, body cut short": (faulty.cut_short, None, True),
    "200, too few items": (faulty.fewer_items, None, True),
    "301": (faulty.stored_then(faulty.status(301, location="http://192.0.2.1/")), 30, True),
    "308": (faulty.status(308, location="http://192.0.2.1/"), 30, True),
    "pretty-printed errors": (pretty(lambda _: faulty.item(429, "rejected_execution_exception")), None, False),
}  # fmt: skip


@pytest.mark.parametrize("row", AGAIN)
def test_an_answer_that_is_no_verdict_on_a_document_costs_none_and_doubles_none(server, opened, row):
    fault, pause, doubt = AGAIN[row]
    output = opened(server.url)
    output.deliver(batch(0, document(100)))
    searches = server.asked["POST _search"]
    server.faults = [fault]
    receipt = output.deliver(batch(1, *documents(30)))
    assert told(receipt) == (0, 0, 0, 30)
    assert receipt.error and "\n" not in receipt.error
    assert pause is None or receipt.retry_after >= pause
    server.rollover(STREAM)
    assert told(output.deliver(batch(1, *receipt.retry))) == (30, 0, 0, 0)
    assert sorted(stored(server)) == sorted(identity(n) for n in (*range(30), 100))
    assert (server.asked["POST _search"] > searches) == doubt


# -- what goes to the dead letters -------------------------------------------------------------------------------------

REFUSED = {
    "mapper_parsing_exception": "failed to parse field [message] of type [long]",
    "strict_dynamic_mapping_exception": "mapping set to strict, dynamic introduction of [new] within [_doc] is not allowed",
    "illegal_argument_exception": 'Document contains at least one immense term in field="message"',
    "an_exception_of_tomorrow": "no",
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("shape", [faulty.items, pretty])
def test_a_document_that_is_refused_for_good_is_given_up_alone_with_its_type_and_reason(server, opened, kind, shape):
    output = opened(server.url)
    bad = faulty.item(400, kind, REFUSED[kind])
    server.faults = [shape(lambda one: bad if one == identity(7) else None)]
    receipt = output.deliver(batch(0, *documents(30)))
    assert told(receipt) == (29, 1, 0, 0)
    (refusal,) = receipt.refused
    assert (refusal.document.index, refusal.type, refusal.reason) == (7, kind, REFUSED[kind])
    assert identity(7) not in stored(server)


def test_accepted_rejected_taken_and_refused_items_of_one_answer_each_go_their_own_way(server, opened):
    output = opened(server.url)
    output.deliver(batch(0, document(1), document(2, change(message="other", event__id="e2"))))
    fates = {3: faulty.item(400, "mapper_parsing_exception"), 4: faulty.item(429, "x"), 5: faulty.item(503, "y")}
    server.faults = [faulty.items(lambda one: fates.get(int(one[17:], 16)))]
    receipt = output.deliver(batch(1, *documents(8)))
    assert told(receipt) == (4, 1, 1, 2)  # 0, 1 (the same), 6 and 7; 3; 2; 4 and 5
    assert [one.index for one in receipt.retry] == [4, 5]
    assert told(output.deliver(batch(1, *receipt.retry))) == (2, 0, 0, 0)


def test_the_first_item_of_an_answer_says_nothing_of_the_others(server, opened):
    server.faults = [first_is_fine]
    assert told(opened(server.url).deliver(batch(0, *documents(10)))) == (1, 0, 0, 9)


def test_a_flood_stage_that_ends_is_written_through_and_all_arrives(server, opened):
    output = opened(server.url)
    server.always = every(429, "cluster_block_exception", FLOOD)
    pending = documents(30)
    for _ in range(5):
        receipt = output.deliver(batch(0, *pending))
        assert told(receipt) == (0, 0, 0, 30)
        assert "full disk" in receipt.error
    server.always = None
    assert told(output.deliver(batch(0, *receipt.retry))) == (30, 0, 0, 0)


def test_one_document_that_is_too_large_is_given_up_once_and_never_sent_for_ever(server, opened):
    output = opened(server.url)
    server.always = faulty.larger_than(20_000)
    big = document(0, change(message="x" * 30_000, event__id="e0"))
    assert told(output.deliver(batch(0, big))) == (0, 1, 0, 0)
    assert len(server.bulk_sizes) == 1


# -- what can not occur ------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**53 - 1), st.sampled_from(["fieldtrail.change", "fieldtrail.checkpoint"]))
def test_an_id_is_32_bytes_at_the_most_whatever_is_logged(number, dataset):
    # a log's short id is 16 hex digits: 512 bytes, at which the server refuses, are out of reach
    (one,) = Run(dataset, "9f2c61d0aa01b3e7", (number,), (b"{}",)).documents()
    assert len(one.id.encode()) <= 32


@given(st.text(max_size=60))
def test_no_text_of_an_event_becomes_an_action_line(text):
    import orjson

    try:
        event = orjson.dumps({"message": f'"}}}}\n{{"delete":{{"_id":"x"}}}}\n{text}'})
    except orjson.JSONEncodeError:
        return  # a lone surrogate is no event
    lines = body(Documents([Run("fieldtrail.change", "9f2c61d0aa01b3e7", range(2), [event, event])]), "default")
    rows = lines.split(b"\n")
    assert len(rows) == 5 and rows[-1] == b""
    assert all(list(json.loads(row)) == ["create"] for row in rows[0:-1:2])
    assert all(list(json.loads(row)["create"]) == ["_index", "_id"] for row in rows[0:-1:2])


# -- connections -------------------------------------------------------------------------------------------------------


def test_a_connection_that_the_server_closed_while_it_was_idle_costs_nothing(server, opened):
    output = opened(server.url)

    def last_of_its_connection(request):
        request.handler.close_connection = True  # without saying so
        faulty.good(request)

    for n in range(4):
        server.faults = [last_of_its_connection]
        receipt = output.deliver(batch(n, *documents(2, 2 * n)))
        if receipt.retry:  # the end of the connection crossed our request on its way
            assert told(output.deliver(batch(n, *receipt.retry))) == (2, 0, 0, 0)
    assert sorted(stored(server)) == [identity(n) for n in range(8)]


@pytest.mark.parametrize("fault", [faulty.silent, faulty.stored_then_silent, faulty.drip, faulty.drip_body])
def test_the_other_side_of_a_connection_that_is_gone_is_given_the_time_of_one_request(server, opened, fault):
    output = opened(server.url, timeout=0.3)
    server.faults = [fault]
    receipt = output.deliver(batch(0, *documents(3)))
    assert told(receipt) == (0, 0, 0, 3)
    assert "within 0.3 s" in receipt.error
    server.rollover(STREAM)
    assert told(output.deliver(batch(0, *receipt.retry))) == (3, 0, 0, 0)
    assert len(server.documents) == 3


@pytest.fixture
def listening():
    """`listening(answer)`: an address at which `answer(connection)` is called with every connection."""
    sockets, threads = [], []

    def serve(answer):
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def run():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return listener.getsockname()[1]

    yield serve
    for one in sockets:
        one.shutdown(socket.SHUT_RDWR)
        one.close()
    for thread in threads:
        thread.join()


def test_a_tls_handshake_that_is_reset_is_tried_again(listening, opened):
    def reset(connection):
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    receipt = opened(f"https://127.0.0.1:{listening(reset)}").deliver(batch(0, *documents(2)))
    assert told(receipt) == (0, 0, 0, 2)
    assert "reset" in receipt.error


def test_a_tls_handshake_that_does_not_end_has_the_time_of_one_request(listening, opened):
    over = threading.Event()
    port = listening(lambda _: over.wait(20))
    receipt = opened(f"https://127.0.0.1:{port}", timeout=0.3).deliver(batch(0, *documents(2)))
    over.set()
    assert told(receipt) == (0, 0, 0, 2)
    assert "within 0.3 s" in receipt.error


def test_a_name_that_is_looked_up_for_ever_has_the_time_of_one_request(opened, monkeypatch):
    over, ended = threading.Event(), []

    def hang(*_, **__):
        over.wait(20)
        ended.append(True)
        raise socket.gaierror(socket.EAI_AGAIN, "late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    receipt = opened("http://search.example:9200", timeout=0.3).deliver(batch(0, *documents(2)))
    assert not ended
    over.set()
    assert told(receipt) == (0, 0, 0, 2)
    assert "no connection within 0.3 s" in receipt.error


def test_a_name_that_is_not_known_is_said_and_tried_again(opened, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    receipt = opened("http://search.example:9200").deliver(batch(0, *documents(2)))
    assert told(receipt) == (0, 0, 0, 2)
    assert "not known" in receipt.error
