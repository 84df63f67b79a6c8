"""Standard input: read as it comes, once; the last line counts without a line end."""

from __future__ import annotations

import os

import pytest

from shipper.errors import ConfigError
from shipper.grouping import Framing
from shipper.inputs.stdin import PIPE, StdinInput
from tests.tailing import StandingClock, lines


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    for fd in ends:
        if fd is not None:
            os.close(fd)


def shut(pipe):
    os.close(pipe[1])
    pipe[1] = None


def make(pipe, **options):
    clock = StandingClock()
    return StdinInput("in", clock=clock, fd=pipe[0], **{"format": "plain", **options}), clock


def test_lines_come_out_as_they_come_in_and_nothing_blocks(pipe):
    source, _ = make(pipe)
    assert list(source.read(1000)) == []
    os.write(pipe[1], b"one\r\ntwo\nthr")
    chunks = list(source.read(1000))
    assert lines(chunks) == ["one", "two"]
    assert chunks[0].position == {"v": 1, "offset": 9, "format": "plain"}
    assert (chunks[0].path, chunks[0].input, chunks[0].mtime) == ("-", "in", None)
    os.write(pipe[1], b"ee\n")
    assert lines(source.read(1000)) == ["three"]
    assert not source.done()


def test_the_last_line_counts_without_a_line_end_and_is_named(pipe):
    source, _ = make(pipe)
    os.write(pipe[1], b"one\ntwo")
    shut(pipe)
    assert lines(source.read(1000)) == ["one", "two"]
    assert source.done()
    assert source.cuts() == [(4, 3, "unterminated")]
    assert source.statistics()[0]["state"] == "ended"
    assert list(source.read(1000)) == []


def test_an_empty_stream_is_done_without_a_record(pipe):
    source, _ = make(pipe)
    shut(pipe)
    assert list(source.read(1000)) == []
    assert source.done()


def test_the_budget_bounds_one_read(pipe):
    source, _ = make(pipe)
    os.write(pipe[1], b"x" * 9 + b"\n" + b"y" * 9 + b"\n")
    assert lines(source.read(10)) == ["x" * 9]
    assert lines(source.read(10)) == ["y" * 9]


def test_the_format_is_decided_after_a_second_with_a_line_and_once(pipe):
    seen = []

    def decide(sample):
        seen.append(sample)
        return "json_lines"

    source, clock = make(pipe, format="auto", decide=decide)
    os.write(pipe[1], b'\xef\xbb\xbf{"a":1}\n{"b"')
    assert list(source.read(1000)) == []
    clock.mono += 0.9
    os.write(pipe[1], b":2}\n")
    assert list(source.read(1000)) == []
    assert source.statistics()[0]["lag"] > 0
    clock.mono += 0.2
    chunks = list(source.read(1000))
    assert seen == [b'{"a":1}\n{"b":2}']
    assert (chunks[0].format, lines(chunks)) == ("json_lines", ['{"a":1}', '{"b":2}'])
    os.write(pipe[1], b'{"c":3}\n')
    assert [chunk.format for chunk in source.read(1000)] == ["json_lines"]
    assert len(seen) == 1


def test_the_format_is_decided_at_64_kibibytes_or_at_the_end(pipe):
    sizes = []
    source, _ = make(pipe, format="auto", decide=lambda sample: sizes.append(len(sample)) or "plain")
    got = []
    for _ in range(3):
        os.write(pipe[1], b"z" * 31 + b"\n" + b"w" * 31 + b"\n" * 1 + b"v" * 32_000 + b"\n")
        got += lines(source.read(1 << 20))
    assert len(got) == 9
    assert sizes[0] <= 64 * 1024
    other = list(os.pipe())
    source, _ = make(other, format="auto", decide=lambda sample: sample.decode())
    os.write(other[1], b"short")
    os.close(other[1])
    assert [chunk.format for chunk in source.read(1000)] == ["short"]
    os.close(other[0])


def test_a_long_line_is_cut_and_named(pipe):
    source, _ = make(pipe, max_line=16)
    os.write(pipe[1], b"a" * 50 + b"\nb\n")
    assert lines(source.read(1000)) == ["a" * 16, "b"]
    assert source.cuts() == [(0, 50, "long")]


def test_a_descriptor_that_fails_ends_the_stream_and_says_why(pipe, monkeypatch):
    source, _ = make(pipe)
    os.write(pipe[1], b"one\ntwo")
    assert lines(source.read(1000)) == ["one"]

    def broken(fd, count):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("shipper.inputs.stdin.os.read", broken)
    shut(pipe)
    assert lines(source.read(1000)) == ["two"]
    assert source.done()
    assert source.problems() == [("-", "Input/output error")]


def test_records_of_several_lines_are_held_until_they_are_whole(pipe):
    source, _ = make(pipe, framing=lambda _: Framing("csv"))
    os.write(pipe[1], b'id,note\n1,"a\n')
    assert list(source.read(1000)) == []
    assert source.statistics()[0]["lag"] == 5
    os.write(pipe[1], b'b"\n2,c')
    (chunk,) = source.read(1000)
    assert (lines([chunk]), chunk.position["offset"]) == (['id,note\n1,"a\nb"'], 16)
    shut(pipe)
    assert lines(source.read(1000)) == ["id,note\n2,c"]
    assert source.cuts() == [(16, 3, "unterminated")]
    assert source.done()


def test_a_group_without_a_mark_at_its_end_is_given_out_when_nothing_comes(pipe):
    source, clock = make(pipe, framing=lambda _: Framing("multiline", rb"\d"))
    os.write(pipe[1], b"1 a\n b\n2 c\n d\n")
    assert lines(source.read(1000)) == ["1 a\n b"]
    clock.mono += 1.9
    assert list(source.read(1000)) == []
    clock.mono += 0.2
    assert lines(source.read(1000)) == ["2 c\n d"]
    os.write(pipe[1], b"3 e\n")
    shut(pipe)
    assert lines(source.read(1000)) == ["3 e"]
    assert source.cuts() == []


def test_the_framing_is_that_of_the_format_that_was_decided(pipe):
    kinds = {"table": Framing("csv"), "text": Framing()}
    source, clock = make(
        pipe, format="auto", decide=lambda sample: "table" if b"\n" in sample else "", framing=kinds.__getitem__
    )
    os.write(pipe[1], b"id,note\n")
    assert list(source.read(1000)) == []
    clock.mono += 5.0
    assert list(source.read(1000)) == []
    os.write(pipe[1], b"1,a\n")
    assert lines(source.read(1000)) == ["id,note\n1,a"]


def test_a_header_alone_is_text_when_the_stream_ends(pipe):
    source, _ = make(pipe, format="auto", decide=lambda _: "")
    os.write(pipe[1], b"id,note\n")
    shut(pipe)
    (chunk,) = source.read(1000)
    assert (chunk.format, lines([chunk])) == ("text", ["id,note"])
    assert source.done()


def test_two_runs_do_not_share_a_stream_id(pipe):
    first, clock = make(pipe)
    again = StdinInput("in", clock=clock, fd=pipe[0], format="plain")
    clock.wall += 1
    later = StdinInput("in", clock=clock, fd=pipe[0], format="plain")
    assert first.stream == again.stream != later.stream
    assert StdinInput("in", clock=clock, fd=pipe[0], format="plain", stream="s1").stream == "s1"


def test_auto_without_a_way_to_decide_is_refused(pipe):
    with pytest.raises(ConfigError, match="decide"):
        make(pipe, format="auto")


def test_close_reads_no_more_and_leaves_the_descriptor_open(pipe):
    source, _ = make(pipe)
    os.write(pipe[1], b"one\n")
    source.restore({"x": {"offset": 3}})
    source.close()
    source.close()
    assert list(source.read(100)) == []
    assert os.read(source.fileno(), 10) == b"one\n"


def test_a_stream_without_any_line_end_is_not_waited_for_for_ever(pipe, monkeypatch):
    monkeypatch.setattr("shipper.inputs.stdin.MAX_JSON_LINE", 1000)
    seen = []
    source, clock = make(pipe, format="auto", decide=lambda sample: seen.append(len(sample)) or "plain")
    os.write(pipe[1], b"x" * 900)
    clock.mono += 5
    assert list(source.read(10_000)) == [] and seen == []
    os.write(pipe[1], b"x" * 900)
    assert list(source.read(10_000)) == [] and seen == []  # from now on a second counts
    clock.mono += 1.1
    assert list(source.read(10_000)) == [] and seen == [1000]
    os.write(pipe[1], b"\n")
    assert lines(source.read(10_000)) == ["x" * 1800]


def test_empty_lines_decide_nothing(pipe):
    seen = []
    source, clock = make(pipe, format="auto", decide=lambda sample: seen.append(sample) or "plain")
    os.write(pipe[1], b"\n\n")
    clock.mono += 5
    assert list(source.read(1000)) == [] and seen == []


def test_what_is_held_and_what_waits_in_the_pipe_is_given_out_when_the_agent_stops(pipe):
    source, _ = make(pipe, framing=lambda name: Framing("multiline", rb"\d"))
    os.write(pipe[1], b"1 one\n more\n")
    assert lines(source.read(1000)) == []
    os.write(pipe[1], b"2 two\n3 unfin")
    assert lines(source.finish()) == ["1 one\n more", "2 two", "3 unfin"]
    assert source.cuts() == [(18, 7, "unterminated")]
    assert source.done()
    assert lines(source.finish()) == []


def test_a_stop_decides_the_format_of_what_is_there(pipe):
    source, _ = make(pipe, format="auto", decide=lambda sample: "plain" if sample == b"one" else "other")
    os.write(pipe[1], b"one")
    assert lines(source.read(1000)) == []
    chunks = list(source.finish())
    assert lines(chunks) == ["one"]
    assert chunks[0].format == "plain"


def test_a_writer_that_never_rests_does_not_keep_the_agent_from_stopping(pipe, monkeypatch):
    source, _ = make(pipe)
    os.write(pipe[1], b"x")
    monkeypatch.setattr(source, "_read", lambda count: b"line\n" * (count // 5 + 1))
    assert sum(len(chunk.records) for chunk in source.finish()) >= PIPE // 5
