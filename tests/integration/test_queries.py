"""docs/howto/queries.md answers: its commands in both places, its Dashboards queries and its requests, word for word.

`pytest tests/integration/test_queries.py --golden-update` writes the answers anew: read them before you commit them.
"""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.e2e import agent_process

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/howto/queries.md"
SAMPLE = ROOT / "docs/howto/queries"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DASHBOARDS = re.compile(r"^Dashboards: `(.*)`$", re.MULTILINE)
DEFAULT_PATTERN = "logs-fieldtrail.change-{0},logs-fieldtrail.activity-{0}"
"""The default index pattern of the dashboards, in a namespace."""


@pytest.fixture
def page():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture
def run(opensearch, templates, namespace, ask, tmp_path):
    """The sample set, read by the real agent into the store and into OpenSearch; the configuration."""
    config = tmp_path / "fieldtrail.yaml"
    agent = {"name": "t1", "origin": "test.example/audit", "namespace": namespace, "state_dir": str(tmp_path / "state")}
    document = {
        "agent": agent,
        "inputs": [{"id": "sample", "type": "file", "paths": [f"{SAMPLE}/*.jsonl"]}],
        "outputs": [{"id": "local", "type": "store"}, {"id": "siem", "type": "opensearch", "hosts": [opensearch.url]}],
    }
    config.write_text(yaml.safe_dump(document))
    done = agent_process.run("run", "--once", "-c", config, home=tmp_path)
    assert done.code == 0, done
    assert ask("POST", f"/logs-fieldtrail.*-{namespace}/_refresh").status == 200
    return config


def trimmed(text):
    return "\n".join(line.rstrip() for line in text.splitlines())


def commands(block):
    """The commands of a console block, without what they answer."""
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def told(command, config, *place):
    """What a command prints."""
    program, name, *words = shlex.split(command)
    assert program == "fieldtrail" and name in {"search", "trace"}
    done = agent_process.inside(name, "-c", config, *words, *place)
    assert done.code == 0 and not done.err, (command, done)
    return trimmed(done.out)


def fits(expected, told):
    """Whether what was told is what stands in the page, where `…` stands for anything within a line."""
    pattern = r"[^\n]*".join(map(re.escape, expected.split("…")))
    return re.fullmatch(pattern, told) is not None


def elided(answer):
    """What differs from run to run, left out: the folder, and the time of receipt."""
    answer = re.sub(rf"{re.escape(str(SAMPLE))}/", "…/", answer)
    rows = [re.sub(r"^\d{4}-\d\d-\d\dT\S+ (?= *–.*log\.unparsed)", "… ", row) for row in answer.splitlines()]
    return "\n".join(rows)


def test_every_command_answers_in_both_places_what_the_page_says(page, run, opensearch, namespace, golden_update):
    place = ("--opensearch", opensearch.url, "--index", f"logs-fieldtrail.*-{namespace}")
    seen = 0
    for kind, block in _BLOCK.findall(page):
        if kind != "console":
            continue
        answers = []
        for command in commands(block):
            stored, indexed = told(command, run), told(command, run, *place)
            assert stored == indexed, command
            assert stored.count("\n") >= 1, f"an answer that shows nothing: {command}"
            answers.append(f"$ {command}\n{elided(stored) if golden_update else stored}")
            seen += 1
        if golden_update:
            page = page.replace(f"```console\n{block}```", "```console\n" + "\n".join(answers) + "\n```", 1)
        else:
            assert fits(block.strip("\n"), "\n".join(answers)), "\n".join(answers)
    assert seen > 15
    if golden_update:
        PAGE.write_text(page, encoding="utf-8")


MORE = """
search salary
search '"from 90000"'
search sal*
search 'kim* AND NOT event.action:auth.login'
search 'user.full_name:"Robin Vale" source.ip:203.0.113.0/24'
search 'source.ip:203.0.113.0/24 AND event.outcome:failure'
search 'source.ip:[192.0.2.1 TO 192.0.2.100]'
search 'user.email.lc:ROBIN@co.example'
search 'trail.change.new.lc:"site admin"'
search 'trail.change.delta:>10000'
search 'trail.change.delta:>"-30000" AND trail.change.delta:<0'
search 'trail.change.delta:[-30000 TO -1]'
search 'trail.change.delta_pct:>=20'
search 'trail.change.old_state:null'
search '_exists_:trail.change.old AND NOT _exists_:trail.change.new'
search 'trail.change.redaction:*' --limit 5
search 'trail.change.sensitivity:restricted AND NOT user.name:*'
search 'trail.interface:(api OR automation)'
search 'event.module:okta OR event.module:salesforce AND event.action:data.export'
search 'event.action:auth.login OR event.action:role.grant AND user.email:robin*'
search 'event.outcome:failure -event.module:okta'
search '@timestamp:2026-03-03 AND trail.change.field:salary'
search '@timestamp:2026-03 AND event.action:data.export'
search '@timestamp:>"2026-03-05T02:00:00Z" AND data_stream.dataset:fieldtrail.change'
search '@timestamp:["2026-03-04||/d" TO "2026-03-04||+1d/d"} AND event.module:greenhouse'
search 'event.category:database AND event.type:change' --since 2026-03-04 --until 2026-03-04T12:00:00+01:00
search 'trail.object.type:(offer OR employee) AND trail.change.category:(pay OR bank)' --json
search 'trail.values.name:"New Hire"'
search 'trail.raw:NOTHING OR trail.object.key:okta*'
search 'trail.values.name:[New TO Nf]'
search 'trail.values:>=N'
search 'trail.change.new.lc:[a TO z]'
search '_exists_:trail.change.new.lc AND event.module:greenhouse'
search '@timestamp:>=0800 AND event.module:greenhouse'
search 'error.message:json' --json
search 'message:"Make 4412"'
search 'related.ip:198.51.100.9' --since 2026-03-03 --until 2026-03-03 --json
trace offer/55
trace employee/8120
trace greenhouse:candidate/881 --json
trace greenhouse:candidate/881 --field phone --at 2026-03-04
trace django:employee/8120 --at 2026-03-01
trace django:employee/8120 --at 2026-03-05T01:00:00Z --json
trace keap:opportunity/991
"""


def test_more_questions_have_one_answer_too(run, opensearch, namespace):
    place = ("--opensearch", opensearch.url, "--index", f"logs-fieldtrail.*-{namespace}")
    for line in MORE.strip().splitlines():
        stored, indexed = told(f"fieldtrail {line}", run), told(f"fieldtrail {line}", run, *place)
        assert stored and stored == indexed, line


def test_every_query_for_dashboards_finds_what_the_command_before_it_finds(page, run, ask, namespace):
    """Asked as the search bar asks: words side by side mean OR, and every field is looked into."""
    pairs = 0
    for section in page.split("\n## ")[1:]:
        asked = []
        for part in re.split(r"(?=^Dashboards: )", section, flags=re.MULTILINE):
            found = _DASHBOARDS.match(part)
            if found is None:
                asked = [one for block in _BLOCK.findall(part) if block[0] == "console" for one in commands(block[1])]
                continue
            text = {"query": found[1], "analyze_wildcard": True, "default_field": "*"}
            body = {"size": 1000, "query": {"query_string": text}, "_source": ["event.id"]}
            answer = ask("POST", f"/{DEFAULT_PATTERN.format(namespace)}/_search", body).json
            there = sorted(hit["_source"]["event"]["id"] for hit in answer["hits"]["hits"])
            assert there == identities(asked[-1], run), found[1]
            pairs += 1
            asked = [one for block in _BLOCK.findall(part) if block[0] == "console" for one in commands(block[1])]
    assert pairs == page.count("\nDashboards: ") > 10


def identities(command, config):
    """The ids of the events that a command finds."""
    _, name, *words = shlex.split(command)
    done = agent_process.inside(name, "-c", config, *words, "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    return sorted(one["event_id"] if name == "trace" else one["event"]["id"] for one in lines)


def test_every_request_gives_the_answer_that_stands_below_it(page, run, ask, namespace, golden_update):
    seen = 0
    for request, answer in re.findall(r"^```http\n(.*?)^```\n\n```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        line, _, body = request.partition("\n")
        method, path = line.split()
        path = re.sub(r"(logs-fieldtrail\.[a-z]+)-\*", rf"\1-{namespace}", path)
        given = ask(method, path, json.loads(body))
        assert given.status == 200, (line, given.json)
        assert given.json, f"an answer that shows nothing: {line}"
        if golden_update:
            page = page.replace(
                f"{request}```\n\n```json\n{answer}```", f"{request}```\n\n```json\n{shown(given.json)}```", 1
            )
        else:
            assert given.json == json.loads(answer), shown(given.json)
        seen += 1
    assert seen == page.count("```http") > 5
    if golden_update:
        PAGE.write_text(page, encoding="utf-8")


def shown(answer):
    """An answer as the page shows it: one hit or bucket a line."""
    at, rows = answer, None
    names = []
    while rows is None:
        ((name, at),) = at.items()
        names.append(json.dumps(name))
        rows = at if isinstance(at, list) else None
    inner = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
    opening = ": {".join(names)
    return f"{{{opening}: [\n{inner}\n]{'}' * len(names)}\n"
