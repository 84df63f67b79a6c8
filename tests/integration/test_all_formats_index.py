"""100,000 events of all formats through the real agent into a real OpenSearch: nothing refused, nothing left unindexed.

The samples of tests/golden, all of them, again and again, with other people, addresses and times each time. What
OpenSearch may not index is a value that is longer than its keyword may be, and nothing else.
"""

import json
import random
import re
import sys
import time
from pathlib import Path

import pytest
import yaml

from shipper.outputs._match import leaves
from shipper.templates import templates as made_templates
from tests.e2e import agent_process

GOLDEN = Path(__file__).parents[1] / "golden"
EVENTS = 100_000
SEED = 20_260_403
TOO_LONG = {
    "event.code", "event.id", "process.command_line", "related.user", "trail.change.field", "trail.change.new",
    "trail.change.new_label", "trail.change.old", "trail.object.name", "trail.operation.id", "user.name",
    "user_agent.original",
}  # fmt: skip
"""Fields of which the samples hold values too long to be indexed. They are kept and shown, and OpenSearch names them
nowhere: `_ignored` has values of the wrong form alone."""
_PERSON = re.compile(rb"\b(kim|lee|ann|robin)@")
_ADDRESS = re.compile(rb"\b(192\.0\.2|198\.51\.100|203\.0\.113)\.\d{1,3}\b")
_CLOCK = re.compile(rb"(?<=\d[T ])(\d\d):[0-5]\d:[0-5]\d(?=[.,Z+\" ])")


def varied(data, chosen):
    """A sample with other people, addresses, minutes and seconds; its lines stay what they are otherwise."""
    data = _PERSON.sub(lambda found: b"%s%d@" % (found[1], chosen.randrange(500)), data)
    data = _ADDRESS.sub(lambda found: b"%s.%d" % (found[1], chosen.randrange(1, 255)), data)
    return _CLOCK.sub(lambda found: b"%s:%02d:%02d" % (found[1], chosen.randrange(60), chosen.randrange(60)), data)


def written(folder, times):
    """The samples as files, each many times over; the inputs that read them and the formats of users."""
    chosen = random.Random(SEED)
    inputs, formats = [], {}
    for path in sorted(GOLDEN.glob("*/*.log")):
        name, case = path.parent.name, path.stem
        own, beside = path.parent / "config.yaml", path.with_suffix(".yaml")
        if own.exists():
            formats |= yaml.safe_load(own.read_text())["formats"]
        sample = path.read_bytes()
        sample += b"" if sample.endswith(b"\n") else b"\n"
        header, rows = b"", sample
        if "csv" in (name, *case.split("_")):  # the names of the columns stand once in a file
            header, _, rows = sample.partition(b"\n")
            header += b"\n"
        target = folder / f"{name}-{case}.log"
        with target.open("wb") as out:
            out.write(header)
            out.writelines(varied(rows, chosen) for _ in range(times))
        extra = yaml.safe_load(beside.read_text()) if beside.exists() else {}
        inputs.append(
            {"id": f"{name}-{case}", "type": "file", "paths": [str(target)], "format": name, "timezone": "UTC", **extra}
        )
    return inputs, formats


def keywords():
    """Every keyword that can be searched, with the longest value that it takes."""

    def walk(properties, at=""):
        for name, body in properties.items():
            if "properties" in body:
                yield from walk(body["properties"], f"{at}{name}.")
                continue
            for sub, one in (
                (f"{at}{name}", body),
                *((f"{at}{name}.{n}", b) for n, b in body.get("fields", {}).items()),
            ):
                if one.get("enabled", True) and one.get("index", True):
                    yield sub, one.get("ignore_above")

    found = {}
    for body in made_templates()["component_templates"].values():
        found |= walk(body["template"].get("mappings", {}).get("properties", {}))
    return found


@pytest.mark.slow
def test_a_hundred_thousand_events_of_all_formats_are_indexed_whole(opensearch, templates, namespace, ask, tmp_path):
    golden = [path.read_bytes().count(b"\n") for path in GOLDEN.glob("*/*.json")]
    (tmp_path / "logs").mkdir()
    inputs, formats = written(tmp_path / "logs", -(-EVENTS // sum(golden)) + 1)
    config = tmp_path / "fieldtrail.yaml"
    agent = {"name": "t1", "origin": "test.example/audit", "namespace": namespace, "state_dir": str(tmp_path / "state")}
    document = {
        "agent": {**agent, "workers": 1},
        "inputs": inputs,
        "formats": formats,
        "outputs": [{"id": "siem", "type": "opensearch", "hosts": [opensearch.url]}],
    }
    config.write_text(yaml.safe_dump(document))
    began = time.monotonic()
    done = agent_process.run("run", "--once", "-c", config, home=tmp_path, timeout=170)
    took = time.monotonic() - began
    assert done.code == 0, done.err[-3000:]
    told = next(one for one in done.logs if one["event"] == "agent stopped")
    output = told["outputs"]["siem"]
    assert output["dead_lettered"] == output["pending"] == output["filtered"] == output["dropped"] == 0

    index = f"logs-fieldtrail.*-{namespace}"
    events = f"logs-fieldtrail.change-{namespace},logs-fieldtrail.activity-{namespace}"
    assert ask("POST", f"/{index}/_refresh").status == 200
    arrived = ask("GET", f"/{events}/_count").json["count"]
    assert arrived >= EVENTS
    with_events = sum(one["with_events"] + one["rejected"] for one in told["inputs"].values())
    heads = ask("GET", f"/{events}/_count", {"query": {"term": {"trail.operation.head": True}}}).json["count"]
    assert heads >= with_events, "an operation has exactly one head, and a record at least one operation"
    assert ask("GET", f"/{index}/_count").json["count"] == output["delivered"] == output["kept"]
    print(f"\n{arrived:,} events of {len(inputs)} samples in {took:.1f} s: {arrived / took:,.0f} a second")

    # Every value of a number, a date, an address has the form of its kind.
    found = ask("POST", f"/{index}/_search", {"query": {"exists": {"field": "_ignored"}}}).json["hits"]["hits"]
    assert [(hit["_ignored"], hit["_id"]) for hit in found] == []

    # What the samples hold can be found.
    limits, carried, too_long = keywords(), set(), set()
    for path in GOLDEN.glob("*/*.json"):
        for line in path.read_bytes().splitlines():
            for name, value in leaves(json.loads(line)):
                carried.add(name)
                if isinstance(value, str) and len(value) > (limits.get(name) or sys.maxsize):
                    too_long.add(name)
    assert too_long == TOO_LONG
    fields = sorted(carried & set(limits))
    assert len(fields) > 150
    filters = {name: {"exists": {"field": name}} for name in fields}
    body = {"size": 0, "aggs": {"of": {"filters": {"filters": filters}}}}
    buckets = ask("POST", f"/{events}/_search", body).json["aggregations"]["of"]["buckets"]
    assert [name for name in fields if not buckets[name]["doc_count"]] == []

    verified = agent_process.run(
        "verify", "-c", config, "--opensearch", opensearch.url, "--index", index, home=tmp_path, timeout=170
    )
    assert verified.code == 0, verified
    print(verified.out.strip().splitlines()[-1])
