"""A disk that fails to sync, and one that gives back other bytes than it was given."""

import json
import random

import pytest

from shipper.fs import RealFs
from shipper.journal import Frame, iterate
from tests.components import absent
from tests.crash.faults import Traced, strace_missing
from tests.e2e.agent_process import Place, checkpoints, line, numbers

NOT_KEPT = "journal: frame not kept, will try again"


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.write(
        outputs=[{"id": "archive", "type": "file", "path": str(made.archive)}],
        journal={"segment_size": "64KiB", "max_size": "512KiB"},
        seal={"interval": "100ms"},
    )
    yield made
    made.close()


@pytest.fixture
def traced(tmp_path):
    if reason := strace_missing():
        absent(reason)
    return Traced(tmp_path / "trace")


def bulky(first, count):
    """Lines that take space, since they cannot be compressed."""
    rng = random.Random(first)
    return "".join(
        line(number, note=rng.randbytes(1500).hex()) + "\n" for number in range(first, first + count)
    ).encode()


def journal(place):
    return place.state / "journal"


def segments(place):
    return [journal(place) / f"{seq:016x}.seg{end}" for seq in range(20) for end in ("", ".tmp")]


def whole(place, count):
    documents = place.archived()
    assert numbers(documents) == list(range(count))
    assert len({one["seal"]["log"] for one in documents if "seal" in one}) == 1
    checkpoints(documents)
    for words in (["--ndjson", place.archive], ["--journal"]):
        done = place.verify(*words)
        assert done.code == 0, (words, done)


def test_row_36_a_sync_that_fails_once_costs_a_segment_and_no_frame(place, traced):
    """The frame goes into a new file; the one whose sync failed is never written or synced again."""
    place.write(journal={"segment_size": "128KiB", "max_size": "512KiB"})
    first = segments(place)[0]
    place.append(bulky(0, 60))
    done = place.once(prefix=traced.prefix(inject="fdatasync:error=EIO:when=2", paths=[first]))
    assert done.code == 0, done
    assert len([one for one in done.logs if one["event"] == NOT_KEPT]) == 1
    assert [one for one in done.logs if one["event"] == "journal: frames are kept again"]
    calls = [(call, words) for _, call, words in traced.calls()]
    failed = next(at for at, (_, words) in enumerate(calls) if "(INJECTED)" in words)
    after = {call for call, words in calls[failed + 1 :] if f"<{first}>" in words}
    assert after <= {"ftruncate"}, f"what is done with the file afterwards: {after}"
    assert len(list(journal(place).glob("*.seg"))) > 1
    whole(place, 60)


def test_row_36_syncs_that_go_on_failing_end_the_agent_with_74_and_a_well_disk_goes_on(place, traced):
    place.append(bulky(0, 60))
    done = place.once(prefix=traced.prefix(inject="fdatasync:error=EIO:when=1+", paths=segments(place)))
    assert done.code == 74, done
    (said,) = [one for one in done.logs if one["event"] == "journal: frame not kept, the agent ends"]
    assert said["level"] == "error"
    assert "Input/output error" in said["cause"]
    assert "dmesg" in said["hint"]
    calls = [call for _, call, _ in traced.calls() if call in {"rename", "fdatasync"}]
    assert calls == ["rename", "fdatasync"] * 3, "each attempt in a file of its own"
    assert place.archived() == [], "nothing left the machine that was not kept"
    assert place.once().code == 0
    whole(place, 60)


def test_row_36_a_folder_that_cannot_be_synced_is_a_sync_that_fails(place, traced):
    place.append(bulky(0, 60))
    done = place.once(prefix=traced.prefix(inject="fsync:error=EIO:when=2+", paths=[journal(place)]))
    assert done.code == 74, done
    assert place.once().code == 0
    whole(place, 60)


class Damaged:
    """A place whose journal lost one frame in the middle: before its last checkpoint, in neither end segment."""

    def __init__(self, place):
        self.place = place
        agent = place.start().ready()
        for first in range(0, 100, 10):
            place.append(bulky(first, 10))
            place.settled(first + 10)
        assert agent.terminate() == 0
        frames = [one for one in iterate(journal(place), RealFs()) if isinstance(one, Frame)]
        files = sorted(journal(place).glob("*.seg"))
        assert len(files) > 3
        self.path = files[len(files) // 2]
        lost = [one for one in frames if one.seq >= int(self.path.stem, 16) and numbers(self.documents(one))][1]
        self.seq = lost.seq
        self.numbers = numbers(self.documents(lost))
        leaves = [one["seal"]["i"] for one in self.documents(lost) if "seal" in one]
        self.leaves = (min(leaves), max(leaves))
        self.count = len(lost.documents)
        data = bytearray(self.path.read_bytes())
        magic, number = b"\xf7FT\xfe", self.seq.to_bytes(8, "little")
        self.offset = next(
            at for at in range(len(data)) if data[at : at + 4] == magic and data[at + 16 : at + 24] == number
        )
        data[self.offset + 1000] ^= 0x20
        self.path.write_bytes(data)
        self.late = place.root / "late.ndjson"

    @staticmethod
    def documents(frame):
        return [json.loads(one) for one in frame.documents]

    def late_output(self):
        """From now on one more output wants everything from the beginning."""
        outputs = [
            {"id": "archive", "type": "file", "path": str(self.place.archive)},
            {"id": "late", "type": "file", "path": str(self.late), "from": "oldest"},
        ]
        self.place.write(outputs=outputs, seal={"interval": "100ms"})


@pytest.fixture
def damaged(place):
    return Damaged(place)


def test_row_37_a_rotten_byte_costs_its_frame_which_is_named_and_the_rest_is_delivered(place, damaged):
    damaged.late_output()
    agent = place.start().ready()
    (told,) = agent.told("journal: damaged bytes skipped")
    assert (told["level"], told["first_seq"], told["last_seq"]) == ("error", damaged.seq, damaged.seq)
    assert (told["place"], told["offset"]) == (str(damaged.path), damaged.offset)
    assert not agent.told("new log generation opened"), "what is lost lies before the last checkpoint"
    (told,) = agent.wait_told("journal frames missing for output")
    assert (told["output"], told["first_seq"], told["last_seq"]) == ("late", damaged.seq, damaged.seq)

    place.append(bulky(100, 10))
    status = place.settled(10)  # with the conservation equation
    late = next(one for one in status["outputs"] if one["id"] == "late")
    assert late["dropped"] == damaged.count
    assert agent.terminate() == 0
    assert numbers(place.archived()) == list(range(110))
    assert numbers(place.archived(damaged.late)) == [one for one in range(110) if one not in damaged.numbers]


def test_row_37_verify_says_missing_of_exactly_what_was_lost(place, damaged):
    damaged.late_output()
    assert place.once().code == 0
    assert place.verify("--ndjson", place.archive).code == 0
    for source in (["--ndjson", damaged.late], ["--journal"]):
        done = place.verify(*source, "--json")
        assert done.code == 1, (source, done)
        findings = done.json["findings"]
        assert [(one["kind"], one["first"], one["last"]) for one in findings] == [("MISSING", *damaged.leaves)]


def test_row_37_journal_check_and_repair_name_the_frame_and_set_it_aside(place, damaged):
    checked = place.cli("journal", "check")
    assert checked.code == 1
    assert f"DAMAGED {damaged.path}" in checked.out
    assert f"frames {damaged.seq}-{damaged.seq} are lost (the frame's checksum does not hold)" in checked.out
    assert "hint: stop the agent, then: fieldtrail journal repair" in checked.err
    before = damaged.path.read_bytes()

    repaired = place.cli("journal", "repair")
    assert repaired.code == 1, "the frame stays lost, and that stays said"
    (aside,) = journal(place).glob("*.damaged")
    assert f"aside as {aside.name}" in repaired.out
    after, at = damaged.path.read_bytes(), damaged.offset
    assert before == after[:at] + aside.read_bytes() + after[at:]
    assert place.cli("journal", "check", "--json").json["damage"][0]["first_seq"] == damaged.seq

    damaged.late_output()
    assert place.once().code == 0
    assert numbers(place.archived(damaged.late)) == [one for one in range(100) if one not in damaged.numbers]


def test_a_journal_that_lost_its_end_is_told_from_a_whole_one_and_names_the_frame(place):
    """A segment that is cut at a frame's end looks whole; the newest checkpoint's own file knows better."""
    place.append(bulky(0, 40))
    assert place.once().code == 0
    assert place.cli("journal", "check").code == 0
    newest = max(journal(place).glob("*.seg"))
    newest.write_bytes(newest.read_bytes()[:44])
    done = place.cli("journal", "check")
    assert done.code == 1
    assert f"{newest}: no readable frame" in done.out
    assert "the newest checkpoint stood in frame" in done.out
    again = place.once()
    assert again.code == 0
    (told,) = [one for one in again.logs if one["event"] == "new log generation opened"]
    assert told["reason"] == "the journal ends before what was delivered"


def test_a_segment_that_the_disk_cannot_read_ends_the_start_with_74_and_a_way_out(place, traced):
    place.append(bulky(0, 100))
    assert place.once().code == 0
    middle = sorted(journal(place).glob("*.seg"))[1]
    prefix = traced.prefix(calls="pread64", inject="pread64:error=EIO:when=2+", paths=[middle])
    done = place.once(prefix=prefix)
    assert done.code == 74
    assert f"error: read journal: {middle}: Input/output error" in done.err
    hint = f"mv {middle} {middle}.unreadable"
    assert hint in done.err
    middle.rename(f"{middle}.unreadable")
    done = place.once()
    assert done.code == 0, done
    assert [one["first_seq"] for one in done.logs if one["event"] == "journal: damaged bytes skipped"]


def test_the_journals_files_that_are_not_its_own_are_named_and_left(place):
    place.append(bulky(0, 5))
    assert place.once().code == 0
    (journal(place) / "notes.txt").write_text("mine")
    done = place.cli("journal", "repair")
    assert done.code == 0
    assert f"{journal(place)}/notes.txt: not a file of the journal, left alone" in done.out
    assert (journal(place) / "notes.txt").read_text() == "mine"
