"""What the observer says of an agent's parts, that its figures agree at any moment, and what people see of it."""

import copy
import io
import itertools
import os
import sys
import threading
from types import SimpleNamespace

import pytest
from rich.console import Console

from shipper import build
from shipper.commands import _status as shown
from shipper.config import Config
from shipper.delivery import Account as OutputAccount
from shipper.delivery import Cursor, OutputCounts
from shipper.errors import DiskError
from shipper.intake import Account, Intake, Lost
from shipper.journal import Gap
from shipper.keeper import Keeper, Sealed
from shipper.model import KEPT_PARTS, READ_PARTS, Chunk, Receipt, Record, Refusal
from shipper.processor import Processor
from shipper.status import STALLED, Observer
from shipper.waits import MOST_MARKS, Waits
from tests.tailing import StandingClock
from tests.unit.test_agent_parts import Fake, Log, delivered, everything
from tests.unit.test_delivery import Shelved, batches

# -- how long bytes wait -----------------------------------------------------------------------------------------------


def stream(offset, size, name="s"):
    return {"stream": name, "offset": offset, "size": size}


def test_the_oldest_unread_byte_counts_from_the_look_that_first_saw_it():
    waits = Waits()
    waits.look(10.0, [stream(0, 100)])
    waits.look(12.0, [stream(50, 300)])
    assert waits.longest(13.0) == 3.0, "bytes 50 to 100 have been there since 10"
    waits.look(14.0, [stream(100, 300)])
    assert waits.longest(14.0) == 2.0, "the rest came at 12"
    waits.look(15.0, [stream(300, 300)])
    assert waits.longest(99.0) == 0.0


def test_a_stream_that_is_read_as_fast_as_it_is_written_and_never_to_its_end_is_as_late_as_it_is():
    waits = Waits()
    for now in range(1000):
        waits.look(float(now), [stream(max(0, (now - 20) * 10), (now + 1) * 10)])
    assert 19.0 <= waits.longest(999.0) <= 21.0


def test_the_longest_of_all_streams_is_told_and_a_stream_that_is_gone_waits_no_more():
    waits = Waits()
    waits.look(1.0, [stream(0, 5, "a")])
    waits.look(3.0, [stream(0, 5, "a"), stream(0, 9, "b")])
    assert waits.longest(4.0) == 3.0
    waits.look(5.0, [stream(0, 9, "b")])
    assert waits.longest(5.0) == 2.0


def test_a_stream_that_was_truncated_begins_to_wait_anew():
    waits = Waits()
    waits.look(1.0, [stream(0, 500)])
    waits.look(9.0, [stream(0, 20)])
    assert waits.longest(9.0) == 0.0


def test_a_backlog_of_days_is_remembered_in_few_marks_that_never_make_it_younger():
    waits = Waits()
    for now in range(50_000):
        waits.look(float(now), [stream(0 if now < 49_999 else 250_000, (now + 1) * 10)])
    (marks,) = waits._marks.values()
    assert len(marks) <= MOST_MARKS + 1
    assert waits.longest(49_999.0) >= 49_999 - 25_000


# -- figures that agree at any moment ----------------------------------------------------------------------------------


def at_every_line(look, *files):
    """Call `look` before each line of these files that this thread runs, as another thread could."""

    def trace(frame, event, _):
        if not frame.f_code.co_filename.endswith(files):
            return None
        if event == "line":
            sys.settrace(None)
            try:
                look()
            finally:
                sys.settrace(trace)
        return trace

    return trace


def test_the_equation_of_an_output_holds_at_every_line_of_its_delivery(tmp_path, monkeypatch):
    log = Log(tmp_path)
    try:
        for number in range(0, 40, 4):
            log.keep(*range(number, number + 4), close=number % 8 == 0)
        answers = [
            lambda batch: Receipt(2, retry=batch.documents[2:], error="busy"),
            lambda batch: Receipt(0, refused=[Refusal(batch.documents[0], "t", "r")], retry=batch.documents[1:]),
            lambda batch: Receipt(0, fork=batch.documents[:1], retry=batch.documents[1:], error="busy"),
        ]
        seen = set()
        made = []

        def look():
            delivery = made[0] if made else None
            if delivery is None:
                return
            account = delivery.account
            total = max(log.state.total, account.upto)
            parts = (account.delivered, account.dead_lettered, account.filtered, account.dropped)
            assert account.kept(total) == sum(parts) + account.pending(total), account
            seen.add(account)

        def until(delivery):
            made[:] = [delivery]
            return everything(delivery)

        sys.settrace(at_every_line(look, "shipper/delivery.py", "shipper/status.py"))
        try:
            delivery, _, _ = delivered(
                log, tmp_path, Fake(answers), until=until, when=lambda document: document.index % 5 != 0
            )
        finally:
            sys.settrace(None)
        assert delivery.failure is None
        assert len(seen) >= 5, "it was looked at in the middle"
        last = delivery.account
        assert last.pending(log.state.total) == 0 and last.filtered and last.dead_lettered == 2
    finally:
        log.journal.close()


def test_an_output_that_tells_of_fewer_documents_than_it_got_unbalances_its_account(tmp_path):
    log = Log(tmp_path)
    try:
        log.keep(1, 2, 3)
        delivery, _, _ = delivered(log, tmp_path, Fake([lambda batch: Receipt(1)]), until=everything)
        account = delivery.account
        assert account.kept(log.state.total) == 4
        assert account.delivered + account.pending(log.state.total) == 1, "three are nowhere, and that shows"
        delivery.account = OutputAccount()  # what holds after every other test was broken on purpose
    finally:
        log.journal.close()


class Source:
    """An input that gives these chunks, one a read."""

    def __init__(self, name, chunks):
        self.id, self.chunks = name, list(chunks)

    def restore(self, positions):
        pass

    def read(self, budget):
        return [self.chunks.pop(0)] if self.chunks else []

    def done(self):
        return not self.chunks


def config(**more):
    mapped = {"decode": "json", "map": {"user.name": "who"}, "changes": {"list": "changes"}}
    return Config.model_validate(
        {
            "agent": {"name": "t1", "origin": "test.example/audit"},
            "inputs": [{"id": name, "type": "stdin", "format": "app"} for name in ("a", "b")],
            "formats": {"app": {**mapped, "default_action": "field.update"}},
            **more,
        }
    )


def chunk(name, *lines):
    data = [line.encode() for line in lines]
    ends = list(itertools.accumulate(len(line) + 1 for line in data))
    records = [Record(line, end - len(line) - 1, len(line) + 1) for line, end in zip(data, ends, strict=True)]
    return Chunk(name, f"{name}1", f"/{name}", "app", records, {"offset": ends[-1]}, 1.0)


CHANGE = '{"who": "kim", "changes": [{"field": "stage", "old": "a", "new": "b"}]}'


def intake(*sources):
    processor = Processor(build.Lanes(config(), "test", os.urandom), b"m" * 32, os.urandom)
    return Intake(sources, processor, {}, identity=None, clock=StandingClock())


def test_the_equation_of_an_input_holds_at_every_line_of_the_pipeline():
    good = [chunk(name, CHANGE, "not JSON", CHANGE) for name in ("a", "b", "a")]
    taking = intake(Source("a", good[::2]), Source("b", good[1:2]))
    seen = set()

    def look():
        for account in taking.accounts.values():
            assert account.read == sum(getattr(account, name) for name in READ_PARTS), account
            seen.add(account)

    sys.settrace(at_every_line(look, "shipper/intake.py", "shipper/pipeline.py", "shipper/processor.py"))
    try:
        taking.take(None)
    finally:
        sys.settrace(None)
    assert taking.accounts["a"] == Account(6, 2 * (2 * len(CHANGE) + 11), 4, 2, events=6)
    assert len(seen) == 3, "before the first chunk, after one, after both"


# -- the observer ------------------------------------------------------------------------------------------------------


class Part:
    """The parts of an agent, as far as it is looked at; everything is well and at rest."""

    def __init__(self, **sections):
        self.clock = StandingClock()
        self.streams = [
            {"stream": "s", "path": "/a", "offset": 90, "size": 90, "lag": 0, "format": "app", "state": "following"}
        ]
        self.source = SimpleNamespace(id="app", statistics=lambda: copy.deepcopy(self.streams))
        self.intake = SimpleNamespace(
            inputs=[self.source], accounts={"app": Account(9, 90, 9, events=18)}, lost={"app": Lost()}
        )
        self.delivery = SimpleNamespace(
            output=SimpleNamespace(id="siem"),
            account=OutputAccount(base=2, upto=20, left=0, time=self.clock.wall - 30, delivered=18),
            counts=OutputCounts(delivered=18, connected=True),
            seq=5,
            failure=None,
        )
        self.journal = SimpleNamespace(
            bytes_used=1000, first_seq=0, next_seq=5, full=False, bytes_from=lambda seq: 200 * (5 - seq)
        )
        self.keeper = SimpleNamespace(total=20, checked_seq=4, failing="")
        self.room = SimpleNamespace(full=False, holders=())
        self.letters = SimpleNamespace(counts=dict)
        sealer = SimpleNamespace(
            log=SimpleNamespace(id="0" * 16, origin="test.example/audit/t1/x"),
            tree=SimpleNamespace(size=19),
            checked_size=17,
        )
        self.stopping = threading.Event()
        self.observer = Observer(
            config(**sections), self.clock, self.intake, [self.delivery], self.journal, self.keeper, self.room,
            self.letters, lambda: SimpleNamespace(sealer=sealer), self.stopping,
        )  # fmt: skip

    @property
    def status(self):
        return self.observer.status()


@pytest.fixture
def part():
    return Part()


def test_an_agent_at_rest_is_ready_and_its_accounts_are_balanced(part):
    status = part.status
    assert status["ready"] and status["conserved"] and status["lost"] == {"events": 0, "bytes": 0}
    (source,), (output,) = status["inputs"], status["outputs"]
    assert source["read"] == sum(source[name] for name in READ_PARTS)
    assert output["kept"] == sum(output[name] for name in KEPT_PARTS) == 18
    assert source["lag"] == {"bytes": 0, "seconds": 0.0, "events_estimated": 0}
    assert output["lag"] == {"bytes": 0, "seconds": 0.0}


def test_an_equation_that_does_not_hold_is_told_of_its_part_and_of_the_whole(part):
    part.intake.accounts["app"] = Account(9, 90, 8, events=18)
    status = part.status
    assert (status["conserved"], status["inputs"][0]["conserved"], status["outputs"][0]["conserved"]) == (
        False, False, True,
    )  # fmt: skip
    part = Part()
    part.delivery.account = part.delivery.account._replace(delivered=17)
    status = part.status
    assert (status["conserved"], status["inputs"][0]["conserved"], status["outputs"][0]["conserved"]) == (
        False, True, False,
    )  # fmt: skip


def test_an_output_that_is_quicker_than_the_keepers_word_is_balanced(part):
    part.delivery.account = part.delivery.account._replace(upto=23, left=1, delivered=20)
    assert part.keeper.total == 20
    output = part.status["outputs"][0]
    assert (output["kept"], output["pending"], output["conserved"]) == (21, 1, True)


def test_an_output_that_has_read_no_frame_yet_says_whether_there_is_one(part):
    part.delivery.account = OutputAccount()
    part.delivery.seq = 3
    output = part.status["outputs"][0]
    assert (output["kept"], output["pending"], output["conserved"]) == (1, 1, True)


def test_unread_bytes_are_told_as_bytes_seconds_and_estimated_events(part):
    part.streams[0].update(size=140, lag=50)
    part.observer.turn()
    part.clock.mono += 7
    assert part.status["inputs"][0]["lag"] == {"bytes": 50, "seconds": 7.0, "events_estimated": 10}


def test_before_anything_was_read_nobody_can_tell_how_many_events_wait(part):
    part.intake.accounts["app"] = Account()
    part.streams[0].update(offset=0, lag=90)
    assert part.status["inputs"][0]["lag"]["events_estimated"] is None


def test_streams_are_looked_at_once_a_second_and_less_often_where_that_takes_long(part):
    looks = []

    def slow():
        looks.append(part.clock.mono)
        part.clock.mono += 0.05
        return []

    part.source.statistics = slow
    for _ in range(2000):
        part.observer.turn()
        part.clock.mono += 0.01
    gaps = [after - before for before, after in itertools.pairwise(looks)]
    assert len(looks) >= 3 and min(gaps) >= 5.0


def test_what_an_output_has_to_do_is_told_as_documents_bytes_and_the_age_of_the_oldest(part):
    part.delivery.account = part.delivery.account._replace(left=4, delivered=14)
    part.delivery.seq = 3
    output = part.status["outputs"][0]
    assert output["pending"] == 4
    assert output["lag"] == {"bytes": 400, "seconds": 30.0}
    part.clock.wall -= 1000
    assert part.status["outputs"][0]["lag"]["seconds"] == 0.0, "a clock that went back makes nothing older"


def test_losses_of_inputs_and_outputs_add_up_to_one_figure(part):
    part.intake.lost["app"] = Lost(3, 4096, 1)
    part.delivery.counts.lost_frames = 2
    assert part.status["lost"] == {"events": 5, "bytes": 4096}
    part.delivery.account = part.delivery.account._replace(dropped=7)
    assert part.status["lost"]["events"] == 10


def test_the_age_of_the_checkpoint_is_known_from_the_first_one_on(part):
    part.observer.turn()
    assert part.status["log"]["checkpoint_age"] is None
    part.keeper.checked_seq = 6
    part.observer.turn()
    part.clock.mono += 12
    assert part.status["log"]["checkpoint_age"] == 12.0


def test_dead_letters_that_cannot_be_read_are_not_called_none(part):
    def refuse():
        raise DiskError("read dead letters", "/x", "input/output error", "ls")

    part.letters.counts = refuse
    assert part.status["dead_letters"] is None


def test_a_table_that_changes_while_it_is_read_is_read_again(part):
    answers = [RuntimeError("changed size"), RuntimeError("changed size"), []]

    def statistics():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    part.source.statistics = statistics
    assert part.status["inputs"][0]["streams"] == []


# -- healthy, ready ----------------------------------------------------------------------------------------------------


def test_a_pipeline_that_stands_still_is_a_fault(part):
    part.clock.mono += STALLED
    assert part.observer.faults() == []
    part.clock.mono += 1
    assert part.observer.faults() == ["the pipeline has not moved for 61 s"]
    assert part.observer.unready() == part.observer.faults()
    part.observer.turn()
    assert part.observer.faults() == []


@pytest.mark.parametrize("why", ["disk", "stopping"])
def test_a_pipeline_that_waits_for_the_disk_or_drains_is_no_fault(part, why):
    if why == "disk":
        part.keeper.failing = "write journal frame: /state: no space left"
    else:
        part.stopping.set()
    part.clock.mono += 10 * STALLED
    assert part.observer.faults() == []
    (reason,) = part.observer.unready()
    assert "/state" not in reason


def test_an_output_that_ended_by_an_error_is_a_fault(part):
    part.delivery.failure = ValueError("a bug")
    assert part.observer.faults() == ["output siem has ended by an error"]


def test_a_full_journal_is_not_ready_and_says_who_holds_it(part):
    part.room.full, part.room.holders = True, ("siem", "soc")
    assert part.observer.faults() == []
    assert part.observer.unready() == ["the journal is full: reading waits for siem, soc"]


@pytest.mark.parametrize(("sections", "patience"), [({}, 300), ({"metrics": {"unready_after": "5s"}}, 5)])
def test_an_output_may_fail_for_a_while_before_the_agent_is_not_ready(sections, patience):
    part = Part(**sections)
    part.delivery.counts.failing_since = part.clock.mono
    part.delivery.counts.connected, part.delivery.counts.last_error = False, "https://search.example: refused"
    part.clock.mono += patience
    part.observer.turn()
    assert part.observer.unready() == []
    part.clock.mono += 1
    assert part.observer.unready() == [f"output siem has been failing for {patience + 1} s"]
    assert part.observer.faults() == []


# -- what people see ---------------------------------------------------------------------------------------------------


def text_of(status, speed=None, width=80):
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as said:
        console.print(shown.view(status, speed or {}))
    return said.get()


def test_people_see_at_a_glance_that_nothing_is_lost(part):
    text = text_of(part.status)
    assert "accounts: balanced, nothing lost" in text
    assert not any(word in text for word in ("LOST", "FULL", "FAILING", "NOT"))


def test_everything_that_is_wrong_is_named(part):
    part.intake.accounts["app"] = Account(9, 90, 6, 1, events=18)
    part.intake.lost["app"] = Lost(2, 5000, 1)
    part.room.full, part.room.holders = True, ("siem",)
    part.keeper.failing = "write journal frame: /state: No space left on device"
    counts = part.delivery.counts
    counts.connected, counts.last_error, counts.failing_since, counts.retries = False, "refused", part.clock.mono, 7
    part.clock.mono += 42
    text = text_of(part.status)
    for said in (
        "LOST: at least 2 events, 5.0 kB of known size",
        "app: 2 losses, 5.0 kB, 1 of unknown size",
        "FULL: reading is paused until siem catches up",
        "DISK: write journal frame: /state: No space left on device",
        "NOT BALANCED",
        "app: read 9 is not 7 = with_events 6 + rejected 1 (difference +2)",
        "siem: failing: refused (for 42 s, 7 retries)",
    ):
        assert said in text, text


def test_it_fits_on_eighty_columns_with_large_figures_rates_and_hostile_names(part):
    part.intake.accounts["app"] = Account(123_456_789, 10**12, 123_456_000, 789, events=150_000_000)
    part.delivery.account = part.delivery.account._replace(upto=150_000_020, left=5000, delivered=149_995_018)
    part.keeper.total = 150_000_020
    part.delivery.seq = 1
    part.streams[0].update(size=10**9, lag=10**9 - 90)
    part.observer.turn()
    part.delivery.counts.connected, part.delivery.counts.last_error = False, "\x1b[2J" + "very long " * 30
    text = text_of(part.status, {"inputs/app": 20_000.0, "outputs/siem": 19_000.4})
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "123,456,789" in text and "20,000" in text and "19,000" in text


def test_of_a_webhook_people_see_what_it_answered_and_why_it_refused(part):
    assert "told to wait" not in text_of(part.status)
    hook = {"accepted": 1_234_567, "deferred": 0, "refused": {}, "last_delivery": None}
    part.streams[0].update(hook)
    assert "never" in text_of(part.status)
    part.streams[0].update(
        deferred=42,
        refused={"the signature is wrong": 1300, "the body is too large": 2},
        last_delivery="2026-02-03T10:31:02.118Z",
    )
    text = text_of(part.status, width=200)
    (row,) = [line for line in text.splitlines() if "1,234,567" in line]
    assert row.split()[:5] == ["app", "1,234,567", "42", "1,302", "2026-02-03T10:31:02Z"]
    assert row.endswith("the signature is wrong (1,300); the body is too large (2)")
    assert max(map(len, text_of(part.status).splitlines())) <= 80


def test_listings_of_an_api_tell_how_far_they_are_when_they_are_asked_again_and_what_is_wrong(part):
    part.streams[0].update(
        stream="poll/make/runs", state="reading", behind=330.0, next=42.0, error="", late=False, looks={}
    )
    text = text_of(part.status)
    assert "FAILING" not in text and "NOT READ" not in shown.line(part.status, {})
    (row,) = (one for one in text.splitlines() if " runs " in one)
    assert row.split() == ["app", "runs", "reading", "5", "min", "42", "s"]
    refused = "403 on GET /audit-logs: needs the Enterprise plan"
    part.streams.append(
        {**part.streams[0], "stream": "poll/make/audit", "error": refused, "behind": None, "late": True}
    )
    text = text_of(part.status)
    assert "FAILING" in text and "not read yet" in text and f"app: audit: {refused}" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "NOT READ app: audit" in shown.line(part.status, {})


def test_rates_are_of_one_run_only(part):
    before = part.status
    part.clock.mono += 4
    part.intake.accounts["app"] = Account(19, 190, 19, events=38)
    part.delivery.account = part.delivery.account._replace(upto=40, delivered=38)
    after = part.status
    assert shown.rates(before, after) == {"inputs/app": 5.0, "outputs/siem": 5.0}
    assert shown.rates(None, after) == {}
    assert shown.rates(after, after) == {}
    assert shown.rates({**before, "started": "another"}, after) == {}


def test_on_one_line_stands_what_matters(part):
    assert shown.line(part.status, {}) == (
        "app: 18 events, -/s, behind 0 B | siem: 18 delivered, -/s, 0 pending | balanced"
    )
    part.room.full, part.room.holders, part.keeper.failing = True, ("siem",), "disk"
    part.delivery.counts.lost_frames = 1
    part.delivery.counts.connected, part.delivery.counts.failing_since = False, part.clock.mono
    said = shown.line(part.status, {"outputs/siem": 3.0})
    for word in ("3/s", "FAILING for 0 s", "journal FULL, held by siem", "DISK refuses frames", "LOST 1"):
        assert word in said


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.25, "0.2 s"), (42, "42 s"), (60, "1 min"), (11_520, "3 h 12 min"), (356_400, "4 d 3 h")],
)
def test_durations_are_short(seconds, text):
    assert shown.span(seconds) == text


@pytest.mark.parametrize(("octets", "text"), [(0, "0 B"), (999, "999 B"), (12_300, "12.3 kB"), (1.25e9, "1.2 GB")])
def test_sizes_are_short(octets, text):
    assert shown.size(octets) == text


# -- what the parts tell of themselves ---------------------------------------------------------------------------------


def test_the_journal_tells_its_bytes_from_a_frame_on_exactly_at_the_bounds_of_segments(tmp_path):
    log = Log(tmp_path, segment_bytes=2000)
    try:
        for number in range(12):
            log.keep(number)
        segments = {int(path.stem, 16): path.stat().st_size for path in log.folder.glob("*.seg")}
        assert len(segments) >= 3
        journal = log.journal
        assert journal.bytes_from(journal.next_seq) == 0
        assert journal.bytes_from(0) == journal.bytes_used == sum(segments.values())
        for first in segments:
            assert journal.bytes_from(first) == sum(size for seq, size in segments.items() if seq >= first)
        steps = [journal.bytes_from(seq) for seq in range(journal.next_seq + 1)]
        assert steps == sorted(set(steps), reverse=True), "each frame is some bytes"
    finally:
        log.journal.close()


def test_a_disk_that_refuses_is_told_until_it_keeps_again(tmp_path):
    refused, told = threading.Event(), []

    class Disk:
        full = True

        def append(self, meta, documents, snapshot):
            if self.full:
                refused.set()
                raise DiskError("write journal frame", "/state", "No space left on device", "df")

    disk = Disk()

    def make_room():
        told.append(keeper.failing)
        disk.full = False

    keeper = Keeper(
        disk, tmp_path / "checkpoint", None, stopping=threading.Event(), make_room=make_room, total=0, checked_seq=-1
    )
    try:
        keeper.keep(Sealed({"total": 3, "checked_seq": -1}, [], {}, None))
        assert refused.wait(20)
        keeper.flush()
    finally:
        keeper.close()
    assert told == ["write journal frame: /state: No space left on device"]
    assert keeper.failing == "" and keeper.total == 3


def test_losses_of_known_and_of_unknown_size_are_counted():
    source = Source("a", [])
    losses = [
        [SimpleNamespace(path="/a", offset=10, seen_size=110), SimpleNamespace(path="/b", offset=5, seen_size=None)]
    ]
    source.losses = lambda: losses.pop() if losses else []
    taking = intake(source)
    taking._identity = SimpleNamespace(name="t1", version="1", namespace="default", prefix="test")
    taking.take(None)
    assert taking.lost["a"] == Lost(2, 100, 1)


def test_an_output_whose_cursor_could_not_be_saved_is_well_again_once_it_is(tmp_path, monkeypatch):
    log = Log(tmp_path)
    try:
        log.keep(1)
        failing = []
        save = Cursor.save

        def refuse(self, seq, state):
            if len(failing) < 2:
                failing.append(seq)
                raise DiskError("save the cursor", "/state", "No space left on device", "df")
            save(self, seq, state)

        monkeypatch.setattr(Cursor, "save", refuse)
        delivery, _, _ = delivered(log, tmp_path, Fake(), until=lambda one: one.saved == 1 and everything(one))
        assert len(failing) == 2
        assert delivery.counts.connected is True
        assert (delivery.counts.failing_since, delivery.counts.last_error) == (None, "")
    finally:
        log.journal.close()


def test_frames_that_an_output_cannot_get_are_counted_at_once(tmp_path):
    shelved = Shelved().add(2, 20).add(3, 20).add(4, 20)
    _, _, last = shelved.frames
    _, made = batches(shelved, tmp_path, items=[Gap(0, 1, "damaged"), last])
    assert made.counts.lost_frames == 2
    assert made.counts.dropped == 0, "nobody knows how many documents were in them"


# -- a terminal --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coloured", [True, False])
def test_on_a_terminal_the_screen_is_drawn_anew(part, monkeypatch, coloured):
    part.room.full, part.room.holders = True, ("siem",)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not coloured:
        monkeypatch.setenv("NO_COLOR", "1")
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    waited = []
    monkeypatch.setattr(shown.time, "sleep", waited.append)
    first = part.status
    part.clock.mono += 2
    part.intake.accounts["app"] = Account(29, 290, 29, events=58)
    shown.watch(iter([first, "Connection refused", part.status]), 2.0, as_json=False)
    said = terminal.getvalue()
    assert waited == [2.0] * 3
    assert said.count("every 2 s") >= 2 and "NO ANSWER: Connection refused" in said
    assert "20" in said and "FULL" in said
    assert ("\x1b[1;31m" in said) == coloured
