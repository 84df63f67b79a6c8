"""The file input beside rotation: formats, `--once`, errors, limits, encodings, fairness, hints."""

from __future__ import annotations

import errno
import logging
import os
import threading

import pytest

from shipper.errors import ConfigError
from shipper.inputs.file import FileInput
from shipper.inputs.file.hints import Hints, remote_devices
from tests.tailing import StandingClock, Tailing, lines, named, numbered


@pytest.fixture
def make(tmp_path):
    made = []

    def build(*patterns, **options):
        tailing = Tailing(tmp_path, *patterns, **options)
        made.append(tailing)
        return tailing

    yield build
    for tailing in made:
        tailing.crash()


# -- format auto ---------------------------------------------------------------------------------------------------


def deciding(seen, answer="json_lines"):
    def decide(sample):
        seen.append(sample)
        return answer

    return decide


def test_the_format_is_decided_after_one_second_with_a_line_and_kept_with_the_position(make):
    seen = []
    t = make("*.log", format="auto", decide=deciding(seen))
    t.write("app.log", b'\xef\xbb\xbf{"a":1}\r\n{"b"')
    assert t.read(wait=0) == []
    assert t.read(wait=0.9) == []
    assert t.read(wait=0.2) == ['{"a":1}']
    assert seen == [b'{"a":1}']
    assert t.chunks[0].format == "json_lines"
    t.crash()
    t.write("app.log", b":2}\n")
    assert t.read(wait=0) == ['{"b":2}']
    assert t.chunks[1].format == t.chunks[1].position["format"] == "json_lines"
    assert len(seen) == 1


def test_the_format_is_decided_at_once_when_64_kibibytes_are_there(make):
    seen = []
    t = make("*.log", format="auto", decide=deciding(seen))
    t.write("app.log", numbered(0, 2000))
    t.read(wait=0)
    assert t.lines == named(0, 2000)
    assert 60_000 < len(seen[0]) <= 65_536
    assert seen[0].startswith(b"000000 ") and not seen[0].endswith(b"\n")


def test_one_line_longer_than_the_sample_is_waited_for_and_seen_whole(make):
    seen = []
    t = make("*.log", format="auto", decide=deciding(seen))
    t.write("app.log", b"x" * 100_000)
    t.read(wait=0)
    t.write("app.log", b"y\n")
    t.read(wait=0)
    t.read(wait=2)
    assert seen == [b"x" * 100_000 + b"y"]


def test_each_stream_is_decided_for_itself_and_blank_lines_decide_nothing(make):
    t = make("*.log", format="auto", decide=lambda sample: sample[:1].decode())
    t.write("a.log", "a1\n")
    t.write("b.log", "b1\n")
    t.write("c.log", "\n\n\n")
    t.read(wait=0)
    t.read(wait=2)
    assert {chunk.path[-5:]: chunk.format for chunk in t.chunks} == {"a.log": "a", "b.log": "b"}
    t.write("c.log", "c1\n")
    t.read(wait=0)
    t.read(wait=2)
    assert t.chunks[-1].format == "c"


def test_a_configured_format_rules_over_one_that_was_decided_earlier(make):
    t = make("*.log", format="auto", decide=lambda _: "guessed")
    t.write("app.log", "one\n")
    t.read()
    t.read(wait=2)
    t.crash()
    t.options.update(format="named", decide=None)
    t.write("app.log", "two\n")
    t.read()
    assert [chunk.format for chunk in t.chunks] == ["guessed", "named"]


def test_an_undecided_file_that_is_rotated_away_is_decided_on_what_there_is(make):
    t = make("app.log", format="auto", decide=deciding([]))
    t.write("app.log", "half")
    t.read()
    t.rename("app.log", "app.log.1")
    t.read()
    t.read(wait=90)
    assert t.lines == ["half"]
    assert t.chunks[0].format == "json_lines"


def test_auto_without_a_way_to_decide_is_refused(make):
    with pytest.raises(ConfigError, match="decide"):
        make("*.log", format="auto").start()


# -- once ----------------------------------------------------------------------------------------------------------


def test_once_reads_each_file_to_the_size_it_had_and_is_done(make):
    t = make("*.log", once=True)
    t.write("a.log", numbered(0, 50))
    t.write("b.log", numbered(50, 60))
    source = t.start()
    assert not source.done()
    first = list(source.read(500))
    t.write("a.log", numbered(90, 95))
    t.write("c.log", numbered(95, 99))
    assert not source.done()
    rest = t.read()
    assert sorted([*lines(first), *rest]) == named(0, 60)
    assert source.done()
    assert source.left() == []


def test_once_gives_out_an_unterminated_last_line_only_if_it_is_complete_in_its_format(make):
    asked = []

    def complete(form, line):
        asked.append((form, line))
        return line.endswith(b"}")

    t = make("*.log", once=True, complete=complete)
    t.write("a.log", '{"a":1}\n{"b":2}')
    t.write("b.log", '{"a":1}\n{"b"')
    t.read()
    assert sorted(t.lines) == ['{"a":1}', '{"a":1}', '{"b":2}']
    assert t.start().left() == [(str(t.root / "b.log"), 8, 4)]
    assert sorted(asked) == [("plain", b'{"b"'), ("plain", b'{"b":2}')]
    assert {position["offset"] for position in t.positions.values()} == {15, 8}
    assert t.start().done()


def test_once_goes_on_where_an_earlier_run_stopped(make):
    t = make("*.log", once=True)
    t.write("a.log", numbered(0, 5) + "left")
    t.read()
    t.crash()
    t.write("a.log", " over\n" + numbered(5, 6))
    t.read()
    assert t.lines == [*named(0, 5), "left over", *named(5, 6)]
    t.crash()
    assert t.read() == []
    assert t.start().done()


def test_once_decides_the_format_at_once(make):
    t = make("*.log", once=True, format="auto", decide=lambda sample: sample.decode(), complete=lambda *_: True)
    t.write("a.log", "only\n")
    t.write("b.log", "half")
    t.write("c.log", "")
    t.read()
    assert sorted((chunk.format, chunk.records[0].data) for chunk in t.chunks) == [("half", b"half"), ("only", b"only")]
    assert t.start().done()


def test_once_is_done_although_a_file_is_missing_or_unreadable_and_says_so(make, monkeypatch):
    t = make("*.log", "absent.txt", once=True)
    t.write("a.log", "one\n")
    t.write("b.log", "two\n")
    refuse(monkeypatch, "b.log")
    assert t.read() == ["one"]
    assert t.start().done()
    assert [(os.path.basename(path), cause) for path, cause in t.start().problems()] == [
        ("absent.txt", "no such file"),
        ("b.log", "Permission denied"),
    ]


def test_once_reads_a_rotated_remainder_beside_the_patterns_too(make):
    t = make("app.log", once=True)
    t.write("app.log", numbered(0, 3))
    t.read()
    t.crash()
    t.write("app.log", numbered(3, 6))
    t.rename("app.log", "app.log.1")
    t.write("app.log", numbered(6, 8))
    t.read()
    assert t.lines == named(0, 8)
    assert t.start().done()


def test_once_with_a_file_truncated_under_it_ends(make):
    t = make("app.log", once=True)
    t.write("app.log", numbered(0, 50))
    source = t.start()
    list(source.read(500))
    os.truncate(t.root / "app.log", 0)
    t.write("app.log", "later\n")
    (rest,) = t.read()
    assert numbered(0, 50).encode()[:500].decode().endswith(rest)
    assert [(cut.offset + cut.length, cut.why) for cut in t.cuts] == [(500, "unterminated")]
    assert source.done()
    assert [(loss.offset, loss.seen_size) for loss in t.losses] == [(500, len(numbered(0, 50)))]


# -- errors --------------------------------------------------------------------------------------------------------


def refuse(monkeypatch, *names):
    """Make opening these files fail as for a user without the right to."""
    real = os.open

    def guarded(path, *args, **kwargs):
        if os.path.basename(str(path)) in names:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr("shipper.inputs.file.reader.os.open", guarded)


def test_a_file_that_cannot_be_opened_is_a_problem_and_is_tried_again_later_and_later(make, monkeypatch):
    t = make("*.log")
    t.write("app.log", numbered(0, 3))
    t.write("other.log", "x\n")
    tries = []
    with monkeypatch.context() as patch:
        refuse(patch, "app.log")
        inner = os.open
        patch.setattr(
            "shipper.inputs.file.reader.os.open", lambda path, *a: tries.append(t.clock.mono) or inner(path, *a)
        )
        assert t.read() == ["x"]
        assert [(os.path.basename(path), cause) for path, cause in t.start().problems()] == [
            ("app.log", "Permission denied")
        ]
        tries.clear()
        for _ in range(100):
            t.read()
        assert len(tries) < 8
    t.read(wait=61)
    assert t.lines == ["x", *named(0, 3)]
    assert t.start().problems() == []


def test_a_right_taken_away_while_the_file_is_open_changes_nothing(make):
    t = make("app.log")
    t.write("app.log", numbered(0, 3))
    t.read()
    with (t.root / "app.log").open("ab", buffering=0) as writer:
        os.chmod(t.root / "app.log", 0)
        writer.write(numbered(3, 5).encode())
        assert t.read() == named(3, 5)


def test_a_right_taken_away_while_the_agent_is_down_is_no_loss_and_the_rest_comes_when_it_is_back(make, monkeypatch):
    t = make("app.log")
    t.write("app.log", numbered(0, 3))
    t.read()
    t.crash()
    t.write("app.log", numbered(3, 6))
    with monkeypatch.context() as patch:
        refuse(patch, "app.log")
        t.read()
        t.read()
        assert t.losses == []
    t.read(wait=90)
    assert t.lines == named(0, 6)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_real_missing_right_is_reported(make):
    t = make("app.log")
    t.write("app.log", "one\n")
    os.chmod(t.root / "app.log", 0)
    assert t.read() == []
    assert len(t.start().problems()) == 1
    os.chmod(t.root / "app.log", 0o600)
    assert t.read(wait=5) == ["one"]


def test_a_read_that_fails_is_retried_on_a_new_descriptor_without_repeating_a_line(make, monkeypatch):
    t = make("app.log")
    t.write("app.log", numbered(0, 3))
    t.read()
    t.write("app.log", numbered(3, 6))

    def broken(fd, count, offset):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("shipper.inputs.file.reader.os.pread", broken)
        assert t.read() == []
        assert t.start().problems()[0].cause == "Input/output error"
        assert t.describe()[0]["state"] == "failing"
    t.read(wait=5)
    assert t.lines == named(0, 6)
    assert t.start().problems() == []


@pytest.mark.parametrize("call", ["fstat", "pread"])
@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO])
def test_a_file_handle_that_went_stale_is_opened_anew_by_its_path_later_and_later(make, monkeypatch, call, code):
    t = make("app.log")
    t.write("app.log", numbered(0, 3))
    t.read()
    t.write("app.log", numbered(3, 6))
    (stale,) = t.start()._follower.handles.open.values()
    opened, failed = [], []
    inner_open, inner = os.open, getattr(os, call)

    def broken(fd, *rest):
        if os.readlink(f"/proc/self/fd/{fd}").startswith(str(t.root)):
            failed.append(t.clock.mono)
            raise OSError(code, os.strerror(code))
        return inner(fd, *rest)

    before = stale.fd
    with monkeypatch.context() as patch:
        patch.setattr(f"shipper.inputs.file.reader.os.{call}", broken)
        patch.setattr(
            "shipper.inputs.file.reader.os.open", lambda path, *a: opened.append(t.clock.mono) or inner_open(path, *a)
        )
        for _ in range(60):
            assert t.read() == []
        assert t.start().problems()[0].cause == os.strerror(code)
    assert 3 < len(failed) < 20 and 3 < len(opened) < 20
    assert t.read(wait=61) == named(3, 6)
    assert t.losses == [] and t.start().problems() == []
    assert before >= 0 and count_open(t.root) == 1


def test_a_file_whose_handle_went_stale_and_that_is_another_by_now_is_a_loss_and_the_other_is_read(make, monkeypatch):
    t = make("app.log")
    t.write("app.log", numbered(0, 3))
    t.read()
    t.write("app.log", numbered(3, 6))

    def broken(fd, count, offset):
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr("shipper.inputs.file.reader.os.pread", broken)
        t.read()
        t.write("other", numbered(50, 60))
        os.replace(t.root / "other", t.root / "app.log")
    t.read(wait=5)
    t.read(wait=70)
    t.read(wait=70)
    assert t.lines == [*named(0, 3), *named(50, 60)]
    assert [(loss.offset, loss.seen_size) for loss in t.losses] in (
        [(len(numbered(0, 3)), len(numbered(0, 6)))],
        [(len(numbered(0, 3)), None)],
    )


def test_one_failing_file_does_not_stop_the_others_or_its_successor(make, monkeypatch):
    t = make("app.log*")
    t.write("app.log", numbered(0, 3))
    t.read()
    t.crash()
    t.write("app.log", numbered(3, 6))
    t.rename("app.log", "app.log.1")
    t.write("app.log", numbered(6, 9))
    refuse(monkeypatch, "app.log.1")
    assert t.read() == named(6, 9)


def test_a_directory_given_as_a_path_is_refused_at_construction(tmp_path):
    with pytest.raises(ConfigError, match="directory"):
        FileInput("crm", [str(tmp_path)], clock=StandingClock(), format="plain")


# -- limits --------------------------------------------------------------------------------------------------------


def count_open(root):
    return sum(os.path.realpath(f"/proc/self/fd/{fd}").startswith(str(root)) for fd in os.listdir("/proc/self/fd"))


def test_open_files_stay_under_the_cap_and_every_file_is_followed(make):
    t = make("*.log", max_open_files=4)
    for number in range(20):
        t.write(f"f{number:02d}.log", f"{number} a\n")
    t.read()
    assert count_open(t.root) <= 4
    for number in range(20):
        t.write(f"f{number:02d}.log", f"{number} b\n")
    t.read()
    assert count_open(t.root) <= 4
    assert sorted(t.lines) == sorted(f"{number} {letter}" for number in range(20) for letter in "ab")


def test_a_file_closed_for_the_cap_and_rotated_away_is_found_beside_and_finished(make):
    t = make("a.log", "b.log", "c.log", max_open_files=1)
    for name in "abc":
        t.write(f"{name}.log", numbered(0, 2).replace("user", name))
    t.read()
    t.write("a.log", "last of a\n")
    t.rename("a.log", "gone-a")
    t.read()
    assert "last of a" in t.lines
    assert t.losses == []


def test_a_file_closed_for_the_cap_and_deleted_is_a_loss_of_unknown_size(make):
    t = make("*.log", max_open_files=1)
    for name in "abc":
        t.write(f"{name}.log", f"{name}\n")
    t.read()
    os.unlink(t.root / "a.log")
    os.unlink(t.root / "b.log")
    t.read()
    t.read()
    assert len(t.losses) >= 1
    assert all(loss.seen_size is None for loss in t.losses)


def test_a_busy_file_does_not_starve_the_others(make):
    t = make("*.log")
    t.write("busy.log", "x" * 99 + "\n")
    with (t.root / "busy.log").open("ab") as file:
        for _ in range(300):
            file.write((b"x" * 99 + b"\n") * 100)
    t.write("calm.log", "calm\n")
    source = t.start()
    chunks = list(source.read(1 << 20))
    assert "calm" in lines(chunks)
    assert sum(record.length for chunk in chunks for record in chunk.records) < 2 << 20


def test_the_budget_is_kept_to_and_the_rest_comes_next(make):
    t = make("*.log")
    t.write("app.log", numbered(0, 100))
    source = t.start()
    first = list(source.read(1000))
    assert 0 < sum(record.length for chunk in first for record in chunk.records) <= 1000
    assert [*lines(first), *t.read()] == named(0, 100)


def test_a_caller_that_stops_after_any_chunk_misses_nothing(make):
    t = make("*.log", grace=60.0)
    for name in "abc":
        t.write(f"{name}.log", numbered(0, 30).replace("user", name) + "rest")
    source = t.start()
    got = []

    def one():
        for chunk in source.read(700):
            got.append(chunk)
            return True
        return False

    while one():
        pass
    for name in "abc":
        os.unlink(t.root / f"{name}.log")
    t.clock.mono += 1
    one()
    t.clock.mono += 70
    while one():
        t.clock.mono += 2
    assert sorted(lines(got)) == sorted(
        [*"".join(numbered(0, 30).replace("user", n) for n in "abc").splitlines(), *["rest"] * 3]
    )
    assert sorted(source.ended()) == sorted({chunk.stream for chunk in got})
    assert source.losses() == []


def test_a_line_beyond_the_limit_is_cut_and_named_with_its_true_length(make):
    t = make("*.log", max_line=100)
    t.write("app.log", "x" * 5000 + "\nnext\n")
    t.read(budget=300)
    assert t.lines == ["x" * 100, "next"]
    assert t.chunks[0].position["offset"] == 5006
    assert [(cut.offset, cut.length, cut.why) for cut in t.cuts] == [(0, 5000, "long")]
    assert t.chunks[0].records[0].length == 5001


# -- encodings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_a_mark_is_decoded_over_odd_reads_and_restarts(make, encoding):
    t = make("*.log")
    raw = "\ufeffé one\r\nü two\n\u0a0a three\n".encode(encoding)
    for at in range(0, len(raw), 7):
        t.write("app.log", raw[at : at + 7])
        t.read()
        if at % 2:
            t.crash()
    assert t.lines == ["é one", "ü two", "\u0a0a three"]
    assert t.chunks[-1].position["encoding"] == encoding
    assert t.chunks[-1].position["offset"] == len(raw)


def test_line_ends_split_between_two_writes_leave_no_carriage_return(make):
    t = make("*.log")
    t.write("app.log", "one\r")
    t.read()
    t.write("app.log", "\ntwo\rx\r\n")
    t.read()
    assert t.lines == ["one", "two\rx"]


def test_bytes_that_are_no_utf_8_go_through_unchanged(make):
    t = make("*.log")
    t.write("app.log", b"caf\xe9 \x00 \xff\n")
    list_of = list(t.start().read(1000))
    assert list_of[0].records[0].data == b"caf\xe9 \x00 \xff"


def test_nul_bytes_at_the_end_that_are_written_later_are_read_then(make):
    t = make("app.log")
    t.write("app.log", b"one\n" + bytes(100))
    t.read()
    with (t.root / "app.log").open("r+b") as file:
        file.seek(4)
        file.write(b"two\nthree\n")
    os.utime(t.root / "app.log", (1, 1))
    t.read()
    assert t.lines == ["one", "two", "three"]


# -- hints ---------------------------------------------------------------------------------------------------------


class Quiet:
    """Stands for an event of watchdog."""


def test_a_hint_wakes_the_reader_and_names_the_file():
    wake = threading.Event()
    hints = Hints(wake)
    assert hints.changed() == []
    for name in ("/logs/app.log", "/logs/web.log", "/logs/app.log"):
        hints.written(name)
    assert wake.is_set() and not hints.moved
    assert sorted(hints.changed()) == ["/logs/app.log", "/logs/web.log"]
    assert hints.changed() == []
    wake.clear()
    hints.poke()
    hints.written("/logs/app.log")
    assert wake.is_set() and hints.moved
    hints.clear()
    assert not hints.moved and hints.changed() == []


def test_directories_that_cannot_be_watched_are_no_error_and_say_why(tmp_path, monkeypatch):
    hints = Hints(None)
    try:
        hints.update([str(tmp_path / "absent")], 0.0)
        assert not hints.whole

        class Full:
            def is_alive(self):
                return True

            def schedule(self, *_args, **_kwargs):
                raise OSError(errno.ENOSPC, "inotify watch limit reached")

            def stop(self):
                pass

            def join(self, _timeout):
                pass

        monkeypatch.setattr(hints, "_observer", Full())
        hints.update([str(tmp_path)], 1.0)
        assert hints.failures == {str(tmp_path): "inotify watch limit reached"}
        assert not hints.whole
    finally:
        hints.close()
        hints.close()


class Refusing:
    """An observer that cannot watch, as when a limit of inotify is reached."""

    def __init__(self, error):
        self.error = error
        self.asked = 0

    def is_alive(self):
        return True

    def schedule(self, *_args, **_kwargs):
        self.asked += 1
        raise self.error

    def start(self):
        pass

    def stop(self):
        pass

    def join(self, _timeout):
        pass


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENOSPC, "inotify watch limit reached"), "inotify watch limit reached"),
        (OSError(errno.EMFILE, "inotify instance limit reached"), "inotify instance limit reached"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_where_the_system_refuses_to_watch_files_are_found_by_looking_and_it_is_said_once(
    make, monkeypatch, error, cause
):
    told = []
    monkeypatch.setattr("shipper.inputs.file.hints.telemetry.watch_refused", lambda **values: told.append(values))
    monkeypatch.setattr("shipper.inputs.file.hints.Observer", lambda: Refusing(error))
    t = make("a/*.log", "b/*.log", use_watchdog=True)
    for folder in "ab":
        (t.root / folder).mkdir()
        t.write(f"{folder}/app.log", f"one {folder}\n")
    for _ in range(5):
        t.read()
    t.write("a/new.log", "two\n")
    t.write("b/app.log", "three\n")
    assert sorted(t.read()) == ["three", "two"]
    assert told == [{"directory": str(t.root / "a"), "cause": cause}]


def test_an_observer_that_cannot_start_is_no_end_of_reading(make, monkeypatch):
    told = []
    monkeypatch.setattr("shipper.inputs.file.hints.telemetry.watch_refused", lambda **values: told.append(values))

    def none():
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr("shipper.inputs.file.hints.Observer", none)
    t = make("*.log", use_watchdog=True)
    t.write("app.log", "one\n")
    t.read()
    t.read()
    t.write("app.log", "two\n")
    t.read()
    assert t.lines == ["one", "two"]
    assert len(told) == 1


def test_lost_hints_are_said_once_and_bring_a_scan(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("shipper.inputs.file.hints.telemetry.watch_overflowed", lambda: told.append(1))
    wake = threading.Event()
    hints = Hints(wake)
    try:
        hints.update([str(tmp_path)], 0.0)
        hints.clear()
        assert not hints.moved and told == []
        for _ in range(3):
            logging.getLogger("watchdog.observers.inotify_c").warning("inotify queue overflow: events lost")
        assert hints.moved and wake.is_set() and hints.overflows == 3
        hints.update([str(tmp_path)], 1.0)
        hints.update([str(tmp_path)], 2.0)
        assert told == [1]
    finally:
        hints.close()


MOUNTS = """\
25 1 {here} / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 25 0:51 / /srv/logs rw,relatime shared:20 - {kind} server.example:/logs rw,vers=4.2
not a line of mounts
41 25 garbage / /odd rw - nfs odd rw
"""


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        ("nfs", True), ("nfs4", True), ("cifs", True), ("smb3", True), ("fuse.sshfs", True), ("fuse", True),
        ("fuse.glusterfs", True), ("9p", True), ("virtiofs", True), ("ceph", True), ("glusterfs", True),
        ("ext4", False), ("xfs", False), ("btrfs", False), ("tmpfs", False), ("overlay", False), ("fuseblk", False),
        ("autofs", False),
    ],
)  # fmt: skip
def test_file_systems_of_which_the_kernel_cannot_tell_everything_are_known_by_their_type(kind, remote):
    assert (os.makedev(0, 51) in remote_devices(MOUNTS.format(here="254:1", kind=kind))) is remote
    assert os.makedev(254, 1) not in remote_devices(MOUNTS.format(here="254:1", kind=kind))


def test_a_directory_on_a_network_file_system_is_not_watched_and_looked_at_each_interval(tmp_path):
    device = os.stat(tmp_path).st_dev
    here = f"{os.major(device)}:{os.minor(device)}"
    mounts = tmp_path / "mountinfo"
    (tmp_path / "logs").mkdir()
    mounts.write_text(f"40 25 {here} / {tmp_path} rw shared:20 - nfs4 server.example:/logs rw\n")
    hints = Hints(None, mounts)
    try:
        hints.update([str(tmp_path / "logs")], 0.0)
        assert list(hints.remote) == [str(tmp_path / "logs")]
        assert not hints.whole and not hints._watches and hints.failures == {}
        mounts.unlink()  # asked again only where another directory appears under the name
        hints.update([str(tmp_path / "logs")], 1.0)
        assert not hints.whole
        (tmp_path / "logs").rename(tmp_path / "old")
        (tmp_path / "logs").mkdir()
        hints.update([str(tmp_path / "logs")], 2.0)
        assert hints.whole and hints.remote == {}
    finally:
        hints.close()


def test_a_busy_directory_is_left_to_the_scan_for_a_while(tmp_path):
    hints = Hints(None)
    try:
        hints.update([str(tmp_path)], 0.0)
        assert hints.whole
        hints._watches[str(tmp_path)].handler.count = 10_000
        hints.update([str(tmp_path)], 1.0)
        assert not hints.whole and not hints._watches
        hints.update([str(tmp_path)], 40.0)
        assert hints.whole
    finally:
        hints.close()


def test_a_directory_replaced_by_another_is_watched_anew(tmp_path):
    hints = Hints(None)
    (tmp_path / "logs").mkdir()
    try:
        hints.update([str(tmp_path / "logs")], 0.0)
        before = hints._watches[str(tmp_path / "logs")]
        (tmp_path / "logs").rename(tmp_path / "old")
        (tmp_path / "logs").mkdir()
        hints.update([str(tmp_path / "logs")], 1.0)
        assert hints._watches[str(tmp_path / "logs")] is not before
        assert hints.whole
    finally:
        hints.close()


@pytest.fixture
def watched(make):
    """An input that holds two of three files open and is told of writes by the test, as if inotify did."""
    t = make("*.log", use_watchdog=True, max_open_files=2)
    for name in ("a.log", "b.log", "c.log"):
        t.write(name, f"first of {name}\n")
    t.read(wait=0)
    t.read(wait=0)
    source = t.start()
    hints = source._hints
    assert hints is not None and hints.whole
    hints._stop()  # the threads: what is told comes from the test alone
    hints.update = lambda directories, now: None
    hints.clear = lambda: None
    hints.whole = True
    for _ in range(4):  # until nothing waits for a scan any more
        t.read(wait=1.0)
    return t, hints


def scans_of(t, monkeypatch):
    """The monotonic times of the scans from now on, as a list that grows."""
    times, discovery = [], t.start()._discovery
    scan = discovery.scan
    monkeypatch.setattr(discovery, "scan", lambda: times.append(t.clock.mono) or scan())
    return times


def test_a_line_in_a_file_that_is_not_open_is_read_when_it_is_told_of(watched, monkeypatch):
    t, hints = watched
    scans = scans_of(t, monkeypatch)
    for name in ("a.log", "b.log", "c.log"):
        t.write(name, f"second of {name}\n")
        hints.written(str(t.root / name))
        assert t.read(wait=0.01) == [f"second of {name}"]
    assert scans == []


def test_a_link_to_a_followed_file_and_a_file_of_no_interest_are_told_of_as_well(watched):
    t, hints = watched
    os.symlink(t.root / "a.log", t.root / "current")
    t.write("a.log", "second\n")
    t.write("other.txt", "no log\n")
    for name in ("current", "other.txt", "absent.log"):
        hints.written(str(t.root / name))
    assert t.read(wait=0.01) == ["second"]


def test_directories_that_are_watched_are_scanned_seldom_and_open_files_looked_at_as_often_as_ever(
    watched, monkeypatch
):
    t, _ = watched
    scans = scans_of(t, monkeypatch)
    began = t.clock.mono
    for _ in range(20):
        t.read(wait=1.0)
    assert len(scans) == 4
    t.read(wait=began + 21 - t.clock.mono)
    opened = next(iter(t.start()._follower.handles.open.values())).path
    t.write(os.path.basename(opened), "untold\n")
    before = len(scans)
    assert t.read(wait=1.0) == ["untold"]
    assert len(scans) == before


def test_after_a_file_was_read_scans_come_as_often_as_configured_until_its_content_was_checked(watched, monkeypatch):
    t, hints = watched
    t.read(wait=5.0)
    scans = scans_of(t, monkeypatch)
    t.write("a.log", "second\n")
    hints.written(str(t.root / "a.log"))
    t.read(wait=5.0)
    for _ in range(2):
        t.read(wait=1.0)
    assert len(scans) == 3


def test_a_line_in_a_file_that_is_not_open_is_found_by_a_scan_where_nobody_tells(watched):
    t, _ = watched
    closed = next(stream.path for stream in t.start()._follower.streams.values() if stream.fd < 0)
    t.write(os.path.basename(closed), "untold\n")
    waits = 0
    while not (found := t.read(wait=1.0)):
        waits += 1
        assert waits < 5
    assert found == ["untold"]


def test_watching_leaves_no_thread_behind(make):
    before = threading.active_count()
    t = make("*.log", use_watchdog=True, wake=threading.Event())
    t.write("app.log", "one\n")
    assert t.read() == ["one"]
    assert threading.active_count() > before
    t.crash()
    assert threading.active_count() == before


def test_a_listing_that_misses_a_file_while_names_change_does_no_harm(make, monkeypatch):
    t = make("app.log*")
    t.write("app.log", numbered(0, 5) + "hal")
    t.read()
    scan = t.start()._discovery.scan
    blind = scan()
    blind.files.clear()
    with monkeypatch.context() as patch:
        patch.setattr(t.start()._discovery, "scan", lambda: blind)
        t.read()
    t.read(wait=500)
    t.write("app.log", "f\n")
    t.read()
    assert t.lines == [*named(0, 5), "half"]
    assert t.cuts == [] and t.losses == []


def test_close_may_be_called_twice_and_closes_every_file(make):
    t = make("*.log")
    t.write("app.log", "one\n")
    t.read()
    source = t.start()
    source.close()
    source.close()
    assert count_open(t.root) == 0


def whole_json(form, line):
    del form
    return line.startswith(b"{") and line.endswith(b"}")


def test_a_whole_last_line_without_end_is_given_out_when_nothing_came_for_a_while(make):
    t = make("*.log", complete=whole_json)
    t.write("a.log", '{"a":1}\n{"b":2}')
    assert t.read() == ['{"a":1}']
    assert t.read(wait=5) == []
    assert t.read(wait=6) == ['{"b":2}']
    t.crash()
    assert t.read(wait=60) == []
    t.write("a.log", "\n" + '{"c":3}\n')
    assert t.read() == ['{"c":3}']


def test_a_last_line_that_is_not_whole_is_waited_for_however_long(make):
    t = make("*.log", complete=whole_json)
    t.write("a.log", '{"a":1}\n{"b"')
    t.write("b.log", "text may always go on")
    assert t.read() == ['{"a":1}']
    assert t.read(wait=1000) == []
    t.write("a.log", ":2}\n")
    assert t.read() == ['{"b":2}']


def test_the_format_of_a_file_of_one_line_without_end_is_decided_when_nothing_came_for_a_while(make):
    decided = []
    t = make("*.log", format="auto", decide=lambda sample: decided.append(sample) or "json", complete=whole_json)
    t.write("a.log", '{"Records":[1,2]}')
    assert t.read() == t.read(wait=5) == []
    t.read(wait=6)
    assert t.read(wait=11) == ['{"Records":[1,2]}'] and decided == [b'{"Records":[1,2]}']
    t.write("b.log", '{"Records":')
    assert t.read() == t.read(wait=30) == []
    t.write("b.log", "[]}\n")
    assert [*t.read(), *t.read(wait=2)] == ['{"Records":[]}']


def test_a_line_of_json_may_be_longer_than_one_of_text(make):
    page = '{"events":["' + "x" * 3_000_000 + '"]}'
    t = make("*.log")
    t.write("a.log", page + "\n")
    t.write("b.log", "short\n" + "y" * 3_000_000 + "\nshort\n")
    found = t.read()
    assert sorted(map(len, found)) == [5, 5, 1 << 20, len(page)]
