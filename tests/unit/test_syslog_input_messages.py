"""Bytes of a syslog connection into messages: both framings, their limits, and RELP, without a socket."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.inputs.syslog import _relp
from shipper.inputs.syslog._messages import Stream
from shipper.inputs.syslog._relp import Relp
from tests.relp_receiver import framed

LONGEST = 1024
TEXT = st.binary(min_size=1, max_size=60).map(lambda data: b"<13>" + data.translate(None, b"\r\n\0") + b".")


def fed(session, data, cuts=()):
    """The records of a session that gets `data` in the pieces that end at `cuts`."""
    found, begin = [], 0
    for end in [*sorted(cuts), len(data)]:
        found += session.feed(data[begin:end])
        begin = end
    return found


def counted(message):
    return b"%d %b" % (len(message), message)


def relp(number, command, data=b""):
    return b"%d %b %d%b\n" % (number, command, len(data), b" " + data if data else b"")


OFFER = b"relp_version=0\nrelp_software=test,1\ncommands=syslog"


@given(st.lists(TEXT, max_size=8), st.data())
def test_counted_messages_are_the_same_however_the_bytes_arrive(messages, data):
    sent = b"".join(map(counted, messages))
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=10))
    session = Stream(LONGEST)
    records = fed(session, sent, cuts)
    assert [record.data for record in records] == messages
    assert not session.broken
    assert session.framing == ("octets" if messages else "auto")
    at = 0
    for record, message in zip(records, messages, strict=True):
        assert (record.offset, record.length) == (at, len(counted(message)))
        at += record.length


@given(st.lists(TEXT, min_size=1, max_size=8), st.data())
def test_lines_are_the_same_however_the_bytes_arrive(messages, data):
    sent = b"".join(message + b"\n" for message in messages)
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=10))
    session = Stream(LONGEST)
    records = fed(session, sent, cuts)
    assert [record.data for record in records] == messages
    assert session.framing == "lines"


@given(st.lists(st.one_of(TEXT, st.just(b"")), max_size=8), st.data())
def test_relp_gives_the_messages_and_answers_each_once_it_is_kept(messages, data):
    sent = relp(1, b"open", OFFER) + b"".join(
        relp(number, b"syslog", message) for number, message in enumerate(messages, 2)
    )
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=10))
    session = Relp(LONGEST)
    records = fed(session, sent, cuts)
    assert not session.broken
    assert [record.data for record in records] == [message for message in messages if message]
    opened = bytes(session.out)
    assert opened.startswith(b"1 rsp ")
    assert b"200 OK\nrelp_version=0\n" in opened
    for number, record in enumerate(records):
        before = bytes(session.out)
        session.kept(record.offset + record.length - 1)
        assert bytes(session.out) == before, "nothing is answered before all of it is kept"
        session.kept(record.offset + record.length)
        assert bytes(session.out) != before
        assert session.waiting <= len(messages) - number - 1
    assert session.waiting == 0
    assert bytes(session.out).endswith(b"".join(framed(len(messages) + 1, b"200 OK") for _ in messages[-1:]))


@given(st.binary(max_size=300), st.data())
def test_no_bytes_whatever_break_a_session(sent, data):
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=10))
    for session in (Stream(LONGEST), Stream(LONGEST, "octets"), Stream(LONGEST, "lines"), Relp(LONGEST)):
        begin = 0
        for end in [*sorted(cuts), len(sent)]:
            if not session.broken:
                session.feed(sent[begin:end])
            begin = end
        session.end()
        owed = len(session.out) + _relp._WAITING_BYTES * getattr(session, "waiting", 0)
        assert session.held - owed <= LONGEST + 64


def test_a_number_that_begins_a_line_is_no_length():
    session = Stream(LONGEST)
    assert [record.data for record in session.feed(b"2026-02-03T10:30:00Z web1 app: hello\n12 monkeys\n")] == [
        b"2026-02-03T10:30:00Z web1 app: hello",
        b"12 monkeys",
    ]
    assert session.framing == "lines"


def test_a_counted_message_may_hold_line_ends_and_one_behind_it_is_not_part_of_it():
    session = Stream(LONGEST)
    records = session.feed(b"13 <13>one\ntwo\n\n8 <13>last\n")
    assert [record.data for record in records] == [b"<13>one\ntwo", b"<13>last"]


def test_a_message_that_is_too_long_is_given_out_as_its_beginning_and_told():
    for sent, session in (
        (counted(b"<13>" + b"x" * 5000) + counted(b"<13>next"), Stream(LONGEST)),
        (b"<13>" + b"x" * 5000 + b"\n<13>next\n", Stream(LONGEST)),
    ):
        records = fed(session, sent, range(0, len(sent), 100))
        assert [len(record.data) for record in records] == [LONGEST, 8]
        assert records[1].offset == records[0].length
        assert session.cuts == [(0, session.cuts[0][1], "long")]
        assert session.cuts[0][1] >= 5004


@pytest.mark.parametrize("session", [Stream(LONGEST), Stream(LONGEST, "octets")])
def test_a_message_of_200_megabytes_takes_no_more_memory_than_a_short_one(session):
    sent = b"<13>" + b"x" * (64 * 1024)
    if session.framing == "octets":
        session.feed(b"120000000 <13>")
    for _ in range(1500 if session.framing == "octets" else 3000):
        assert list(session.feed(sent)) == []
        assert session.held <= LONGEST
    session = Stream(LONGEST)
    session.feed(b"200000000 <13>begin")
    assert "a message of 200000000 bytes" in session.broken


def test_nul_ends_a_line_as_a_newline_does():
    session = Stream(LONGEST)
    assert [record.data for record in session.feed(b"<13>one\0<13>two\0\n<13>three\n")] == [
        b"<13>one",
        b"<13>two",
        b"<13>three",
    ]
    counted_nul = Stream(LONGEST).feed(b"9 <13>a\0b\0\0")
    assert [record.data for record in counted_nul] == [b"<13>a\0b"], "within a counted message it is a byte"


def test_a_message_of_just_the_greatest_length_is_whole():
    session = Stream(LONGEST)
    message = b"<13>" + b"x" * (LONGEST - 4)
    assert [record.data for record in session.feed(counted(message))] == [message]
    assert session.cuts == []


def test_the_last_line_without_an_end_is_given_out_and_told():
    session = Stream(LONGEST)
    assert session.feed(b"<13>whole\n<13>half of")[0].data == b"<13>whole"
    assert [record.data for record in session.end()] == [b"<13>half of"]
    assert session.cuts == [(10, 11, "unterminated")]


def test_the_beginning_of_a_counted_message_is_given_out_when_the_rest_never_comes():
    session = Stream(LONGEST)
    session.feed(b"100 <13>half of")
    assert [(record.data, record.length) for record in session.end()] == [(b"<13>half of", 15)]
    assert session.cuts == [(0, 15, "unterminated")]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"\x16\x03\x01\x02\x00\x01", "use tls://"),
        (b"8 <13>good<13>no length", "neither a length nor a message"),
        (b"8 <13>good999999999 <", "a message of 999999999 bytes"),
    ],
)
def test_what_is_no_syslog_is_named(sent, said):
    session = Stream(LONGEST)
    session.feed(sent)
    assert said in session.broken


def test_what_came_before_garbage_is_not_lost():
    session = Stream(LONGEST)
    assert [record.data for record in session.feed(b"8 <13>goodGET / HTTP/1.1")] == [b"<13>good"]
    assert "GET / HTTP" in session.broken


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "not RELP"),
        (relp(1, b"syslog", b"<13>hello"), "RELP without open"),
        (b"1 open 5 hello!", "does not end where it says"),
        (relp(1, b"open", b"relp_version=9"), "a version of RELP"),
        (b"1 open 99999 x", "a RELP frame of 99999 bytes"),
        (b"1 open 0 \n", "not RELP"),
    ],
)
def test_what_is_no_relp_is_named(sent, said):
    session = Relp(LONGEST)
    assert list(session.feed(sent)) == []
    assert said in session.broken


def test_close_is_answered_after_the_messages_before_it():
    session = Relp(LONGEST)
    records = session.feed(relp(1, b"open", OFFER) + relp(2, b"syslog", b"<13>a") + relp(3, b"close"))
    assert b"3 rsp" not in session.out
    assert not session.over
    session.kept(records[-1].offset + records[-1].length)
    assert bytes(session.out).endswith(framed(2, b"200 OK") + framed(3, b"200 OK") + b"0 serverclose 0\n")
    assert session.over


def test_an_unknown_command_is_refused_and_the_session_goes_on():
    session = Relp(LONGEST)
    records = session.feed(relp(1, b"open", OFFER) + relp(2, b"starttls") + relp(3, b"syslog", b"<13>a"))
    assert [record.data for record in records] == [b"<13>a"]
    assert framed(2, b"500 no such command") in session.out


def test_each_message_is_answered_with_the_number_that_its_sender_gave_it():
    session = Relp(LONGEST)
    records = session.feed(
        relp(7, b"open", OFFER) + relp(999999999, b"syslog", b"<13>a") + relp(1, b"syslog", b"<13>b") * 2
    )
    session.kept(records[-1].offset + records[-1].length)
    assert bytes(session.out).endswith(framed(999999999, b"200 OK") + framed(1, b"200 OK") * 2)


def test_who_never_waits_for_answers_is_ended(monkeypatch):
    monkeypatch.setattr(_relp, "_MOST_WAITING", 100)
    for more in (relp(3, b"syslog", b"<13>b"), relp(3, b"starttls"), relp(3, b"syslog")):
        session = Relp(LONGEST)
        session.feed(relp(1, b"open", OFFER) + relp(2, b"syslog", b"<13>a"))
        session.feed(more * 99)
        assert not session.broken
        session.feed(more)
        assert "without waiting for answers" in session.broken


def test_answers_that_are_not_due_or_not_sent_count_as_held():
    session = Relp(LONGEST)
    session.feed(relp(1, b"open", OFFER))
    unsent = session.held
    assert unsent == len(session.out) > 0
    session.out.clear()
    assert session.held == 0
    (record,) = session.feed(relp(2, b"syslog", b"<13>a"))
    tracemalloc.start()
    try:
        session.feed(relp(3, b"x") * 5000)
        assert session.held >= tracemalloc.get_traced_memory()[0] > 0
    finally:
        tracemalloc.stop()
    session.kept(record.offset + record.length)
    assert session.held == len(session.out) > 5000


def test_a_session_owes_no_more_answers_than_a_megabyte_and_a_half_remembers():
    session = Relp(LONGEST)
    session.feed(relp(1, b"open", OFFER))
    session.out.clear()
    session.feed(relp(2, b"syslog", b"<13>a"))
    for _ in range(100):
        session.feed(relp(3, b"x") * 1000)
        if session.broken:
            break
    assert "without waiting for answers" in session.broken
    assert session.held < 1_500_000


def test_a_relp_message_that_did_not_come_whole_is_left_to_its_sender():
    session = Relp(LONGEST)
    session.feed(relp(1, b"open", OFFER) + b"2 syslog 100 <13>half")
    assert session.unfinished
    assert list(session.end()) == []


def test_a_relp_message_that_is_too_long_is_cut_and_answered():
    session = Relp(LONGEST)
    records = session.feed(relp(1, b"open", OFFER) + relp(2, b"syslog", b"<13>" + b"x" * 5000))
    assert len(records[0].data) == LONGEST
    assert session.cuts[0][2] == "long"
    session.kept(records[0].offset + records[0].length)
    assert bytes(session.out).endswith(framed(2, b"200 OK"))
