import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.outputs._relp_session import (
    LONGEST_ANSWER,
    Frame,
    Frames,
    ProtocolError,
    Session,
    SessionEndedError,
    shown,
)
from tests.relp_receiver import Clock, EndedError, Relp, Wire, framed


@pytest.fixture
def clock():
    return Clock()


def opened(clock, relp=None, *, window=128, timeout=10.0, piece=65536):
    relp = relp or Relp()
    wire = Wire(relp, clock, piece)
    return Session.open(wire, timeout, window, clock), wire, relp


# -- frames ------------------------------------------------------------------------------------------------------------


def test_frames_are_found_however_they_are_cut():
    stream = framed(7, b"200 OK") + b"0 serverclose 0\n" + framed(999_999_999, b"500 a\nb")
    wanted = [Frame(7, b"rsp", b"200 OK"), Frame(0, b"serverclose", b""), Frame(999_999_999, b"rsp", b"500 a\nb")]
    for size in range(1, len(stream) + 1):
        frames = Frames()
        assert [f for at in range(0, len(stream), size) for f in frames.feed(stream[at : at + size])] == wanted


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"<13>hello\n",
        b" 1 rsp 6 200 OK\n",
        b"1234567890 rsp 6 200 OK\n",
        b"-1 rsp 6 200 OK\n",
        b"1 r-p 6 200 OK\n",
        b"1 rsp x\n",
        b"1 rsp 6\n200 OK\n",
        b"1 rsp 6 200 OK1",
        b"1 " + b"a" * 33 + b" 0\n",
        b"1 rsp 0 \n",
        b"\x16\x03\x01\x02\x00",
        b"1 rsp 999999999 2",
        b"1 rsp %d 2" % (LONGEST_ANSWER + 1),
    ],
)
def test_what_is_no_frame_is_told_at_once(garbage):
    with pytest.raises(ProtocolError):
        Frames().feed(garbage)


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=30))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_little_is_kept(pieces):
    frames = Frames()
    for piece in pieces:
        try:
            frames.feed(piece)
        except ProtocolError:
            return
        assert len(frames._rest) <= LONGEST_ANSWER + 64


def test_an_endless_number_is_not_collected():
    frames = Frames()
    frames.feed(b"123456789")
    with pytest.raises(ProtocolError):
        frames.feed(b"1")


def test_what_a_receiver_says_is_shown_in_one_short_printable_line():
    assert shown(b"no\x1b[31m room\n" + b"x" * 1000) == "no?[31m room?" + "x" * 187


# -- opening and closing -----------------------------------------------------------------------------------------------


def test_a_session_begins_with_number_1_and_the_offers_of_librelp(clock):
    session, _, relp = opened(clock)
    ((number, command, offers),) = relp.commands
    assert (number, command) == (1, "open")
    assert offers.split(b"\n")[0] == b"relp_version=0" and offers.split(b"\n")[2] == b"commands=syslog"
    assert offers.split(b"\n")[1].startswith(b"relp_software=fieldtrail,")
    assert session.software == "a"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (b"500 no more sessions", "no more sessions"),
        (b"200 OK\ncommands=syslog", "no version"),
        (b"200 OK\nrelp_version=0\ncommands=eventlog", "does not take syslog"),
        (b"OK", "without a code"),
        (b"2000", "without a code"),
    ],
)
def test_a_receiver_that_does_not_agree_is_left(clock, told, why):
    wire = Wire(Relp(opened=told), clock)
    with pytest.raises(ProtocolError, match=why):
        Session.open(wire, 10.0, 128, clock)
    assert wire.closed


def test_a_receiver_that_names_no_commands_is_taken_at_its_version(clock):
    opened(clock, Relp(opened=b"200 OK relp_version=1"))


def test_a_receiver_that_closes_instead_of_agreeing_is_told_with_what_to_try(clock):
    wire = Wire(Relp(), clock)
    wire.send = lambda data: setattr(wire, "over", True)
    with pytest.raises(ConnectionResetError, match=r"before a session was open.*relps://"):
        Session.open(wire, 10.0, 128, clock)


def test_a_receiver_that_never_agrees_is_given_up_at_the_timeout(clock):
    wire = Wire(Relp(), clock)
    wire.send = lambda data: None
    with pytest.raises(TimeoutError):
        Session.open(wire, 10.0, 128, clock)
    assert clock.now == pytest.approx(1010.0) and wire.closed


def test_a_session_ends_with_close_and_its_answer(clock):
    session, wire, relp = opened(clock)
    session.close()
    assert relp.commands[-1][:2] == (2, "close") and wire.closed
    assert clock.now == 1000.0


def test_a_receiver_that_does_not_answer_the_close_is_not_waited_for_long(clock):
    session, wire, _ = opened(clock)
    wire.send = lambda data: None
    session.close()
    assert wire.closed and clock.now == pytest.approx(1002.0)


# -- messages ----------------------------------------------------------------------------------------------------------


def test_messages_arrive_in_order_byte_for_byte(clock):
    session, _, relp = opened(clock)
    texts = [b"one", b"two\nlines", b" ", "ü\0".encode(), b"3 syslog 1 x\n"] * 100
    answers = session.send(texts)
    assert relp.messages == texts
    assert all(answers.taken) and len(answers.taken) == 500
    assert not answers.refused and answers.error is None


@pytest.mark.parametrize("window", [1, 2, 3, 128, 1000])
@pytest.mark.parametrize("piece", [1, 7, 65536])
def test_no_more_than_the_window_is_ever_unanswered(clock, window, piece):
    open_now = [0]
    most = [0]
    relp = Relp()
    session, wire, _ = opened(clock, relp, window=window, piece=piece)
    feed, receive = relp.feed, wire.receive

    def sent(data):
        before = len(relp.commands)
        out = feed(data)
        open_now[0] += len(relp.commands) - before
        most[0] = max(most[0], open_now[0])
        return out

    def received(timeout):
        data = receive(timeout)
        open_now[0] -= data.count(b"\n")
        return data

    relp.feed, wire.receive = sent, received
    assert all(session.send([b"%d" % k for k in range(400)]).taken)
    assert most[0] == min(window, 400)


def test_large_messages_go_out_in_pieces(clock):
    session, wire, _ = opened(clock)
    assert all(session.send([b"x" * 60_000] * 300).taken)
    assert wire.largest < 400_000


def test_answers_may_come_in_any_order(clock):
    held = []

    class Reversing(Relp):
        def feed(self, data):
            out = super().feed(data)
            return out if len(self.commands) == 1 else b"".join(reversed(out.splitlines(keepends=True)))

    session, _, _ = opened(clock, Reversing(lambda text: held.append(text) or b"200 OK"))
    assert all(session.send([b"%d" % k for k in range(1000)]).taken)
    assert held == [b"%d" % k for k in range(1000)]


def test_numbers_go_back_to_1_after_the_last(clock):
    session, _, relp = opened(clock)
    session._txnr = relp.expected = 999_999_990
    relp.expected += 1
    assert all(session.send([b"%d" % k for k in range(300)]).taken)
    numbers = [number for number, command, _ in relp.commands if command == "syslog"]
    assert numbers[:12] == [*range(999_999_991, 1_000_000_000), 1, 2, 3]


def test_a_refused_message_does_not_count_as_taken_and_the_others_go_on(clock):
    session, _, _ = opened(clock, Relp(lambda text: b"500 no room" if text in (b"3", b"9") else b"200 OK"))
    answers = session.send([b"%d" % k for k in range(10)])
    assert answers.taken == [k not in (3, 9) for k in range(10)]
    assert answers.refused == {3: "500 no room", 9: "500 no room"}
    assert answers.alone() == {3}
    assert answers.error is None


@pytest.mark.parametrize("told", [b"", b"OK", b"200OK", b"2", b"ok 200"])
def test_an_answer_without_a_code_ends_the_session(clock, told):
    session, _, _ = opened(clock, Relp(lambda text: told))
    answers = session.send([b"a"])
    assert answers.taken == [False] and isinstance(answers.error, ProtocolError)


@pytest.mark.parametrize(
    "extra", [framed(4, b"200 OK"), framed(0, b"200 OK"), framed(2, b"200 OK") * 2, b"0 hint 0\n", b"2 syslog 1 x\n"]
)
def test_an_answer_to_what_does_not_wait_for_one_ends_the_session(clock, extra):
    session, wire, _ = opened(clock, Relp(lambda text: None))
    send = wire.send

    def and_extra(data):
        send(data)
        wire.answers += extra

    wire.send = and_extra
    answers = session.send([b"a", b"b"])
    assert isinstance(answers.error, ProtocolError) and "nothing waits" in str(answers.error)


def test_a_serverclose_after_some_answers_leaves_the_rest_open(clock):
    relp = Relp(lambda text: None)
    session, wire, _ = opened(clock, relp)
    send = wire.send

    def then_end(data):
        send(data)
        wire.answers += framed(2, b"200 OK") + framed(3, b"200 OK") + b"0 serverclose 0\n" + framed(4, b"200 OK")

    wire.send = then_end
    answers = session.send([b"a", b"b", b"c", b"d"])
    assert answers.taken == [True, True, False, False]
    assert isinstance(answers.error, SessionEndedError)


def test_a_connection_that_ends_leaves_the_rest_open(clock):
    def answer(text):
        if text == b"70":
            raise EndedError
        return b"200 OK"

    session, _, _ = opened(clock, Relp(answer), window=10)
    answers = session.send([b"%d" % k for k in range(200)])
    assert 60 <= sum(answers.taken) <= 70 and answers.taken == sorted(answers.taken, reverse=True)
    assert isinstance(answers.error, ConnectionResetError)


def test_answers_that_came_before_a_failed_send_count(clock):
    session, wire, relp = opened(clock)
    send = wire.send

    def then_break(data):
        if len(relp.messages) >= 128:
            raise BrokenPipeError(32, "Broken pipe")
        send(data)

    wire.send, wire.piece = then_break, 16 * 70  # the answers to half a window come in one piece, the rest later
    answers = session.send([b"%d" % k for k in range(400)])
    assert isinstance(answers.error, BrokenPipeError)
    assert sum(answers.taken) == len(relp.messages)


def test_no_progress_for_the_timeout_ends_the_session(clock):
    session, _, _ = opened(clock, Relp(lambda text: None if text == b"5" else b"200 OK"), timeout=7.0)
    answers = session.send([b"%d" % k for k in range(10)])
    assert isinstance(answers.error, TimeoutError)
    assert answers.taken == [k != 5 for k in range(10)]
    assert clock.now == pytest.approx(1007.0)


def test_a_drip_that_completes_nothing_ends_at_the_timeout_too(clock):
    session, wire, _ = opened(clock, Relp(lambda text: None), timeout=7.0)
    drip = iter(b"2 rsp 4000 200 " + b"x" * 10_000)

    def one_byte(timeout):
        clock.now += 0.5
        return bytes([next(drip)])

    wire.receive = one_byte
    assert isinstance(session.send([b"a"]).error, TimeoutError)
    assert clock.now <= 1007.5


def test_a_receiver_that_is_slow_but_answers_is_waited_for(clock):
    session, wire, _ = opened(clock, timeout=7.0, piece=11)
    receive = wire.receive

    def slow(timeout):
        clock.now += 3.0
        return receive(timeout)

    wire.receive = slow
    assert all(session.send([b"%d" % k for k in range(50)]).taken)
    assert clock.now > 1030


def test_an_idle_session_is_open_until_anything_is_said(clock):
    session, wire, _ = opened(clock)
    assert session.is_open()
    wire.answers = b"0 serverclose 0\n"
    assert not session.is_open()
    wire.over = True
    assert not session.is_open()


def test_nothing_of_an_answer_is_taken_for_more_than_a_line(clock):
    session, _, _ = opened(clock, Relp(lambda text: b"500 " + b"\n\x1b" * 500))
    assert len(session.send([b"a"]).refused[0]) <= 204
