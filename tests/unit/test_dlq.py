import errno
import stat

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipper.dlq import DeadLetters
from shipper.errors import CorruptError, DiskError
from shipper.fs import RealFs
from shipper.model import Document, Refusal
from tests.shipped import LOG, document

NOW = 1_770_114_600.0


@pytest.fixture
def letters(tmp_path):
    return DeadLetters(tmp_path / "dlq")


def refusal(index, reason="failed to parse field [user.id]"):
    return Refusal(document(index), "mapper_parsing_exception", reason, "user.id")


def names(found):
    return [letter.document.index for letter in found]


def test_a_letter_holds_everything_needed_for_a_replay(letters, tmp_path):
    letters.put("siem", [refusal(3)], NOW, 2)
    (letter,) = DeadLetters(tmp_path / "dlq").list()
    assert letter.id == f"siem/{LOG}-{3:014x}"
    assert letter.document == document(3)
    assert (letter.output, letter.type, letter.field, letter.attempts) == (
        "siem",
        "mapper_parsing_exception",
        "user.id",
        2,
    )
    assert letter.reason == "failed to parse field [user.id]"
    assert letter.time == "2026-02-03T10:30:00.000Z"


def test_a_line_is_json_with_the_shipped_bytes_as_text(letters, tmp_path):
    letters.put("siem", [refusal(3)], NOW)
    (line,) = (tmp_path / "dlq" / "000000000001.ndjson").read_bytes().splitlines()
    assert orjson.loads(line)["document"].encode() == document(3).data


def test_bytes_that_are_no_text_survive(letters):
    odd = Document(1, "fieldtrail.change", f"{LOG}-{1:014x}", b"\xff\x00{")
    letters.put("siem", [Refusal(odd, "bad", "")], NOW)
    assert next(letters.list()).document == odd


def test_letters_are_listed_oldest_first_and_per_output(letters):
    letters.put("siem", [refusal(2), refusal(1)], NOW)
    letters.put("soc", [refusal(1)], NOW)
    assert names(letters.list()) == [2, 1, 1]
    assert names(letters.list("soc")) == [1]
    assert letters.counts() == {"siem": 2, "soc": 1}


def test_a_document_refused_again_is_one_letter_with_more_attempts(letters):
    letters.put("siem", [refusal(1)], NOW, 1)
    letters.put("siem", [refusal(2)], NOW, 1)
    letters.put("siem", [refusal(1, "still no")], NOW + 60, 1)
    assert names(letters.list()) == [2, 1]
    assert letters.get(f"siem/{document(1).id}").attempts == 2
    assert letters.get(f"siem/{document(1).id}").reason == "still no"


def test_a_letter_is_found_by_the_document_id_where_that_is_clear(letters):
    letters.put("siem", [refusal(1), refusal(2)], NOW)
    letters.put("soc", [refusal(1)], NOW)
    assert letters.get(document(2).id).output == "siem"
    assert letters.get(document(1).id) is None
    assert letters.get("siem/none") is None


def test_removed_letters_stay_removed(letters, tmp_path):
    letters.put("siem", [refusal(k) for k in range(4)], NOW)
    assert letters.remove([f"siem/{document(k).id}" for k in (1, 3, 9)]) == 2
    assert names(letters.list()) == [0, 2]
    assert names(DeadLetters(tmp_path / "dlq").list()) == [0, 2]
    letters.put("siem", [refusal(7)], NOW)
    assert names(DeadLetters(tmp_path / "dlq").list()) == [0, 2, 7]


def test_an_emptied_segment_is_deleted(letters, tmp_path):
    letters.put("siem", [refusal(1)], NOW)
    letters.remove([f"siem/{document(1).id}"])
    assert list((tmp_path / "dlq").glob("*.ndjson")) == []
    assert letters.counts() == {}


def test_a_removed_letter_does_not_come_back_from_an_older_segment(tmp_path):
    letters = DeadLetters(tmp_path / "dlq", segment_bytes=10)
    letters.put("siem", [refusal(1)], NOW)
    letters.put("siem", [refusal(2)], NOW)
    letters.put("siem", [refusal(1, "again")], NOW)
    assert len(list((tmp_path / "dlq").glob("*.ndjson"))) == 3
    letters.remove([f"siem/{document(1).id}"])
    assert names(letters.list()) == [2]
    assert names(DeadLetters(tmp_path / "dlq").list()) == [2]


def test_two_processes_see_each_others_changes(letters, tmp_path):
    other = DeadLetters(tmp_path / "dlq")
    letters.put("siem", [refusal(1), refusal(2)], NOW)
    assert names(other.list()) == [1, 2]
    other.remove([f"siem/{document(1).id}"])
    letters.put("siem", [refusal(3)], NOW)
    assert names(letters.list()) == names(other.list()) == [2, 3]


def test_letters_can_be_removed_while_they_are_listed(letters):
    letters.put("siem", [refusal(k) for k in range(5)], NOW)
    seen = []
    for letter in letters.list():
        seen.append(letter.document.index)
        letters.remove([letter.id])
    assert seen == [0, 1, 2, 3, 4]
    assert letters.counts() == {}


def test_a_torn_last_line_was_never_acknowledged_and_is_overwritten(letters, tmp_path):
    letters.put("siem", [refusal(1)], NOW)
    segment = tmp_path / "dlq" / "000000000001.ndjson"
    segment.write_bytes(segment.read_bytes() + b'{"id":"siem/torn","outp')
    again = DeadLetters(tmp_path / "dlq")
    assert names(again.list()) == [1]
    again.put("siem", [refusal(2)], NOW)
    assert names(DeadLetters(tmp_path / "dlq").list()) == [1, 2]


def test_a_damaged_line_is_told_with_file_and_offset(letters, tmp_path):
    letters.put("siem", [refusal(1)], NOW)
    segment = tmp_path / "dlq" / "000000000001.ndjson"
    segment.write_bytes(b"x" + segment.read_bytes()[1:])
    with pytest.raises(CorruptError, match=r"000000000001\.ndjson at byte 0"):
        DeadLetters(tmp_path / "dlq").counts()


class FullDisk(RealFs):
    full = True

    def pwrite(self, handle, data, offset):
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().pwrite(handle, data, offset)


def test_a_full_disk_keeps_nothing_and_says_so(tmp_path):
    disk = FullDisk()
    letters = DeadLetters(tmp_path / "dlq", disk)
    with pytest.raises(DiskError, match="No space left"):
        letters.put("siem", [refusal(1)], NOW)
    assert letters.counts() == {}
    disk.full = False
    letters.put("siem", [refusal(1)], NOW)
    assert letters.counts() == {"siem": 1}


def test_letters_are_synced_before_put_returns(tmp_path):
    class Watched(RealFs):
        done = ()

        def fdatasync(self, handle):
            self.done += ("data",)
            super().fdatasync(handle)

        def fsync_dir(self, path):
            self.done += ("folder",)
            super().fsync_dir(path)

    disk = Watched()
    letters = DeadLetters(tmp_path / "dlq", disk)
    letters.put("siem", [refusal(1)], NOW)
    assert disk.done[-2:] == ("data", "folder")


def test_too_many_letters_are_full_but_none_is_refused(tmp_path):
    letters = DeadLetters(tmp_path / "dlq", max_bytes=3000)
    assert not letters.full
    letters.put("siem", [refusal(k) for k in range(5)], NOW)
    assert letters.full
    letters.put("siem", [refusal(9)], NOW)
    assert letters.counts() == {"siem": 6}


def test_letters_quote_values_so_only_the_owner_reads_them(letters, tmp_path):
    letters.put("siem", [refusal(1)], NOW)
    assert stat.S_IMODE((tmp_path / "dlq").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "dlq").iterdir()} == {0o600}


def test_reading_makes_no_folder(tmp_path):
    letters = DeadLetters(tmp_path / "dlq")
    assert list(letters.list()) == [] and letters.counts() == {} and not letters.full
    assert letters.remove([]) == 0
    letters.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True)),
        st.tuples(st.just("remove"), st.lists(st.integers(0, 5), max_size=3)),
        st.tuples(st.just("reopen"), st.just([])),
    ),
    max_size=10,
)


@given(STEPS, st.sampled_from([10, 1500, 100_000]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_folder_behaves_like_a_dictionary(tmp_path_factory, steps, segment_bytes):
    folder = tmp_path_factory.mktemp("dlq")
    letters, model = DeadLetters(folder, segment_bytes=segment_bytes), {}
    for step, numbers in steps:
        if step == "put":
            letters.put("siem", [refusal(k) for k in numbers], NOW)
            for k in numbers:
                model[k] = model.pop(k, 0) + 1
        elif step == "remove":
            letters.remove([f"siem/{document(k).id}" for k in numbers])
            for k in numbers:
                model.pop(k, None)
        else:
            letters = DeadLetters(folder, segment_bytes=segment_bytes)
        assert [(letter.document.index, letter.attempts) for letter in letters.list()] == list(model.items())
