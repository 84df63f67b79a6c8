"""The metrics: their names, their values, their page; and what may be configured."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shipper.config import parse
from shipper.errors import ConfigError, DiskError
from shipper.intake import Account, Lost
from shipper.metrics import CATALOGUE, exposition, reference
from tests.unit.test_status import Part

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/metrics.md"
LABELS = {"input", "output", "outcome", "state", "part", "id", "version", "python"}


@pytest.fixture
def part():
    made = Part()
    made.intake.accounts["app"] = Account(9, 90, 6, 2, 1, events=12, internal_errors=1)
    made.intake.lost["app"] = Lost(2, 700, 1)
    made.delivery.account = made.delivery.account._replace(left=3, delivered=10, dead_lettered=2, filtered=2, dropped=1)
    made.keeper.checked_seq = 5
    made.letters.counts = lambda: {"siem": 2}
    made.observer.turn()
    return made


def scraped(part):
    """{(name, labels without their names...): value} of one scrape."""
    text = exposition(part.observer.status)().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, *(sample.labels[name] for name in sorted(sample.labels)))
            assert key not in found, "each series once"
            found[key] = sample.value
    return found


def test_the_page_of_metrics_is_the_programs():
    page = PAGE.read_text(encoding="utf-8")
    table = re.search(r"^\| metric \|.*?(?=\n\n)", page, re.MULTILINE | re.DOTALL)[0]
    assert table == reference()


def test_names_follow_the_conventions_and_labels_are_few():
    names = [metric.name for metric in CATALOGUE]
    assert len(names) == len(set(names))
    for metric in CATALOGUE:
        assert re.fullmatch(r"fieldtrail_[a-z_]+", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert set(metric.labels) <= LABELS
        assert metric.help.endswith(".")


def test_every_metric_has_a_value_where_everything_is_known(part):
    names = {key[0] for key in scraped(part)}
    assert names >= {metric.name for metric in CATALOGUE}
    assert names >= {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"}


def test_the_equations_can_be_computed_from_the_metrics(part):
    found = scraped(part)
    outcomes = sum(value for key, value in found.items() if key[0] == "fieldtrail_input_records_total")
    assert found["fieldtrail_input_read_records_total", "app"] == outcomes == 9
    outcomes = sum(value for key, value in found.items() if key[0] == "fieldtrail_output_documents_total")
    pending = found["fieldtrail_output_pending_documents", "siem"]
    assert found["fieldtrail_output_kept_documents_total", "siem"] == outcomes + pending == 18
    assert found["fieldtrail_conserved",] == 1


def test_an_account_that_is_not_balanced_can_be_alerted_on(part):
    part.intake.accounts["app"] = Account(10, 90, 6)
    found = scraped(part)
    assert found["fieldtrail_conserved",] == found["fieldtrail_input_conserved", "app"] == 0
    assert found["fieldtrail_output_conserved", "siem"] == 1


def test_losses_of_all_parts_are_one_metric(part):
    found = scraped(part)
    assert found["fieldtrail_lost_events_total", "app", "input"] == 2
    assert found["fieldtrail_lost_events_total", "siem", "output"] == 1
    assert found["fieldtrail_lost_bytes_total", "app"] == 700


def test_what_is_not_known_is_not_there(part):
    part.delivery.counts.connected = None
    part.letters.counts = dict
    part.intake.accounts["app"] = Account()
    found = scraped(Part())
    assert ("fieldtrail_checkpoint_age_seconds",) not in found
    found = scraped(part)
    assert ("fieldtrail_output_connected", "siem") not in found
    assert ("fieldtrail_input_lag_events_estimated", "app") not in found
    assert found["fieldtrail_dead_letters", "siem"] == 0


def test_no_path_no_address_and_no_text_of_others_is_in_the_metrics(part):
    part.streams[0]["path"] = "/var/log/s3cret.log"
    part.delivery.counts.connected, part.delivery.counts.last_error = False, "https://s3cret.example: refused"
    part.keeper.failing = "write: /s3cret: full"
    text = exposition(part.observer.status)().decode()
    assert "s3cret" not in text and "/var" not in text
    assert "fieldtrail_journal_failing 1.0" in text


def test_more_streams_make_no_more_series(part):
    before = len(scraped(part))
    part.streams += [{**part.streams[0], "stream": f"s{n}", "path": f"/{n}"} for n in range(500)]
    found = scraped(part)
    assert len(found) == before
    assert found["fieldtrail_input_streams", "app", "following"] == 501


def test_dead_letters_of_an_output_that_is_gone_are_told_too(part):
    part.letters.counts = lambda: {"old": 3}
    found = scraped(part)
    assert (found["fieldtrail_dead_letters", "siem"], found["fieldtrail_dead_letters", "old"]) == (0, 3)


def test_dead_letters_that_cannot_be_read_are_not_called_none(part):
    def refuse():
        raise DiskError("read dead letters", "/x", "input/output error", "ls")

    part.letters.counts = refuse
    assert ("fieldtrail_dead_letters", "siem") not in scraped(part)


# -- the configuration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:9599", ("127.0.0.1", 9599)),
        ("localhost:80", ("127.0.0.1", 80)),
        ("'[::1]:9600'", ("::1", 9600)),
        ("127.8.9.10:1", ("127.8.9.10", 1)),
    ],
)
def test_an_address_of_this_machine_is_taken(listen, address):
    assert parse(f"metrics: {{listen: {listen}}}", "test").metrics.address == address


def test_nothing_listens_unless_it_is_asked_for():
    assert parse("agent: {name: t1}", "test").metrics is None
    assert parse("metrics: {}", "test").metrics.address == ("127.0.0.1", 9599)


@pytest.mark.parametrize("listen", ["0.0.0.0:9599", "'[::]:9599'", "192.0.2.7:9599", "'[2001:db8::1]:9599'"])
def test_an_address_that_others_can_reach_needs_a_word_more(listen):
    with pytest.raises(ConfigError) as caught:
        parse(f"metrics: {{listen: {listen}}}", "test")
    assert "allow_remote: true" in str(caught.value.problems)
    assert parse(f"metrics: {{listen: {listen}, allow_remote: true}}", "test").metrics.allow_remote


@pytest.mark.parametrize(
    "listen",
    ["'9599'", "':9599'", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "300.1.1.1:9599", "'[::1:9599'", "'::1:9599'",
     "agent.example:9599", "http://127.0.0.1:9599", "127.0.0.1:9599/metrics", "'127.0.0.1:9599 '"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_an_example(listen):
    with pytest.raises(ConfigError) as caught:
        parse(f"metrics: {{listen: {listen}}}", "test")
    ((place, text),) = caught.value.problems
    assert place == "metrics.listen" and "127.0.0.1:9599" in text


def test_a_mistyped_key_of_the_section_gets_a_suggestion():
    with pytest.raises(ConfigError) as caught:
        parse("metrics: {listn: 127.0.0.1:9599}", "test")
    assert caught.value.problems == (("metrics.listn", "unknown key; did you mean listen?"),)
