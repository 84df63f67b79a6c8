"""The store and a real OpenSearch give the same events for the same query, in the same order.

Queries are made of the fields and values of all golden events, for every operator that docs/reference/search.md tells
of, and put together at random. Left out are the events of which OpenSearch does not index every value (a value longer
than its keywords may be), and those that hold control or format characters, at which its words are cut otherwise.
"""

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from shipper.config import OpenSearchSection
from shipper.model import Batch
from shipper.outputs._match import leaves
from shipper.outputs._opensearch_client import Client
from shipper.outputs._opensearch_reader import search_events
from shipper.outputs._query import quote
from shipper.outputs.opensearch import OpenSearchOutput
from shipper.outputs.store import StoreOutput, search
from shipper.templates import templates as made_templates
from tests.shipped import LOG, ORIGIN, columns, document

GOLDEN = Path(__file__).parents[1] / "golden"
NOW = 1_775_001_600.0
"""2026-04-01T00:00:00Z: after every time in the samples."""
_SPECIAL = re.compile(r'[+\-=&|><!(){}\[\]^"~*?:\\/\s]')
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_WORDS_OF_LUCENE = {"AND", "OR", "NOT", "TO"}


def plain(value):
    """Whether each text below `value` is one that both sides index alike."""
    if isinstance(value, dict):
        return all(plain(one) for one in value.values())
    if isinstance(value, list):
        return all(plain(one) for one in value)
    return not isinstance(value, str) or (len(value) <= 1024 and not _HIDDEN.search(value))


def golden_events():
    for path in sorted(GOLDEN.glob("*/*.json")):
        for line in path.read_bytes().split(b"\n"):
            if b'"data_stream"' in line and plain(event := json.loads(line)):
                yield event


def mapped():
    """Every field that can be searched, with its type; sub-fields too."""

    def walk(properties, at=""):
        for name, body in properties.items():
            path = f"{at}{name}"
            if "properties" in body:
                yield from walk(body["properties"], f"{path}.")
            elif body.get("enabled", True) and body.get("index", True):
                yield path, body["type"]
                for sub, inner in body.get("fields", {}).items():
                    yield f"{path}.{sub}", inner["type"]

    found = {}
    for body in made_templates()["component_templates"].values():
        found |= walk(body["template"].get("mappings", {}).get("properties", {}))
    return found


def escaped(text):
    return _SPECIAL.sub(r"\\\g<0>", text)


def text_of(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def queries_of(events, chosen):
    """(kind, query) for the values of the events; `chosen`: the random choice of this test."""
    fields = mapped()
    values = {}
    for event in events:
        for name, value in leaves(event):
            if name in fields:
                values.setdefault(name, set()).add(text_of(value))
    for name, texts in sorted(values.items()):
        kind, sample = fields[name], chosen.sample(sorted(texts), min(4, len(texts)))
        yield "exists", f"_exists_:{name}"
        yield "has a value", f"{name}:*"
        yield "one of", f"{name}:({' OR '.join(map(quote, sample))})"
        yield "all of", f"{name}:({quote(sample[0])} *)"
        for text in sample:
            yield f"phrase, {kind}", f"{name}:{quote(text)}"
            yield "not", f"NOT {name}:{quote(text)}"
            yield "minus", f"*:* -{name}:{quote(text)}"
            if kind == "keyword" and text and not _SPECIAL.sub("", text).isspace() and text not in _WORDS_OF_LUCENE:
                at = chosen.randrange(len(text))
                yield "escaped", f"{name}:{escaped(text)}"
                yield "begins", f"{name}:{escaped(text[:3])}*"
                yield "holds", f"{name}:*{escaped(text[1:4])}*"
                yield "any one", f"{name}:{escaped(text[:at])}?{escaped(text[at + 1 :])}"
            if f"{name}.lc" in fields:
                yield "lower case", f"{name}.lc:{quote(text.upper())}"
            if f"{name}.text" in fields and text.split():
                yield "words of a name", f"{name}.text:{quote(text.split()[0].upper())}"
            if kind in {"long", "double", "short", "integer", "float"}:
                for sign in (">", "<", ">=", "<="):
                    yield "number compared", f"{name}:{sign}{quote(text) if text.startswith('-') else text}"
                yield "number range", f"{name}:[* TO {quote(text)}}}"
            if kind == "date":
                for size in (4, 7, 10, 13, 16, len(text)):
                    date = quote(text[:size])
                    yield "date", f"{name}:{date}"
                    yield "date range", f"{name}:[{date} TO now}}"
                    for sign in (">", "<", ">=", "<="):
                        yield "date compared", f"{name}:{sign}{date}"
                yield "bare date", f"{name}:{text[:7]}"
                yield "date math", f'{name}:["{text[:10]}||/M" TO "{text[:10]}||+1M/d"}}'
            if kind == "ip":
                yield "network", f'{name}:"{text}/{24 if "." in text else 64}"'
                yield "address compared", f'{name}:>"{text}"'
                if "." in text:
                    yield "bare network", f"{name}:{text}/16"
                    yield "address range", f"{name}:[{text} TO 223.0.0.0]"
            if kind == "match_only_text" and (words := text.split()):
                at = chosen.randrange(len(words))
                yield "word", f"{name}:{quote(words[at])}"
                yield "words", f"{name}:{quote(' '.join(words[at : at + 3]))}"
                yield "word begins", f"{name}:{escaped(words[at][:3])}*"
    for event in chosen.sample(events, 100):
        for name in ("trail.raw", "trail.values"):
            for path, value in leaves(event["trail"].get(name[6:]) or {}, name):
                if re.fullmatch(r"[\w.@-]+", path) and len(text_of(value)) < 300:
                    yield "any value of an object", f"{name}:{quote(text_of(value))}"
                    yield "a key of an object", f"{path}:{quote(text_of(value))}"
        words = event.get("message", "").split()
        if words:
            at = chosen.randrange(len(words))
            if words[at] not in _WORDS_OF_LUCENE:
                yield "bare word", escaped(words[at])
            yield "bare phrase", quote(" ".join(words[at : at + 2]))
            yield "bare beginning", f"{escaped(words[at][:3])}*"
        for value in (event.get("user", {}).get("full_name"), event["trail"].get("object", {}).get("key")):
            if isinstance(value, str):
                yield "bare value", quote(value)


_TOGETHER = (
    "{a} AND {b}", "{a} OR {b}", "{a} OR {b} AND {c}", "{a} AND {b} OR {c}", "({a} OR {b}) AND {c}", "{a} {b}",
    "+{a} -{b}", "NOT {a} AND {b}", "{a} OR NOT {b}", "NOT ({a} OR {b})", "{a} {b} OR {c}", "-{a} OR {b}", "{a} OR {b} {c}",
)  # fmt: skip


@pytest.fixture
def events(request):
    return list(golden_events())[:: request.param]


@pytest.fixture
def places(opensearch, templates, namespace, ask, events, tmp_path):
    """`ask(query)`: the ids that the store finds, and those that OpenSearch finds, newest first."""
    batch = Batch(0, LOG, ORIGIN, columns(*(document(n, event) for n, event in enumerate(events))), namespace)
    section = OpenSearchSection(id="siem", type="opensearch", hosts=(opensearch.url,))
    outputs = [StoreOutput("local", tmp_path / "store.db"), OpenSearchOutput(section, namespace=namespace)]
    client = Client([opensearch.url])
    try:
        for output in outputs:
            output.open({})
            assert output.deliver(batch).delivered == len(events)
        index = f"logs-fieldtrail.*-{namespace}"
        ask("POST", f"/{index}/_refresh")

        def answers(query):
            found = (
                search(tmp_path / "store.db", query, now=NOW),
                search_events(client, query, now=NOW, index=index),
            )
            return [[event["seal"]["i"] for event in one] for one in found]

        yield answers
    finally:
        client.close()
        for output in outputs:
            output.close()


@pytest.mark.parametrize(
    ("events", "each"), [(5, 5), pytest.param(2, 20, marks=pytest.mark.slow)], indirect=["events"], ids=["some", "many"]
)
def test_both_answer_alike_for_every_operator_that_is_documented(places, events, each):
    chosen = random.Random(20_260_403)
    kinds = {}
    for kind, query in dict.fromkeys(queries_of(events, chosen)):
        kinds.setdefault(kind, []).append(query)
    simple = [query for kind in ("phrase, keyword", "exists", "begins", "date compared") for query in kinds[kind]]
    kinds["together"] = [
        form.format(**{name: chosen.choice(simple) for name in "abc"}) for form in _TOGETHER for _ in range(20)
    ]
    wrong, found = [], Counter()
    for kind, queries in kinds.items():
        for query in chosen.sample(queries, min(len(queries), 4 * each if kind == "together" else each)):
            stored, indexed = places(query)
            found[kind] += bool(stored)
            if sorted(stored) != sorted(indexed):
                only = [sorted(set(one) - set(other))[:3] for one, other in ((stored, indexed), (indexed, stored))]
                wrong.append((kind, query, len(stored), len(indexed), *only))
    assert not wrong, "\n".join(map(str, wrong))
    assert len(kinds) > 30
    assert [kind for kind in kinds if not found[kind]] == [], "a kind of which no query found anything shows nothing"
