"""Records of several lines in followed files: over rotation, truncation, kill and restart, each exactly once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.errors import ConfigError
from shipper.grouping import Framing
from tests.tailing import Tailing

CSV = Framing("csv")
MULTILINE = Framing("multiline", rb"\d{6} ")
AUDITD = Framing("auditd")
HEADER = "number,who,what,remark that makes the header longer than sixty-four bytes\n"


def row(number):
    return f'{number:06d},u{number % 7},"state of the offer {number * 31}\nfrom ""draft""\n\nto sent",x\n'


def trace(number):
    return f"{number:06d} user u{number % 7} could not change the state of the offer {number * 31:05d}: it is locked\n  at store\n  at offer {number}\n"


def event(number, *, first=True, last=True):
    lines = [
        f"type=SYSCALL msg=audit({number}.100:{number}): arch=c000003e syscall=257 success=yes exe=/usr/bin/vi ses=3\n",
        f"type=PATH msg=audit({number}.100:{number}): item=0 name=/etc/passwd inode=393 dev=08:02 mode=0100644\n",
        f"type=PROCTITLE msg=audit({number}.100:{number}): proctitle=7669\n",
    ]
    return "".join(lines[:2] if not last else lines[2:] if not first else lines)


def tailing(root, framing, *patterns, **options):
    return Tailing(root, *(patterns or ("app.log*",)), framing=lambda _: framing, **options)


def rows(first, last):
    return [HEADER + row(number).rstrip("\n") for number in range(first, last)]


def traces(first, last):
    return [trace(number).rstrip("\n") for number in range(first, last)]


def test_rows_come_with_their_header_before_and_after_a_restart(tmp_path):
    log = tailing(tmp_path, CSV)
    log.write("app.log", HEADER + row(1) + row(2)[:40])
    assert log.read() == rows(1, 2)
    assert log.describe()[0]["offset"] == len(HEADER + row(1))
    log.crash()
    log.write("app.log", row(2)[40:] + row(3))
    assert log.read() == rows(2, 4)
    (position,) = log.positions.values()
    assert "framing" not in position


def test_an_open_quote_is_waited_for_however_long_the_writer_pauses(tmp_path):
    log = tailing(tmp_path, CSV)
    log.write("app.log", HEADER + '1,a,"b\n')
    assert log.read(wait=1000.0) == log.read(wait=1000.0) == []
    log.write("app.log", 'c",d\n')
    assert log.read() == [HEADER + '1,a,"b\nc",d']


@pytest.mark.parametrize("restart", [False, True])
def test_a_rotation_in_the_middle_of_a_row_finishes_it_in_the_old_file(tmp_path, restart):
    log = tailing(tmp_path, CSV)
    log.write("app.log", HEADER + row(1) + row(2)[:40])
    log.read()
    log.rename("app.log", "app.log.1")
    log.write("app.log", HEADER + row(3))
    if restart:
        log.crash()
    else:
        log.read()
    log.write("app.log.1", row(2)[40:])
    log.read()
    log.read()
    assert sorted(log.lines) == rows(1, 4)


@pytest.mark.parametrize("restart", [False, True])
def test_a_copy_and_truncation_in_the_middle_of_a_row_finishes_it_in_the_copy(tmp_path, restart):
    log = tailing(tmp_path, CSV)
    log.write("app.log", HEADER + row(1) + row(2)[:40])
    log.read()
    log.write("app.log", row(2)[40:] + row(3)[:40])
    log.copy_truncate("app.log", "app.log.1")
    log.write("app.log", HEADER + row(4))
    if restart:
        log.crash()
    for _ in range(4):
        log.read()
    log.write("app.log.1", row(3)[40:])
    for _ in range(4):
        log.read()
    assert sorted(log.lines) == rows(1, 5)
    assert log.losses == []


def test_rows_that_are_held_when_their_file_is_truncated_are_given_out(tmp_path):
    log = tailing(tmp_path, CSV)
    log.write("app.log", HEADER + row(1) + '2,a,"b\nc\n')
    log.read()
    os.truncate(tmp_path / "app.log", 0)
    for _ in range(4):
        log.read()
    assert log.lines == [*rows(1, 2), HEADER + '2,a,"b', HEADER + "c"]
    assert log.cuts == []


def test_a_group_without_a_mark_at_its_end_is_given_out_after_two_quiet_seconds(tmp_path):
    log = tailing(tmp_path, MULTILINE)
    log.write("app.log", trace(1) + trace(2))
    assert log.read() == traces(1, 2)
    assert log.read() == []
    log.write("app.log", "  at the very end\n")
    assert log.read() == log.read() == []
    assert log.read() == [trace(2) + "  at the very end"]
    log.crash()
    log.write("app.log", trace(3))
    assert log.read() == []
    assert log.read(wait=2.0) == traces(3, 4)


def test_a_group_is_not_given_out_while_there_is_more_to_read(tmp_path):
    log = tailing(tmp_path, MULTILINE)
    log.write("app.log", trace(1))
    log.read()
    log.write("app.log", "  at the very end\n" + trace(2))
    assert log.read(wait=9.0) == [trace(1) + "  at the very end"]


def test_a_group_that_waits_in_a_file_that_had_to_be_closed_is_given_out(tmp_path):
    log = tailing(tmp_path, MULTILINE, "*.log", max_open_files=1)
    log.write("a.log", trace(1))
    log.write("b.log", trace(2))
    log.read()
    log.read(wait=3.0)
    assert sorted(log.lines) == traces(1, 3)
    log.crash()
    log.write("a.log", trace(3))
    log.write("b.log", trace(4))
    log.read()
    log.read(wait=3.0)
    assert sorted(log.lines) == traces(1, 5)


@pytest.mark.parametrize("framing", [MULTILINE, AUDITD])
def test_a_timeout_of_ones_own_is_kept(tmp_path, framing):
    log = tailing(tmp_path, framing._replace(timeout=30.0))
    log.write("app.log", trace(1) if framing is MULTILINE else event(1, last=False))
    assert log.read() == log.read(wait=28.0) == []
    assert len(log.read(wait=3.0)) == 1


def test_what_a_renamed_file_holds_is_given_out_at_its_end_and_its_unfinished_line_named(tmp_path):
    log = tailing(tmp_path, CSV, grace=10.0)
    log.write("app.log", HEADER + '1,a,"b\nc')
    log.read()
    log.rename("app.log", "app.log.1")
    log.read()
    log.read(wait=20.0)
    assert log.lines == [HEADER + '1,a,"b', HEADER + "c"]
    assert [(cut.offset, cut.why) for cut in log.cuts] == [(len(HEADER) + 7, "unterminated")]


def test_events_of_the_audit_log_that_overlap_come_once_over_a_restart(tmp_path):
    log = tailing(tmp_path, AUDITD)
    log.write("app.log", event(1, last=False) + event(2, last=False) + event(1, first=False))
    assert log.read() == [event(1).rstrip()]
    (position,) = log.positions.values()
    assert position["offset"] == len(event(1, last=False))
    assert position["framing"]["v"] == 1 and position["framing"]["kind"] == "auditd"
    log.crash()
    assert log.read() == []
    log.crash()
    log.write("app.log", event(2, first=False))
    assert log.read() == [event(2).rstrip()]
    assert log.losses == []


def test_a_framing_state_of_a_newer_release_is_refused(tmp_path):
    log = tailing(tmp_path, AUDITD)
    log.write("app.log", event(1, last=False) + event(2, last=False) + event(1, first=False))
    log.read()
    log.crash()
    (name,) = log.positions
    log.positions[name] = {**log.positions[name], "framing": {"v": 2, "kind": "auditd"}}
    with pytest.raises(ConfigError, match="newer release"):
        log.read()


def test_a_framing_that_was_configured_anew_is_taken_at_the_next_start(tmp_path):
    log = tailing(tmp_path, Framing())
    log.write("app.log", HEADER + "1,a,b,c\n")
    assert log.read() == [HEADER.rstrip(), "1,a,b,c"]
    log.crash()
    log.options["framing"] = lambda _: CSV
    log.write("app.log", "2,a,b,c\n")
    assert log.read() == [HEADER + "2,a,b,c"]


def test_elements_of_a_pretty_printed_array_come_one_by_one_over_restarts(tmp_path):
    log = tailing(tmp_path, Framing())
    text = '[{\n  "a": 1\n}, {"b": 2}, {\n  "c": [\n    3\n  ]\n}, {\n  "d": 4\n}]\n'
    for at in range(0, len(text), 5):
        log.write("app.log", text[at : at + 5])
        log.read()
        log.crash()
    assert log.lines == ['{\n  "a": 1\n}', '{"b": 2}', '{\n  "c": [\n    3\n  ]\n}', '{\n  "d": 4\n}']


def test_a_hole_in_the_middle_of_a_group_is_filled_in_later(tmp_path):
    log = tailing(tmp_path, MULTILINE)
    log.write("app.log", trace(1) + "\0" * 20)
    assert log.read() == []
    data = (tmp_path / "app.log").read_bytes()
    (tmp_path / "app.log").write_bytes(data.replace(b"\0" * 20, b"  at the hole 123\n" + b"\0\0"))
    with (tmp_path / "app.log").open("r+b") as file:
        file.seek(len(data) - 2)
        file.write(b" x\n" + trace(2).encode())
    log.read()
    log.read(wait=5.0)
    assert "".join(log.lines).count("at the hole 123") == 1
    assert [text[:6] for text in log.lines if text[0] == "0"] == ["000001", "000002"]


def test_once_gives_out_what_is_held_and_leaves_the_unfinished_line(tmp_path):
    log = tailing(tmp_path, MULTILINE, once=True, complete=lambda *_: False)
    log.write("app.log", trace(1) + trace(2) + "  at")
    assert log.read() == traces(1, 3)
    assert log.start().left() == [(str(tmp_path / "app.log"), len(trace(1) + trace(2)), 4)]
    assert log.start().done()


def test_once_takes_a_json_document_without_a_line_end(tmp_path):
    log = tailing(tmp_path, Framing(), "*.json", once=True)
    log.write("a.json", '{\n  "a": 1\n}')
    log.write("b.json", '[\n  {"b": 2},\n  {\n  "c": 3\n}]')
    log.write("c.json", '[\n  {"d": 2},\n  {\n  "e": 3\n')
    assert sorted(log.read()) == sorted(['{\n  "a": 1\n}', '{"b": 2}', '{\n  "c": 3\n}', '{"d": 2}', "{", '  "e": 3'])
    assert log.start().left() == []


def test_a_format_of_csv_is_decided_with_the_first_row_and_not_before(tmp_path):
    seen = []

    def decide(sample):
        seen.append(sample)
        return "table" if b"\n" in sample else ""

    log = tailing(tmp_path, CSV, format="auto", decide=decide)
    log.write("app.log", HEADER)
    for _ in range(5):
        assert log.read() == []
    assert len(seen) == 1
    log.write("app.log", "1,a,b,c\n")
    assert log.read() == [HEADER + "1,a,b,c"]
    assert log.chunks[0].format == "table"


def test_a_header_alone_is_text_when_no_more_can_come(tmp_path):
    log = tailing(tmp_path, Framing(), format="auto", decide=lambda _: "", once=True)
    log.write("app.log", HEADER)
    assert log.read() == [HEADER.rstrip()]
    assert log.chunks[0].format == "text"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 8)),
        st.tuples(st.just("half"), st.integers(1, 130)),
        st.just(("rename", 0)),
        st.just(("copy", 0)),
        st.tuples(st.just("read"), st.sampled_from([100, 1000, 1 << 20])),
        st.just(("lost read", 0)),
        st.just(("kill", 0)),
        st.just(("wait", 0)),
        st.just(("quiet", 0)),
    ),
    max_size=25,
)


class Log:
    """A program that writes numbered records, and what rotates its log. A file begins with `start`."""

    def __init__(self, log, make, start):
        self.log, self.make, self.start = log, make, start
        self.next, self.rest, self.rotated = 0, "", 0
        log.write("app.log", start)

    def write(self, count):
        text, self.rest = self.rest, ""
        for _ in range(count):
            text += self.make(self.next)
            self.next += 1
        self.log.write("app.log", text)

    def half(self, count):
        if not self.rest:
            text = self.make(self.next)
            self.next += 1
            self.log.write("app.log", text[:count])
            self.rest = text[count:]

    def rotate(self, *, copy):
        self.write(0)
        for number in range(self.rotated, 0, -1):
            self.log.rename(f"app.log.{number}", f"app.log.{number + 1}")
        self.rotated += 1
        if copy:
            self.log.copy_truncate("app.log", "app.log.1")
        else:
            self.log.rename("app.log", "app.log.1")
        self.log.write("app.log", self.start)

    def step(self, step, number):
        log = self.log
        if step == "write":
            self.write(number)
        elif step == "half":
            self.half(number)
        elif step in {"rename", "copy"}:
            self.rotate(copy=step == "copy")
        elif step == "read":
            log.read(wait=0.0, budget=number)
        elif step == "lost read":
            log.read(wait=0.0, keep=False)
            log.crash()
        elif step == "kill":
            log.crash()
        else:
            log.read(wait=1.0 if step == "wait" else 40.0)


def overlapping(number):
    """Two events of the audit log: the second begins before the first ends."""
    one, two = number * 2 + 1, number * 2 + 2
    return event(one, last=False) + event(two, last=False) + event(one, first=False) + event(two, first=False)


@pytest.mark.parametrize(
    ("framing", "make", "start"),
    [(CSV, row, HEADER), (MULTILINE, trace, ""), (AUDITD, overlapping, "")],
    ids=["csv", "multiline", "auditd"],
)
@settings(max_examples=80, deadline=None)
@given(steps=STEPS)
def test_any_history_ships_each_line_once(framing, make, start, steps):
    with tempfile.TemporaryDirectory() as root:
        log = tailing(Path(root), framing, grace=30.0)
        program = Log(log, make, start)
        try:
            for step, number in steps:
                program.step(step, number)
            program.write(0)
            for wait in (1.0, 40.0, 1.0, 40.0, 1.0):
                log.read(wait=wait)
            assert log.losses == []
            if framing is CSV:
                assert sorted(log.lines) == rows(0, program.next)
            else:  # quiet in the middle of a group divides it
                lines = "\n".join(log.lines).splitlines()
                assert sorted(lines) == sorted("".join(map(make, range(program.next))).splitlines())
        finally:
            log.crash()
