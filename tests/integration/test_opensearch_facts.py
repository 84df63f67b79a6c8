"""What OpenSearch does, as far as sealing and shipping rest on it, asked of the real server.

Each test states one fact that code elsewhere relies on. When a newer server answers differently, this file says which
assumption fell, before a customer's auditor does.
"""

from __future__ import annotations

import gzip
import http.client
import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.integration.opensearch import server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Nothing in it is as a serializer would write it: key order, spaces, the spelling of numbers, an escape beside the
# plain character, an emoji, an integer that no double and one that no long can hold.
AWKWARD = (
    '{"z":1.0, "@timestamp":"2026-02-03T10:30:00.000Z","a":1e2,"f":0.1000,"neg":-0.0,"beyond":9007199254740993,'
    '"huge":123456789012345678901234567890,"u":"é\\u00e9😀","list" : [2 , 1],"seal":{"log":"9f2c61d0aa01b3e7","i":7}}'
).encode()
# The same without the integer that only an unmapped field can hold: for the tests where every field is mapped.
ODD = b'{"z":1.0, "@timestamp":"2026-02-03T10:30:00.000Z","a":1e2,"f":0.1000,"u":"\\u00e9","list" : [2 , 1]}'
MAPPINGS: dict[str, Any] = {
    "dynamic": False,
    "properties": {
        "@timestamp": {"type": "date"},
        "number": {"type": "long"},
        "object": {"properties": {"name": {"type": "keyword"}}},
        "seal": {"properties": {"log": {"type": "keyword"}, "i": {"type": "long"}}},
    },
}
ONLY_CREATE = "only write ops with an op_type of create are allowed in data streams"


@dataclass
class Answer:
    """A response, with its bytes as they came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items of a bulk response, without the name of their operation."""
        return [next(iter(item.values())) for item in self.json["items"]]

    @property
    def statuses(self) -> list[int]:
        return [item["status"] for item in self.items]


@dataclass
class Client:
    """Raw HTTP: no library between the test and the bytes."""

    url: str
    created: list[str] = field(default_factory=list)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        sent = {"content-type": "application/x-ndjson" if "_bulk" in path else "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def stream(self, settings: dict[str, Any] | None = None, mappings: dict[str, Any] | None = None) -> str:
        """The name of a data stream that does not exist yet, and a template that lets the first write make it."""
        name = f"facts-{uuid.uuid4().hex[:12]}"
        template = {
            "index_patterns": [f"{name}*"],
            "data_stream": {},
            "priority": 900,
            "template": {
                "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1", **(settings or {})},
                "mappings": MAPPINGS if mappings is None else mappings,
            },
        }
        answer = self.call("PUT", f"/_index_template/{name}", template)
        assert answer.status == 200, answer.body
        self.created.append(name)
        return name

    def bulk(self, stream: str, *lines: bytes, query: str = "", **headers: str) -> Answer:
        return self.call("POST", f"/{stream}/_bulk{query}", b"".join(lines), **headers)

    def document(self, index: str, identity: str) -> Answer:
        return self.call("GET", f"/{index}/_doc/{identity}")

    def clean_up(self) -> None:
        for name in self.created:
            self.call("DELETE", f"/_data_stream/{name}*")
            self.call("DELETE", f"/_index_template/{name}")
            self.call("DELETE", f"/_ingest/pipeline/{name}")


def create(identity: str, document: bytes = AWKWARD) -> bytes:
    """Two lines of a bulk body."""
    return b'{"create":{"_id":"%s"}}\n%s\n' % (identity.encode(), document)


def backing(stream: str, generation: int = 1) -> str:
    return f".ds-{stream}-{generation:06d}"


@pytest.fixture
def client(opensearch: Any) -> Iterator[Client]:
    client = Client(opensearch.url)
    yield client
    client.clean_up()


def test_the_server_is_the_version_that_the_folder_names(client):
    if server.url_from_environment():
        pytest.skip("another server was asked for")
    assert client.call("GET", "/").json["version"]["number"] == server.VERSION
    # the endpoint that breaks first when the class path is wrong: it asks every module
    assert client.call("GET", "/_nodes/stats").json["_nodes"] == {"total": 1, "successful": 1, "failed": 0}


# -- the bytes of a document ------------------------------------------------------------------------------------------


def test_source_comes_back_byte_for_byte_by_id_before_any_refresh(client):
    stream = client.stream({"refresh_interval": "-1"})
    assert client.bulk(stream, create("a")).statuses == [201]
    answer = client.document(backing(stream), "a")
    assert b'"_source":' + AWKWARD + b"}" in answer.body
    assert client.call("GET", f"/{backing(stream)}/_source/a").body == AWKWARD
    assert client.call("GET", f"/{stream}/_search").json["hits"]["total"]["value"] == 0


def test_source_comes_back_byte_for_byte_from_a_search(client):
    stream = client.stream()
    client.bulk(stream, create("a"), query="?refresh=true")
    assert b'"_source":' + AWKWARD + b"}" in client.call("GET", f"/{stream}/_search").body


def test_source_comes_back_byte_for_byte_after_a_merge_of_segments(client):
    stream = client.stream()
    for identity in "abc":
        client.bulk(stream, create(identity), query="?refresh=true")
    assert client.call("POST", f"/{stream}/_forcemerge?max_num_segments=1").status == 200
    assert client.call("GET", f"/{stream}/_search").body.count(AWKWARD) == 3


def test_a_key_that_stands_twice_is_refused_even_where_nothing_is_mapped(client):
    # else the bytes could hold two values and every reader would see one of them
    stream = client.stream()
    answer = client.bulk(stream, create("a", b'{"@timestamp":"2026-02-03T10:30:00Z","x":{"k":1,"k":2}}'), create("b"))
    assert answer.statuses == [400, 201]
    assert "Duplicate Object property" in answer.items[0]["error"]["caused_by"]["reason"]


def test_pretty_lays_out_the_response_and_leaves_source_alone(client):
    stream = client.stream()
    client.bulk(stream, create("a"), query="?refresh=true")
    for path in (f"/{backing(stream)}/_doc/a?pretty", f"/{stream}/_search?pretty"):
        answer = client.call("GET", path)
        assert b"\n  " in answer.body
        assert b'"_source":' + AWKWARD + b"\n" in answer.body


@pytest.mark.parametrize(
    "query", ["filter_path=hits.hits", "_source_includes=*", "_source_excludes=none", "filter_path=hits.hits._source"]
)
def test_a_filtered_response_is_written_anew_with_the_same_values(client, query):
    stream = client.stream()
    client.bulk(stream, create("a"), query="?refresh=true")
    answer = client.call("GET", f"/{stream}/_search?{query}")
    assert AWKWARD not in answer.body
    assert b'"a":100.0' in answer.body and b'"f":0.1,' in answer.body
    assert answer.json["hits"]["hits"][0]["_source"] == json.loads(AWKWARD)


def test_source_includes_loses_even_the_order_of_the_keys(client):
    stream = client.stream()
    client.bulk(stream, create("a"), query="?refresh=true")
    sent = list(json.loads(AWKWARD))
    filtered = client.call("GET", f"/{stream}/_search?filter_path=hits.hits").json["hits"]["hits"][0]["_source"]
    included = client.call("GET", f"/{stream}/_search?_source_includes=*").json["hits"]["hits"][0]["_source"]
    assert list(filtered) == sent
    assert list(included) != sent and sorted(included) == sorted(sent)


def test_a_default_pipeline_writes_every_document_anew(client):
    stream = client.stream()
    pipeline = {"processors": [{"set": {"field": "added", "value": 1, "if": "false"}}]}
    assert client.call("PUT", f"/_ingest/pipeline/{stream}", pipeline).status == 200
    client.bulk(stream, create("untouched", ODD))
    client.call("PUT", f"/{stream}/_settings", {"index.default_pipeline": stream})
    client.bulk(stream, create("piped", ODD))
    client.bulk(stream, create("asked-not-to", ODD), query="?pipeline=_none")
    client.call("PUT", f"/{stream}/_settings", {"index.default_pipeline": "_none", "index.final_pipeline": stream})
    client.bulk(stream, create("final", ODD), query="?pipeline=_none")

    assert ODD in client.document(backing(stream), "untouched").body
    assert ODD in client.document(backing(stream), "asked-not-to").body
    for identity in ("piped", "final"):  # although the only processor did nothing
        answer = client.document(backing(stream), identity)
        assert ODD not in answer.body
        assert answer.json["_source"] == json.loads(ODD)


def test_a_pipeline_without_processors_leaves_the_bytes_alone(client):
    stream = client.stream()
    client.call("PUT", f"/_ingest/pipeline/{stream}", {"processors": []})
    client.bulk(stream, create("a", ODD), query=f"?pipeline={stream}")
    assert ODD in client.document(backing(stream), "a").body


def test_a_source_filter_in_the_mapping_takes_fields_away(client):
    stream = client.stream(mappings={**MAPPINGS, "_source": {"excludes": ["z"]}})
    client.bulk(stream, create("a", ODD), query="?refresh=true")
    source = client.document(backing(stream), "a").json["_source"]
    assert "z" not in source
    assert client.call("GET", f"/{stream}/_search").json["hits"]["hits"][0]["_source"] == source
    # what a verifier reads to know it
    assert client.call("GET", f"/{stream}/_mapping").json[backing(stream)]["mappings"]["_source"] == {"excludes": ["z"]}


def test_derived_source_sorts_arrays_and_forgets_what_is_not_mapped(client):
    mappings = {"dynamic": False, "properties": {"@timestamp": {"type": "date"}, "list": {"type": "keyword"}}}
    stream = client.stream({"index.derived_source.enabled": True}, mappings)
    document = b'{"list":["b","a","b"],"@timestamp":"2026-02-03T10:30:00Z","unmapped":"x"}'
    assert client.bulk(stream, create("a", document), query="?refresh=true").statuses == [201]
    source = client.call("GET", f"/{stream}/_search").json["hits"]["hits"][0]["_source"]
    assert source == {"@timestamp": "2026-02-03T10:30:00.000Z", "list": ["a", "b"]}
    # the setting that a verifier must refuse, under the name by which it is read back; it cannot be switched afterwards
    settings = client.call("GET", f"/{stream}/_settings?flat_settings=true").json[backing(stream)]["settings"]
    assert settings["index.derived_source.enabled"] == "true"
    answer = client.call("PUT", f"/{backing(stream)}/_settings", {"index.derived_source.enabled": False})
    assert answer.status == 400 and b"non dynamic" in answer.body


def test_a_template_with_a_flat_object_cannot_have_derived_source(client):
    template = {
        "index_patterns": [f"facts-{uuid.uuid4().hex[:12]}"],
        "data_stream": {},
        "priority": 900,
        "template": {
            "settings": {"index.derived_source.enabled": True},
            "mappings": {"properties": {"@timestamp": {"type": "date"}, "raw": {"type": "flat_object"}}},
        },
    }
    answer = client.call("PUT", "/_index_template/facts-derived", template)
    assert answer.status == 400
    assert b"Derive source is not supported for field [raw] with field type [flat_object]" in answer.body


# -- data streams -----------------------------------------------------------------------------------------------------


def test_the_first_create_makes_the_data_stream_of_its_template(client):
    stream = client.stream()
    assert client.call("GET", f"/_data_stream/{stream}").status == 404
    answer = client.bulk(stream, create("a"))
    assert answer.items[0]["_index"] == backing(stream)
    made = client.call("GET", f"/_data_stream/{stream}").json["data_streams"][0]
    assert made["timestamp_field"] == {"name": "@timestamp"} and made["template"] == stream and made["generation"] == 1
    assert client.call("GET", f"/_cluster/health/{stream}?wait_for_status=green&timeout=10s").json["status"] == "green"


def test_without_a_template_the_first_create_makes_a_plain_index(client):
    # the trap: nothing is refused, and what is made is no data stream and maps every field it meets
    name = f"facts-{uuid.uuid4().hex[:12]}"
    try:
        answer = client.bulk(name, create("a", ODD))
        assert answer.statuses == [201] and answer.items[0]["_index"] == name
        assert client.call("GET", f"/_data_stream/{name}").json == {"data_streams": []}
        answer = client.bulk(name, create("b", ODD), query="?require_data_stream=true")
        assert answer.status == 400 and b"unrecognized parameter: [require_data_stream]" in answer.body
    finally:
        client.call("DELETE", f"/{name}")


@pytest.mark.parametrize(
    "operation",
    [
        b'{"index":{"_id":"b"}}\n' + ODD + b"\n",
        b'{"index":{}}\n' + ODD + b"\n",
        b'{"update":{"_id":"a"}}\n{"doc":{"z":2}}\n',
        b'{"delete":{"_id":"a"}}\n',
    ],
    ids=["index", "index-without-id", "update", "delete"],
)
def test_a_data_stream_takes_nothing_but_create(client, operation):
    stream = client.stream()
    client.bulk(stream, create("a"))
    answer = client.bulk(stream, operation, create("c"))
    assert answer.status == 200 and answer.json["errors"] is True
    refused, taken = answer.items
    assert refused["status"] == 400
    assert refused["error"] == {"type": "illegal_argument_exception", "reason": ONLY_CREATE}
    assert taken["status"] == 201


def test_a_document_without_a_timestamp_is_refused_alone(client):
    stream = client.stream()
    answer = client.bulk(stream, create("a"), create("b", b'{"x":1}'), create("c"))
    assert answer.statuses == [201, 400, 201]
    assert "documents must contain a single-valued timestamp field" in json.dumps(answer.items[1]["error"])


def test_a_document_cannot_be_read_by_id_through_the_name_of_its_stream(client):
    stream = client.stream()
    client.bulk(stream, create("a"))
    for path in (f"/{stream}/_doc/a", f"/{stream}/_source/a"):
        answer = client.call("GET", path)
        assert answer.status == 404 and answer.json["error"]["type"] == "index_not_found_exception"


def test_a_repeated_create_is_a_conflict_that_names_where_the_first_one_is(client):
    stream = client.stream({"refresh_interval": "-1"})
    client.bulk(stream, create("a"))
    answer = client.bulk(stream, create("a", ODD))
    (item,) = answer.items
    assert answer.status == 200 and item["status"] == 409
    assert item["error"]["type"] == "version_conflict_engine_exception"
    assert item["_index"] == item["error"]["index"] == backing(stream)
    # so the document that is there can be compared with ours at once, without waiting for a refresh
    assert AWKWARD in client.document(item["_index"], "a").body


def test_the_same_id_twice_in_one_bulk_request_is_a_conflict_too(client):
    stream = client.stream()
    assert client.bulk(stream, create("a"), create("a"), create("b")).statuses == [201, 409, 201]


def test_after_a_rollover_the_same_id_is_taken_again(client):
    stream = client.stream()
    client.bulk(stream, create("a"), query="?refresh=true")
    assert client.call("POST", f"/{stream}/_rollover").json["new_index"] == backing(stream, 2)
    (item,) = client.bulk(stream, create("a"), query="?refresh=true").items
    assert item["status"] == 201 and item["_index"] == backing(stream, 2)
    query = {"query": {"ids": {"values": ["a"]}}}
    hits = client.call("GET", f"/{stream}/_search", query).json["hits"]["hits"]
    assert sorted(hit["_index"] for hit in hits) == [backing(stream, 1), backing(stream, 2)]
    assert client.call("GET", f"/{stream}/_count", query).json["count"] == 2


def test_count_and_ids_query_find_a_document_in_any_backing_index(client):
    # how an output can ask, before its first delivery or after a rollover, what is there already
    stream = client.stream({"refresh_interval": "-1"})  # from the start: no refresh of its own may be under way
    client.bulk(stream, create("first"), query="?refresh=true")
    client.bulk(stream, create("a"))
    client.call("POST", f"/{stream}/_rollover")
    client.bulk(stream, create("b"), query="?refresh=true")
    # `refresh` on a bulk request reaches the indices that it wrote to, not the older ones of the stream
    assert client.call("GET", f"/{stream}/_count").json["count"] == 2
    client.call("POST", f"/{stream}/_refresh")
    assert client.call("GET", f"/{stream}/_count").json["count"] == 3
    body = {"size": 0, "aggs": {"highest": {"max": {"field": "seal.i"}}}}
    assert client.call("GET", f"/{stream}/_search", body).json["aggregations"]["highest"]["value"] == 7.0


# -- tampering --------------------------------------------------------------------------------------------------------


def test_a_document_can_be_changed_in_its_backing_index(client):
    stream = client.stream()
    client.bulk(stream, create("a"), create("b"), create("c"))
    index = backing(stream)
    changed = client.call("POST", f"/{index}/_update/a?refresh=true", {"doc": {"z": 2}})
    assert changed.status == 200 and changed.json["result"] == "updated"
    replaced = client.call(
        "PUT", f"/{index}/_doc/b?if_seq_no=1&if_primary_term=1", {"@timestamp": "2026-01-01T00:00:00Z", "forged": True}
    )
    assert replaced.status == 200 and replaced.json["result"] == "updated"
    script = {"query": {"ids": {"values": ["c"]}}, "script": {"source": "ctx._source.z = 3"}}
    # this one even takes the name of the stream
    assert client.call("POST", f"/{stream}/_update_by_query?refresh=true", script).json["updated"] == 1
    sources = {hit["_id"]: hit["_source"] for hit in client.call("GET", f"/{stream}/_search").json["hits"]["hits"]}
    assert sources["a"] == {**json.loads(AWKWARD), "z": 2}
    assert sources["b"]["forged"] is True
    assert sources["c"]["z"] == 3


def test_a_document_can_be_deleted_from_its_backing_index(client):
    stream = client.stream()
    client.bulk(stream, create("a"), create("b"), create("c"), query="?refresh=true")
    assert client.call("DELETE", f"/{backing(stream)}/_doc/a?refresh=true").json["result"] == "deleted"
    query = {"query": {"ids": {"values": ["b"]}}}
    assert client.call("POST", f"/{stream}/_delete_by_query?refresh=true", query).json["deleted"] == 1
    assert client.call("GET", f"/{stream}/_count").json["count"] == 1


def test_a_document_can_be_put_into_an_old_backing_index_by_a_bulk_upsert_only(client):
    stream = client.stream()
    client.bulk(stream, create("a"))
    client.call("POST", f"/{stream}/_rollover")
    old = backing(stream)
    for path in (f"/{old}/_doc/forged", f"/{old}/_create/forged"):
        answer = client.call("PUT", path, ODD)
        assert answer.status == 400 and b"targeting backing indices is disallowed" in answer.body
    upsert = {"doc": json.loads(ODD), "doc_as_upsert": True}
    answer = client.call("POST", f"/{old}/_update/forged", upsert)
    assert answer.status == 400 and b"targeting backing indices is disallowed" in answer.body
    lines = b'{"update":{"_id":"forged"}}\n' + json.dumps(upsert).encode() + b"\n"
    (item,) = client.bulk(old, lines).items
    assert item["status"] == 201 and item["result"] == "created"


def test_a_whole_old_backing_index_can_be_deleted_and_the_write_index_cannot(client):
    stream = client.stream()
    client.bulk(stream, create("a"))
    client.call("POST", f"/{stream}/_rollover")
    answer = client.call("DELETE", f"/{backing(stream, 2)}")
    assert answer.status == 400 and b"is the write index for data stream" in answer.body
    assert client.call("DELETE", f"/{backing(stream, 1)}").status == 200
    assert client.call("GET", f"/{stream}/_count").json["count"] == 0


def test_append_only_takes_create_with_our_ids_and_refuses_every_change(client):
    stream = client.stream({"index.append_only.enabled": True})
    assert client.bulk(stream, create("a"), query="?refresh=true").statuses == [201]
    assert client.bulk(stream, create("a")).items[0]["error"]["type"] == "version_conflict_engine_exception"
    index = backing(stream)
    refused = [
        client.call("POST", f"/{index}/_update/a", {"doc": {"z": 2}}),
        client.call("PUT", f"/{index}/_doc/a?if_seq_no=0&if_primary_term=1", ODD),
        client.call("DELETE", f"/{index}/_doc/a"),
        client.call("POST", f"/{stream}/_delete_by_query", {"query": {"match_all": {}}}),
        client.call(
            "POST",
            f"/{stream}/_update_by_query",
            {"query": {"match_all": {}}, "script": {"source": "ctx._source.z = 2"}},
        ),
    ]
    assert [answer.status for answer in refused] == [400] * 5
    assert all(b"`index.append_only.enabled` is enabled" in answer.body for answer in refused)
    assert AWKWARD in client.document(index, "a").body
    answer = client.call("PUT", f"/{index}/_settings", {"index.append_only.enabled": False})
    assert answer.status == 400 and b"non dynamic" in answer.body


def test_append_only_does_not_keep_an_old_backing_index_from_being_deleted(client):
    stream = client.stream({"index.append_only.enabled": True})
    client.bulk(stream, create("a"))
    client.call("POST", f"/{stream}/_rollover")
    assert client.call("DELETE", f"/{backing(stream)}").status == 200


# -- bulk requests ----------------------------------------------------------------------------------------------------


def test_a_gzip_body_is_stored_as_its_plain_bytes(client):
    stream = client.stream()
    body = gzip.compress(create("a") + create("b"), 1)
    assert client.bulk(stream, body, content_encoding="gzip").statuses == [201, 201]
    assert AWKWARD in client.document(backing(stream), "b").body


def test_gzip_members_one_after_another_are_one_body(client):
    # so frames that were compressed when they were kept may be joined as they are
    stream = client.stream()
    body = gzip.compress(create("a")) + gzip.compress(create("b"))
    assert client.bulk(stream, body, content_encoding="gzip").statuses == [201, 201]


def test_a_gzip_body_cut_short_is_taken_as_far_as_it_goes(client):
    # 200, no errors, one item for two documents: an output must count the items of every answer
    stream = client.stream()
    body = gzip.compress(create("a")) + gzip.compress(create("b"))[:40]
    answer = client.bulk(stream, body, content_encoding="gzip")
    assert answer.status == 200 and answer.json["errors"] is False and answer.statuses == [201]


def test_a_gzip_body_with_a_wrong_checksum_is_answered_by_closing_the_connection(client):
    stream = client.stream()
    body = bytearray(gzip.compress(create("a")))
    body[-6] ^= 1
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        client.bulk(stream, bytes(body), content_encoding="gzip")
    assert client.call("GET", f"/_data_stream/{stream}").status == 404


def test_a_gzip_body_without_its_header_is_a_400(client):
    stream = client.stream()
    answer = client.bulk(stream, gzip.compress(create("a")))
    assert answer.status == 400 and "CTRL-CHAR, code 31" in answer.json["error"]["reason"]


def test_a_zstd_body_is_taken(client):
    try:
        from compression import zstd
    except ImportError:
        zstd = pytest.importorskip("backports.zstd")
    stream = client.stream()
    body = zstd.compress(create("a") + create("b"))
    assert body[:4] == b"\x28\xb5\x2f\xfd"
    assert client.bulk(stream, body, content_encoding="zstd").statuses == [201, 201]
    assert AWKWARD in client.document(backing(stream), "b").body


def test_an_unknown_content_encoding_is_ignored(client):
    stream = client.stream()
    assert client.bulk(stream, create("a"), content_encoding="nonsense").statuses == [201]


def test_a_body_without_its_last_newline_is_refused_whole(client):
    stream = client.stream()
    answer = client.bulk(stream, (create("a") + create("b"))[:-1])
    assert answer.status == 400 and "must be terminated by a newline" in answer.json["error"]["reason"]
    assert client.call("GET", f"/_data_stream/{stream}").status == 404


def test_an_id_of_512_bytes_is_taken_and_one_of_513_fails_the_whole_request(client):
    stream = client.stream()
    assert client.bulk(stream, create("x" * 512)).statuses == [201]
    assert client.bulk(stream, create("é" * 256)).statuses == [201]  # bytes, not characters
    answer = client.bulk(stream, create("good"), create("x" * 513))
    assert answer.status == 400
    assert answer.json["error"]["type"] == "action_request_validation_exception"
    assert answer.json["error"]["reason"].endswith("is too long, must be no longer than 512 bytes but was: 513;")
    assert client.document(backing(stream), "good").status == 404


def test_a_malformed_document_fails_alone(client):
    stream = client.stream()
    stamp = b'{"@timestamp":"2026-02-03T10:30:00Z",'
    answer = client.bulk(
        stream,
        create("a"),
        create("bad-number", stamp + b'"number":"abc"}'),
        create("scalar-for-object", stamp + b'"object":"x"}'),
        create("no-json", stamp + b",}"),
        create("z"),
    )
    assert answer.status == 200 and answer.json["errors"] is True
    assert answer.statuses == [201, 400, 400, 400, 201]
    assert {item["error"]["type"] for item in answer.items[1:4]} == {"mapper_parsing_exception"}
    # the reason quotes the value: it must never be logged or sealed
    assert "'abc'" in answer.items[1]["error"]["reason"]


def test_filter_path_on_status_keeps_one_entry_per_item(client):
    stream = client.stream()
    lines = [create("a"), create("b"), create("a"), create("c", b'{"@timestamp":"x"}'), create("d")]
    path = "?filter_path=took,errors,items.*.status,items.*.error,items.*._index"
    answer = client.bulk(stream, *lines, query=path)
    assert answer.json["errors"] is True and isinstance(answer.json["took"], int)
    assert answer.statuses == [201, 201, 409, 400, 201]
    assert {item["_index"] for item in answer.items} == {backing(stream)}
    assert set(answer.items[0]) == {"_index", "status"}
    # without the status the items that went well are left out, and with them the positions of the others
    assert len(client.bulk(stream, *lines, query="?filter_path=errors,items.*.error").json["items"]) == 5
    answer = client.bulk(stream, create("e"), create("a"), create("f"), query="?filter_path=items.*.error")
    assert len(answer.json["items"]) == 1


def test_a_body_over_100_mb_is_a_413_without_a_body_even_when_it_is_small_on_the_wire(client):
    stream = client.stream()
    document = b'{"@timestamp":"2026-02-03T10:30:00Z","x":"' + b"a" * (101 << 20) + b'"}'
    body = gzip.compress(create("a", document), 1)
    assert len(body) < 1 << 20
    answer = client.bulk(stream, body, content_encoding="gzip")
    assert (answer.status, answer.body) == (413, b"")
    assert client.call("GET", f"/_data_stream/{stream}").status == 404


def test_a_413_comes_on_the_announced_length_before_the_body_is_sent(client):
    connection = http.client.HTTPConnection(urlsplit(client.url).netloc, timeout=20)
    connection.putrequest("POST", f"/{client.stream()}/_bulk")
    connection.putheader("content-type", "application/x-ndjson")
    connection.putheader("content-length", str(101 << 20))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


# -- reading everything back ------------------------------------------------------------------------------------------


def pages(client: Client, pit: str, sort: list[dict[str, str]], size: int) -> list[dict[str, Any]]:
    """All hits of a point in time, by search_after."""
    hits: list[dict[str, Any]] = []
    body: dict[str, Any] = {"size": size, "pit": {"id": pit, "keep_alive": "1m"}, "sort": sort}
    while True:
        answer = client.call("GET", "/_search", body)
        assert answer.status == 200, answer.body
        page = answer.json["hits"]["hits"]
        if not page:
            return hits
        hits += page
        body["search_after"] = page[-1]["sort"]


def point_in_time(client: Client, stream: str) -> str:
    answer = client.call("POST", f"/{stream}/_search/point_in_time?keep_alive=1m")
    return str(answer.json["pit_id"])


def sealed(i: int) -> bytes:
    return b'{"@timestamp":"2026-02-03T10:30:00Z", "seal":{"log":"9f2c61d0aa01b3e7","i":%d}}' % i


BY_SEAL = [{"seal.log": "asc"}, {"seal.i": "asc"}]


def test_a_point_in_time_gives_all_documents_in_the_order_of_their_seal(client):
    stream = client.stream()
    client.bulk(stream, *(create(f"d{i}", sealed(i)) for i in (5, 3, 9, 1, 7)), query="?refresh=true")
    client.call("POST", f"/{stream}/_rollover")
    client.bulk(stream, *(create(f"d{i}", sealed(i)) for i in (4, 0, 8, 2, 6)), query="?refresh=true")
    pit = point_in_time(client, stream)
    client.bulk(stream, create("later", sealed(11)), query="?refresh=true")
    hits = pages(client, pit, [*BY_SEAL, {"_shard_doc": "asc"}], size=3)
    assert [hit["_source"]["seal"]["i"] for hit in hits] == list(range(10))
    assert client.call("GET", f"/{stream}/_count").json["count"] == 11
    answer = client.call("DELETE", "/_search/point_in_time", {"pit_id": [pit]})
    assert answer.json["pits"][0]["successful"] is True


def test_search_after_in_a_point_in_time_gives_source_byte_for_byte(client):
    stream = client.stream()
    client.bulk(stream, create("a"), query="?refresh=true")
    body = {"pit": {"id": point_in_time(client, stream)}, "sort": [*BY_SEAL, {"_shard_doc": "asc"}]}
    assert b'"_source":' + AWKWARD in client.call("GET", "/_search", body).body


def test_without_a_tie_breaker_search_after_skips_documents_of_equal_seal(client):
    stream = client.stream()
    client.bulk(stream, *(create(f"d{n}", sealed(7)) for n in range(5)), query="?refresh=true")
    assert len(pages(client, point_in_time(client, stream), BY_SEAL, size=3)) == 3
    assert len(pages(client, point_in_time(client, stream), [*BY_SEAL, {"_shard_doc": "asc"}], size=3)) == 5


@pytest.mark.parametrize("shards", [1, 3])
def test_shard_doc_breaks_ties_across_backing_indices_only_together_with_index(client, shards):
    # A document that was sent again after a rollover has the seal of the first, and can have its _shard_doc too: the
    # number holds the shard's place within its index, not the index. A verifier that pages by it alone can miss such a
    # duplicate.
    stream = client.stream({"number_of_shards": shards})
    lines = [create(f"d{n}", sealed(7)) for n in range(12)]
    client.bulk(stream, *lines, query="?refresh=true")
    client.call("POST", f"/{stream}/_rollover")
    client.bulk(stream, *lines, query="?refresh=true")
    pit = point_in_time(client, stream)
    alone = pages(client, pit, [*BY_SEAL, {"_shard_doc": "asc"}], size=1)
    assert len(alone) == 12
    together = pages(client, pit, [*BY_SEAL, {"_index": "asc"}, {"_shard_doc": "asc"}], size=1)
    assert len({(hit["_index"], hit["_id"]) for hit in together}) == len(together) == 24


def test_shard_doc_without_a_point_in_time_is_refused(client):
    stream = client.stream()
    client.bulk(stream, create("a"))
    answer = client.call("GET", f"/{stream}/_search", {"sort": [{"_shard_doc": "asc"}]})
    assert answer.status == 400 and b"_shard_doc is only supported with point-in-time" in answer.body


def test_a_page_holds_at_most_10000_documents(client):
    stream = client.stream()
    client.bulk(stream, create("a"))
    for size, status in ((10_000, 200), (10_001, 400)):
        assert client.call("GET", f"/{stream}/_search", {"size": size}).status == status
