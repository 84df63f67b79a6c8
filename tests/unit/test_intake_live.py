"""What the intake and the keeper do for inputs that acknowledge: durable first, then told, and every record counted."""

import threading

import pytest

from shipper.errors import DiskError
from shipper.intake import Intake
from shipper.keeper import Keeper, Sealed
from shipper.logbook import Identity
from shipper.model import Health
from shipper.schema import check
from tests.tailing import StandingClock


class Live:
    """An input without lines that has something to tell."""

    def __init__(self, name):
        self.id, self.aside, self.told, self.known = name, {}, [], []

    def restore(self, positions):
        pass

    def read(self, budget):
        return []

    def done(self):
        return False

    def set_aside(self):
        taken, self.aside = self.aside, {}
        return taken

    def reports(self):
        taken, self.told = self.told, []
        return taken

    def kept(self, positions):
        self.known.append(dict(positions))


class Plain:
    """One that acknowledges nothing."""

    id = "plain"

    def restore(self, positions):
        pass

    def read(self, budget):
        return []


class Processor:
    def __init__(self):
        self.lanes = {}
        self.told = []

    def reports(self, now):
        told, self.told = self.told, []
        return told


@pytest.fixture
def inputs():
    return [Live("a"), Live("b"), Plain()]


@pytest.fixture
def intake(inputs):
    identity = Identity("agent", "1", "default", "test.example/agent", None, b"")
    return Intake(inputs, Processor(), {}, identity=identity, clock=StandingClock())


def test_inputs_hear_of_their_own_streams_what_is_durable(intake, inputs):
    first, second, _ = inputs
    intake.kept({
        "s1": {"input": "a", "n": 3},
        "s2": {"input": "a", "n": 1},
        "s3": {"input": "plain", "offset": 4},
        "s4": {"input": "gone", "n": 9},
    })  # fmt: skip
    assert first.known == [{"s1": {"input": "a", "n": 3}, "s2": {"input": "a", "n": 1}}]
    assert second.known == []


def test_records_that_became_no_event_are_read_and_counted_for_what_they_are(intake, inputs):
    inputs[0].aside = {"deduplicated": 2, "filtered": 1}
    intake.take(None)
    intake.take(None)
    inputs[0].aside = {"deduplicated": 1, "filtered": 0}
    intake.take(None)
    account = intake.accounts["a"]
    assert (account.read, account.deduplicated, account.filtered, account.with_events) == (4, 3, 1, 0)
    assert intake.accounts["b"].read == 0


def test_what_an_input_tells_of_itself_is_a_health_event_each_with_an_id_of_its_own(intake, inputs):
    inputs[0].told = [
        Health("source.gap", "a gap", {"path": "GET contacts"}),
        Health("source.refused", "no", {"path": "POST /in"}, {"health": {"refused": 3}}, "failure"),
    ]
    _, _, events = intake.take(None)
    gap, refused = events
    assert gap["event"]["action"] == "source.gap"
    assert gap["message"] == "a gap"
    assert gap["trail"]["origin"]["input"] == "a"
    assert gap["trail"]["origin"]["path"] == "GET contacts"
    assert refused["event"]["outcome"] == "failure"
    assert refused["trail"]["health"] == {"refused": 3}
    assert gap["event"]["id"] != refused["event"]["id"]
    assert intake.take(None)[2] == []


def test_what_the_directory_tells_is_a_health_event_that_names_its_list(inputs):
    processor = Processor()
    identity = Identity("agent", "1", "default", "test.example/agent", None, b"")
    intake = Intake(inputs, processor, {}, identity=identity, clock=StandingClock())
    told = Health("source.silence", "directory okta: 503", {}, {"health": {"age_seconds": 7200}}, "failure")
    processor.told = [("okta", told), ("staff", told)]
    _, _, events = intake.take(None)
    assert [event["trail"]["origin"]["input"] for event in events] == ["directory okta", "directory staff"]
    assert events[0]["trail"]["health"] == {"age_seconds": 7200}
    assert events[0]["event"]["id"] != events[1]["event"]["id"]
    assert [check(event) for event in events] == [[], []]
    assert intake.take(None)[2] == []


def test_what_an_input_has_to_tell_at_the_end_is_told_unless_it_goes_on(intake, inputs):
    for one in inputs[:2]:
        one.told = [Health("source.refused", "no", {"path": "POST /in"}, {"health": {"refused": 3}}, "failure")]
    intake.finish(["b"])
    assert intake.ahead
    _, _, events = intake.take(None, reading=False)
    assert [event["trail"]["origin"]["input"] for event in events] == ["a"]
    assert not intake.ahead


class Disk:
    """A journal that notes the order of things; `refuse` says how often it fails before it keeps a frame."""

    def __init__(self, happened, refuse=0):
        self.happened, self.refuse = happened, refuse

    def append(self, meta, documents, *, snapshot):
        if self.refuse:
            self.refuse -= 1
            self.happened.append("refused")
            raise DiskError("write journal", "x", "full")
        self.happened.append("synced")


@pytest.mark.parametrize("refused", [0, 1])
def test_positions_are_told_after_the_sync_and_only_then(tmp_path, refused):
    happened = []
    keeper = Keeper(
        Disk(happened, refused), tmp_path / "mark", None,
        stopping=threading.Event(), make_room=lambda: None, total=0, checked_seq=-1,
    )  # fmt: skip
    keeper.kept = lambda positions: happened.append(dict(positions))
    keeper.keep(Sealed({"total": 1, "checked_seq": -1, "positions": {"s": {"input": "a", "n": 1}}}, [], {}, None))
    keeper.keep(Sealed({"total": 1, "checked_seq": -1, "positions": {}}, [], {}, None))
    keeper.flush()
    keeper.close()
    assert happened == ["refused"] * refused + ["synced", {"s": {"input": "a", "n": 1}}, "synced"]
