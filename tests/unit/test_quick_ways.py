"""No document differs between the quick ways and the reference: over all golden samples, and a million made lines."""

import itertools
from pathlib import Path

import pytest

from bench import corpus
from parsers import names
from shipper.build import Lanes
from shipper.config import load as load_config
from shipper.config import parse
from shipper.framing import Block
from shipper.model import Chunk
from shipper.pipeline import process
from tests.framed import records_of

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = [path for path in sorted((ROOT / "tests/golden").glob("*/*.log")) if path.parent.name in names()]
"""Not those of a mapping, which is no format: its quick way is tested in test_spliced.py."""
LONGEST = 10_000
"""Longer lines go to the reference in any case."""
RECEIVED = 1_780_000_000.0


def lanes(text, name):
    """(a lane with its quick way, one without)."""
    table = Lanes(parse(text, "test"), "test", bytes_of_salt)
    quick, slow = table.lane("x", name), table.lane("x", name)
    assert quick.quick is not None
    slow.quick = None
    return quick, slow


def bytes_of_salt(count=16):
    return bytes(count)


def made(lane, records, times):
    """What a lane makes of some records: documents, datasets, counts, custody."""
    chunk = Chunk("x", "s", "a.log", "f", records, {}, RECEIVED)
    lines = process(chunk, lane, times, b"k" * 32, None, bytes_of_salt)
    return lines.bodies, lines.routes, lines.leaves, lines.source


def agree(quick, slow, chunks):
    times, other = {}, {}
    for records in chunks:
        found, expected = made(quick, records, times), made(slow, records, other)
        assert found == expected
        assert times == other
    counts = [(lane.counts.read, lane.counts.with_events, lane.counts.no_change) for lane in (quick, slow)]
    assert counts[0] == counts[1]
    assert not quick.counts.extra.get("internal_errors")


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{path.parent.name}/{path.stem}" for path in SAMPLES])
def test_golden_samples_give_the_same_documents_either_way(sample):
    name = sample.parent.name
    records = [record for record in records_of(name, sample.read_bytes()) if len(record.data) < LONGEST]
    text = f'inputs: [{{id: x, type: file, paths: ["/x"], format: {name}, timezone: Europe/Berlin}}]'
    # Again and again: the first time templates are learned, then they are used.
    agree(*lanes(text, name), [records] * 4)


def blocks(lines, size):
    offset = 0
    while part := b"".join(itertools.islice(lines, size)):
        yield Block(part, offset)
        offset += len(part)


def of_corpus(kind, tmp_path):
    """The lanes for a kind of the benchmark's input, with the benchmark's own configuration."""
    conf = {"json3": "json"}.get(kind, kind)
    text = (ROOT / "bench/conf" / conf / "fieldtrail.yaml").read_text(encoding="utf-8")
    for name, value in {"state": tmp_path, "data": "/x", "workers": 1, "outputs": "[]", "conf": tmp_path}.items():
        text = text.replace("{" + name + "}", str(value))
    (tmp_path / "fieldtrail.yaml").write_text(text, encoding="utf-8")
    config = load_config(tmp_path / "fieldtrail.yaml")
    table = Lanes(config, "test", bytes_of_salt)
    section = config.inputs[0]
    quick, slow = table.lane(section.id, section.format), table.lane(section.id, section.format)
    slow.quick = None
    return quick, slow


@pytest.mark.parametrize("kind", sorted(corpus.KINDS))
def test_made_lines_give_the_same_documents_either_way(kind, tmp_path):
    agree(*of_corpus(kind, tmp_path), blocks(corpus.lines(4_000, kind), 100))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_made_lines_give_the_same_documents_either_way(tmp_path):
    for kind, count in (("json", 600_000), ("json3", 50_000), ("pairs", 50_000), ("nginx", 150_000), ("sshd", 150_000)):
        (tmp_path / kind).mkdir()
        agree(*of_corpus(kind, tmp_path / kind), blocks(corpus.lines(count, kind), 500))
