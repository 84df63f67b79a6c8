import errno
import stat

import pytest

from shipper.errors import ConfigError, DiskError
from shipper.fs import RealFs
from shipper.output_sections import FileOutputSection
from shipper.outputs.file import FileOutput
from tests.shipped import LOG, OTHER_LOG, batch, change, checkpoint, control, document, frames


class Disk(RealFs):
    """A disk that can be told to fail."""

    def __init__(self):
        self.room = None
        self.sync_fails = False
        self.syncs = 0
        self.full_for = 0

    def open_new(self, path):
        if self.full_for:
            self.full_for -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().open_new(path)

    def pwrite(self, handle, data, offset):
        if self.room is not None:
            if self.room <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            data = bytes(data)[: self.room]
            self.room -= len(data)
        return super().pwrite(handle, data, offset)

    def fdatasync(self, handle):
        self.syncs += 1
        if self.sync_fails:
            raise OSError(errno.EIO, "Input/output error")
        super().fdatasync(handle)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.ndjson"


@pytest.fixture
def make(path):
    outputs = []

    def build(stored=None, fs=None, **section):
        output = FileOutput(FileOutputSection(id="archive", type="file", path=path, **section), fs)
        output.open(stored or {})
        outputs.append(output)
        return output

    yield build
    for output in outputs:
        output.close()


def text(*batches):
    return b"".join(document.data + b"\n" for frame in batches for document in frame.documents)


def test_documents_stand_one_a_line_in_journal_order_with_checkpoints(make, path):
    output = make()
    sent = frames(3)
    for frame in sent:
        assert output.deliver(frame).delivered == 5
    assert path.read_bytes() == text(*sent)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_state_is_where_the_synced_file_ends(make, path):
    disk = Disk()
    output = make(fs=disk)
    output.deliver(frames()[0])
    state = output.flush()
    info = path.stat()
    assert state == {"dev": info.st_dev, "ino": info.st_ino, "length": info.st_size, "path": str(path)}
    assert disk.syncs == 1
    output.flush()
    assert disk.syncs == 1


@pytest.mark.parametrize("beyond", [1, 40, 4000, 100_000])
def test_after_a_crash_what_is_delivered_again_stands_once(make, path, beyond):
    sent = frames(4)
    output = make()
    output.deliver(sent[0])
    state = output.flush()
    for frame in sent[1:]:
        output.deliver(frame)
    output.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: state["length"] + beyond])
    output = make(state)
    for frame in sent[1:]:
        assert output.deliver(frame).delivered == 5
    assert path.read_bytes() == whole
    assert output.flush()["length"] == len(whole)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_frames_merged_otherwise_after_a_crash_still_stand_once(make, path):
    sent = frames(4)
    output = make()
    state = output.flush()
    for frame in sent:
        output.deliver(frame)
    output.close()
    output = make(state)
    output.deliver(batch(3, *(document for frame in sent for document in frame.documents)))
    assert path.read_bytes() == text(*sent)


def test_a_tail_that_a_power_cut_left_as_zeros_is_cut_off(make, path):
    sent = frames(2)
    output = make()
    output.deliver(sent[0])
    state = output.flush()
    output.close()
    path.write_bytes(path.read_bytes() + sent[1].documents[0].data[:50] + b"\0" * 5000)
    output = make(state)
    output.deliver(sent[1])
    assert path.read_bytes() == text(*sent)


def test_other_documents_beyond_the_cursor_are_set_aside_not_destroyed(make, path):
    output = make()
    output.deliver(frames()[0])
    state = output.flush()
    lost = batch(1, document(4, change(message="from before the restore")))
    output.deliver(lost)
    output.close()
    before = path.read_bytes()
    output = make(state)
    assert output.highest(LOG) == 4
    output.deliver(frames()[1])
    assert path.with_name("events.ndjson.000001").read_bytes() == before
    assert path.read_bytes() == text(frames()[1])


def test_another_file_under_the_name_is_left_alone(make, path):
    path.write_text("somebody else's lines\n")
    output = make({"dev": 1, "ino": 2, "length": 3, "path": str(path)})
    output.deliver(frames()[0])
    assert path.with_name("events.ndjson.000001").read_text() == "somebody else's lines\n"
    assert path.read_bytes() == text(frames()[0])


def test_a_file_that_became_shorter_is_left_alone(make, path):
    output = make()
    output.deliver(frames()[0])
    state = output.flush()
    output.close()
    path.write_bytes(b"cut")
    make(state).deliver(frames()[1])
    assert path.with_name("events.ndjson.000001").read_bytes() == b"cut"
    assert path.read_bytes() == text(frames()[1])


def test_a_rotated_file_is_closed_under_a_rising_number(make, path):
    output = make(rotate={"max_bytes": 1000})
    sent = frames(3)
    for frame in sent:
        output.deliver(frame)
        output.flush()
    assert path.with_name("events.ndjson.000001").read_bytes() == text(sent[0])
    assert path.with_name("events.ndjson.000002").read_bytes() == text(sent[1])
    assert path.read_bytes() == text(sent[2])


def test_only_so_many_closed_files_are_kept(make, path):
    output = make(rotate={"max_bytes": 1000, "keep": 2})
    for frame in frames(5):
        output.deliver(frame)
        output.flush()
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "events.ndjson",
        "events.ndjson.000003",
        "events.ndjson.000004",
    ]


def test_no_file_is_closed_between_two_cursors(make, path):
    output = make(rotate={"max_bytes": 1000})
    for frame in frames(3):
        output.deliver(frame)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_crash_right_after_closing_a_file_repeats_nothing(make, path):
    output = make(rotate={"max_bytes": 1000})
    sent = frames(2)
    output.deliver(sent[0])
    state = output.flush()
    output.deliver(sent[1])
    output.close()
    output = make(state, rotate={"max_bytes": 1000})
    assert output.deliver(sent[1]).delivered == 5
    assert path.with_name("events.ndjson.000001").read_bytes() == text(sent[0])
    assert path.read_bytes() == text(sent[1])


def test_a_crash_between_renaming_and_creating_is_survived(make, path):
    output = make()
    sent = frames(2)
    output.deliver(sent[0])
    state = output.flush()
    output.close()
    path.rename(path.with_name("events.ndjson.000001"))
    make(state).deliver(sent[1])
    assert path.read_bytes() == text(sent[1])


def test_a_file_renamed_by_logrotate_is_followed(make, path):
    output = make()
    sent = frames(2)
    output.deliver(sent[0])
    path.rename(path.with_name("events.ndjson.1"))
    output.deliver(sent[1])
    assert path.with_name("events.ndjson.1").read_bytes() == text(sent[0])
    assert path.read_bytes() == text(sent[1])
    assert output.flush()["ino"] == path.stat().st_ino


def test_a_full_disk_is_a_retry_that_leaves_no_half_line(make, path):
    disk = Disk()
    output = make(fs=disk)
    sent = frames(2)
    output.deliver(sent[0])
    disk.room = 700
    receipt = output.deliver(sent[1])
    assert receipt.delivered == 0 and receipt.retry == sent[1].documents
    assert "No space left" in receipt.error and str(path) in receipt.error
    assert path.read_bytes() == text(sent[0])
    disk.room = None
    assert output.deliver(sent[1]).delivered == 5
    assert path.read_bytes() == text(*sent)


def test_a_failed_sync_is_never_repeated_on_the_same_file(make, path):
    disk = Disk()
    output = make(fs=disk)
    output.deliver(frames()[0])
    disk.sync_fails = True
    with pytest.raises(DiskError, match="Input/output error"):
        output.flush()
    disk.sync_fails = False
    with pytest.raises(DiskError, match="could not sync"):
        output.flush()
    assert disk.syncs == 1
    assert output.deliver(frames()[1]).delivered == 0
    assert not path.exists()


def test_after_a_failed_sync_a_restart_begins_a_new_file(make, path):
    disk = Disk()
    output = make(fs=disk)
    state = output.flush()
    output.deliver(frames()[0])
    disk.sync_fails = True
    with pytest.raises(DiskError):
        output.flush()
    output.close()
    output = make(state)
    output.deliver(frames()[0])
    assert path.read_bytes() == text(frames()[0])


def test_the_highest_index_is_read_from_the_end(make, path):
    output = make()
    assert output.highest(LOG) == -1
    for frame in frames(3, each=200):
        output.deliver(frame)
    assert output.highest(LOG) == 602
    output.deliver(batch(4, document(7, log=OTHER_LOG), checkpoint(8, OTHER_LOG), log=OTHER_LOG))
    assert output.highest(OTHER_LOG) == 7
    assert output.highest(LOG) == 602
    assert output.highest("0" * 16) == -1


def test_a_torn_last_line_has_no_index(make, path):
    output = make()
    output.deliver(batch(0, document(0), document(1)))
    state = output.flush()
    output.close()
    path.write_bytes(path.read_bytes() + document(2).data)
    assert make(state).highest(LOG) == 1


def test_the_highest_index_is_found_in_a_closed_file(make, path):
    output = make(rotate={"max_bytes": 1000})
    output.deliver(frames()[0])
    output.flush()
    output.deliver(batch(1, checkpoint(4)))
    assert output.highest(LOG) == 3


def test_a_text_that_looks_like_a_seal_inside_a_value_is_no_seal(make):
    output = make()
    fake = '"seal":{"i":99,"log":"' + LOG + '","n":"' + "A" * 22 + '"}}'
    output.deliver(batch(0, document(3, change(message=fake)), control(4)))
    assert output.highest(LOG) == 4


@pytest.mark.parametrize("kind", ["directory", "no folder", "fifo"])
def test_what_cannot_be_an_archive_is_a_configuration_error(tmp_path, kind):
    import os

    target = tmp_path / "x"
    if kind == "directory":
        target.mkdir()
    elif kind == "no folder":
        target = tmp_path / "missing" / "x"
    else:
        os.mkfifo(target)
    with pytest.raises(ConfigError) as caught:
        FileOutput(FileOutputSection(id="archive", type="file", path=target)).open({})
    assert str(target) in str(caught.value) and caught.value.hint


def test_closing_twice_is_fine(make):
    output = make()
    output.close()
    output.close()
    assert "not open" in output.deliver(frames()[0]).error


# -- renamed by somebody else, and killed before the next cursor -------------------------------------------------------


def killed(output):
    """As after kill -9: nothing is synced, no state comes back."""
    output._release()


def lines_of(*paths):
    return [line for path in paths if path.exists() for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("merged", [1, 2, 6])
def test_a_kill_after_following_a_rename_repeats_nothing(make, path, at_once, merged):
    """State saved, two frames, rename, two frames, kill: all of it once, however the journal delivers again."""
    sent = frames(6)
    output = make()
    output.deliver(sent[0])
    state = output.flush()
    for frame in sent[1:3]:
        output.deliver(frame)
    renamed = path.with_name("events.ndjson.1")
    path.rename(renamed)
    for frame in sent[3:5]:
        output.deliver(frame)
    killed(output)
    if not at_once:  # a second kill while the first is being made good
        output = make(state)
        assert output.flush() == state
        output.deliver(sent[1])
        state = output.flush()
        killed(output)
    output = make(state)
    again = [document for frame in sent[(1 if at_once else 2) :] for document in frame.documents]
    size = 5 * merged
    for seq, first in enumerate(range(0, len(again), size)):
        part = again[first : first + size]
        assert output.deliver(batch(seq, *part)).delivered == len(part)
    assert lines_of(renamed, path) == text(*sent).splitlines()
    info = path.stat()
    assert output.flush() == {"dev": info.st_dev, "ino": info.st_ino, "length": info.st_size, "path": str(path)}
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, renamed.name]


@pytest.mark.parametrize("created", [True, False])
def test_a_rename_after_a_kill_repeats_nothing(make, path, created):
    sent = frames(4)
    output = make()
    output.deliver(sent[0])
    state = output.flush()
    output.deliver(sent[1])
    killed(output)
    renamed = path.with_name("events.ndjson-20260203")
    with path.open("ab") as file:
        file.write(sent[2].documents[0].data[:100])  # killed in the middle of a write
    path.rename(renamed)
    if created:
        path.touch()
    output = make(state)
    for frame in sent[1:]:
        assert output.deliver(frame).delivered == 5
    whole, torn = renamed.read_bytes()[:-100], renamed.read_bytes()[-100:]
    assert whole + path.read_bytes() == text(*sent) and sent[2].documents[0].data.startswith(torn)


def test_a_renamed_file_that_is_gone_is_told_by_what_follows_it(make, path):
    sent = frames(6)
    output = make()
    output.deliver(sent[0])
    state = output.flush()
    for frame in sent[1:3]:
        output.deliver(frame)
    path.rename(path.with_name("events.ndjson.1"))
    output.deliver(sent[3])
    killed(output)
    path.with_name("events.ndjson.1").unlink()  # compressed, or moved to another folder
    output = make(state)
    for frame in sent[1:]:
        assert output.deliver(frame).delivered == 5
    assert path.read_bytes() == text(*sent[3:])


def test_a_file_of_somebody_else_is_not_touched_after_a_rename_and_a_kill(make, path):
    sent = frames(3)
    output = make()
    output.deliver(sent[0])
    state = output.flush()
    output.deliver(sent[1])
    killed(output)
    path.rename(path.with_name("events.ndjson.1"))
    path.write_text("somebody else's lines\n")
    output = make(state)
    assert output.flush() == state and path.read_text() == "somebody else's lines\n"
    for frame in sent[1:]:
        output.deliver(frame)
    assert path.with_name("events.ndjson.000001").read_text() == "somebody else's lines\n"
    assert lines_of(path.with_name("events.ndjson.1"), path) == text(*sent).splitlines()


def test_an_older_archive_under_the_name_is_not_taken_for_what_follows(make, path):
    sent = frames(4)
    output = make()
    for frame in sent[:3]:
        output.deliver(frame)
    state = output.flush()
    killed(output)
    path.rename(path.with_name("events.ndjson.1"))
    path.write_bytes(text(sent[0]))
    output = make(state)
    assert output.deliver(sent[3]).delivered == 5
    assert path.with_name("events.ndjson.000001").read_bytes() == text(sent[0])
    assert path.read_bytes() == text(sent[3])


def test_what_stands_in_the_renamed_file_is_synced_before_it_counts(make, path):
    sent = frames(3)
    output = make()
    state = output.flush()
    output.deliver(sent[0])
    killed(output)
    path.rename(path.with_name("events.ndjson.1"))
    disk = Disk()
    output = make(state, fs=disk)
    output.deliver(sent[0])
    assert disk.syncs == 1 and path.read_bytes() == b""
    killed(output)
    disk.sync_fails = True
    output = make(state, fs=disk)
    assert output.deliver(sent[0]).delivered == 5
    assert path.read_bytes() == text(sent[0])


def test_documents_before_a_torn_end_are_passed_over_in_a_larger_delivery(make, path):
    sent = frames(3)
    output = make()
    state = output.flush()
    output.deliver(sent[0])
    output.deliver(sent[1])
    killed(output)
    with path.open("ab") as file:
        file.write(b"\0" * 5000)
    output = make(state)
    output.deliver(batch(2, *(document for frame in sent for document in frame.documents)))
    assert path.read_bytes() == text(*sent)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_that_cannot_be_begun_at_a_rotation_is_begun_when_the_disk_has_room_again(make, path):
    disk = Disk()
    output = make(fs=disk, rotate={"max_bytes": 1000})
    sent = frames(3)
    output.deliver(sent[0])
    state = output.flush()
    disk.full_for = 1
    receipt = output.deliver(sent[1])
    assert receipt.delivered == 0 and "No space left" in receipt.error
    assert output.unsure
    with pytest.raises(DiskError, match="could not be begun"):
        output.flush()  # so that no cursor is saved that speaks of no file
    output.close()
    output.open(state)
    for frame in sent[1:]:
        assert output.deliver(frame).delivered == 5
    output.flush()
    files = sorted(path.parent.glob("events.ndjson*"), key=lambda one: (one == path, one.name))
    assert b"".join(one.read_bytes() for one in files) == text(*sent)
