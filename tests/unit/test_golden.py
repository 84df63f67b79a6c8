"""What each format makes of its samples, whole events compared byte by byte.

`tests/golden/<format>/<case>.log` is read as a file would be, `<case>.json` beside it holds the events, one a line, in
canonical bytes. A format that a configuration maps has its `config.yaml` in the same folder; an optional `<case>.yaml`
gives `options:` and `timezone:` of the input. `pytest tests/unit/test_golden.py --golden-update` rewrites the expected
events: read them before you commit them.
"""

import difflib
import hashlib
import itertools
import json
from pathlib import Path

import pytest
import rfc8785
import yaml

import parsers
from shipper import __version__
from shipper._privacy import Policy
from shipper.config import Config, load
from shipper.coverage import FACETS, Tally
from shipper.input_sections import StdinInputSection
from shipper.offline import read_events
from shipper.schema import check
from shipper.seal.canonical import MAX_BYTES, canonical

GOLDEN = Path(__file__).parents[1] / "golden"
RECEIVED = 1_775_001_600.0
"""2026-04-01T00:00:00Z: after every time in the samples."""
CASES = sorted(path.relative_to(GOLDEN).with_suffix("").as_posix() for path in GOLDEN.glob("*/*.log"))
FORMATS = sorted({case.partition("/")[0] for case in CASES})
RELEASE = json.dumps(__version__)


def counted_bytes():
    """Random bytes that are none: the same salts in every run."""
    numbers = itertools.count()
    return lambda count: hashlib.sha256(b"golden %d" % next(numbers)).digest()[:count]


def events_of(case):
    """The events of one sample, read as one file in blocks that cut lines anywhere."""
    name = case.partition("/")[0]
    folder = GOLDEN / name
    own = folder / "config.yaml"
    agent = {"agent": {"name": "golden", "origin": "example.com/audit"}}
    config = load(own) if own.exists() else Config.model_validate(agent)
    beside = GOLDEN / f"{case}.yaml"
    extra = yaml.safe_load(beside.read_text()) if beside.exists() else {}
    section = StdinInputSection(id="parse", type="stdin", format=name, **{"timezone": "UTC", **extra})
    config = config.model_copy(update={"inputs": (section,)})
    data = (GOLDEN / f"{case}.log").read_bytes()
    blocks = (data[start : start + 1000] for start in range(0, len(data), 1000))
    return list(
        read_events(config, "golden", name, (f"{case}.log", blocks), received=RECEIVED, random_bytes=counted_bytes())
    )


@pytest.fixture(scope="module")
def events():
    """The events of every case, made once."""
    made = {}

    def get(case):
        if case not in made:
            made[case] = events_of(case)
        return made[case]

    return get


def text_of(events):
    """One event a line; the release is none of the golden files' business."""
    return "".join(
        canonical(event).decode().replace(f'"version":{RELEASE}}},"data_stream"', '"version":"0"},"data_stream"') + "\n"
        for event in events
    )


@pytest.mark.parametrize("case", CASES)
def test_a_sample_becomes_exactly_the_expected_events(case, events, golden_update):
    expected = GOLDEN / f"{case}.json"
    made = text_of(events(case))
    if golden_update:
        expected.write_text(made)
        return
    assert expected.exists(), f"tests/golden/{case}.json is missing; write it with --golden-update and read it"
    wanted = expected.read_text()
    if made != wanted:
        lines = difflib.unified_diff(_readable(wanted), _readable(made), "expected", "made", lineterm="", n=2)
        pytest.fail(f"tests/golden/{case}.json differs\n" + "\n".join(itertools.islice(lines, 200)))


def _readable(text):
    return [
        line
        for event in text.splitlines()
        for line in json.dumps(json.loads(event), indent=1, ensure_ascii=False).splitlines()
    ]


@pytest.mark.parametrize("case", CASES)
def test_every_golden_event_is_one_that_the_field_table_knows(case, events):
    problems = [(event["event"]["id"], problem) for event in events(case) for problem in check(event)]
    assert not problems


@pytest.mark.parametrize("case", CASES)
def test_the_canonical_bytes_of_every_golden_event_are_those_of_rfc_8785(case, events):
    for event in events(case):
        data = canonical(event)
        assert len(data) <= MAX_BYTES
        # Of an event that had to be cut the bytes say less than the dict, so the bytes themselves are checked.
        assert data == rfc8785.dumps(json.loads(data))
        if "truncated" not in json.loads(data)["trail"] or "truncated" in event["trail"]:
            assert data == rfc8785.dumps(event)


@pytest.mark.parametrize("case", CASES)
def test_operations_of_golden_events_can_be_counted(case, events):
    """Ids are unique within a record, one document of each operation is its head, and the count of changes is true."""
    by_record = {}
    for event in events(case):
        by_record.setdefault((event["trail"]["origin"]["offset"], event["trail"]["operation"]["id"]), []).append(event)
    for documents in by_record.values():
        operations = [document["trail"]["operation"] for document in documents]
        heads = sum(operation.get("head") is True for operation in operations)
        changes = sum("change" in document["trail"] for document in documents)
        assert heads >= 1
        assert changes == sum(operation["change_count"] for operation in operations if "head" in operation)
        if heads == 1:
            ids = [document["event"]["id"] for document in documents]
            assert len(set(ids)) == len(ids)
            assert len(ids) == 1 or all(part.startswith(f"{operations[0]['id']}#") for part in ids)
        indexes = [document["trail"]["change"]["index"] for document in documents if "change" in document["trail"]]
        assert heads > 1 or indexes == list(range(len(indexes)))


@pytest.mark.parametrize("name", parsers.names())
def test_every_format_has_golden_samples(name):
    assert f"{name}/normal" in CASES, f"tests/golden/{name}/normal.log is missing"


@pytest.mark.parametrize("name", parsers.names())
def test_the_card_of_a_format_promises_what_its_samples_give(name, events):
    """Neither more, since a user plans with it, nor less: `fieldtrail coverage` prints it."""
    card = parsers.get(name).format
    if card.generic:
        return  # what it gives is what its user's lines hold
    tally = Tally(Policy(), {name: card})
    for case in CASES:
        if case.partition("/")[0] == name:
            for event in events(case):
                tally.add(canonical(event))
    (row,) = tally.rows()
    came = {facet: any(row.came[facet][kind] for kind in ("native", "diff", "inferred")) for facet in FACETS}
    promised = {facet: getattr(card.gives, facet) != "none" for facet in FACETS}
    assert came == promised


def test_no_expected_file_is_left_without_its_sample():
    left = {path.relative_to(GOLDEN).with_suffix("").as_posix() for path in GOLDEN.glob("*/*.json")} - set(CASES)
    assert not left
