"""The receiver's side of RELP, written apart from the code under test: without a socket, and on the loopback interface.

`Relp` takes the client's bytes and gives the answers; `Wire` is a stream to it whose time is the test's own;
`RelpReceiver` serves it over TCP.
"""

import contextlib
import errno
import re
import socket
import threading

OPEN = b"200 OK\nrelp_version=0\nrelp_software=a receiver,1.0\ncommands=syslog"
PATIENCE = 20.0


class EndedError(Exception):
    """The receiver closes the connection."""


class Relp:
    """One session. `answer(text)` gives the data of the answer to a message, or None for no answer, or raises EndedError."""

    def __init__(self, answer=lambda text: b"200 OK", opened=OPEN):
        self.answer, self.opened = answer, opened
        self.messages = []
        self.commands = []
        self.waiting = b""
        self.expected = 1

    def feed(self, data):
        """The bytes to answer with."""
        self.waiting += data
        out = b""
        while (head := re.match(rb"(\d+) ([a-z]+) (\d+)([ \n])", self.waiting)) is not None:
            length = int(head[3])
            end = head.end() + length
            if length and len(self.waiting) <= end:
                break
            number, command = int(head[1]), head[2].decode()
            assert number == self.expected, f"number {number} instead of {self.expected}"
            self.expected = number + 1 if number < 999_999_999 else 1
            text = self.waiting[head.end() : end] if length else b""
            assert not length or self.waiting[end : end + 1] == b"\n"
            self.waiting = self.waiting[end + 1 if length else head.end() :]
            self.commands.append((number, command, text))
            out += self.does(number, command, text)
        return out

    def does(self, number, command, text):
        if command == "open":
            return framed(number, self.opened)
        if command == "close":
            return framed(number, b"200 OK") + b"0 serverclose 0\n"
        assert command == "syslog"
        told = self.answer(text)
        if told is None or told.startswith(b"200"):
            self.messages.append(text)
        return b"" if told is None else framed(number, told)


def framed(number, data):
    """A `rsp` frame."""
    return b"%d rsp %d %b\n" % (number, len(data), data)


class Clock:
    """Seconds that pass only when a test lets them."""

    now = 1000.0

    def __call__(self):
        return self.now


class Wire:
    """What a session takes for its stream; `relp` is the other end. Waiting in vain costs time on the test's clock."""

    def __init__(self, relp, clock, piece=65536):
        self.relp, self.clock, self.piece = relp, clock, piece
        self.answers = b""
        self.over = False
        self.closed = False
        self.largest = 0

    def send(self, data):
        if self.over:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        self.largest = max(self.largest, len(data))
        try:
            self.answers += self.relp.feed(data)
        except EndedError:
            self.over = True

    def receive(self, timeout):
        data, self.answers = self.answers[: self.piece], self.answers[self.piece :]
        if not data:
            if self.over:
                raise ConnectionResetError(errno.ECONNRESET, "the receiver closed the connection")
            self.clock.now += timeout
        return data

    def version(self):
        return None

    def abort(self):
        self.closed = True

    def close(self):
        self.closed = True


class RelpReceiver:
    """Serves sessions over TCP, one thread for each."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self.sessions = []
        self._open = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self.sessions.append(Relp())
                self._open.append(connected)
                self._threads.append(
                    threading.Thread(target=self._serve, args=(connected, self.sessions[-1]), daemon=True)
                )
                self._threads[-1].start()

    def _serve(self, connected, relp):
        with contextlib.suppress(OSError):
            while data := connected.recv(65536):
                with self._changed:
                    answers = relp.feed(data)
                    self._changed.notify_all()
                connected.sendall(answers)
        connected.close()

    def messages(self, count):
        """The messages of all sessions, as soon as there are `count`."""

        def all_of_them():
            return [text for relp in self.sessions for text in relp.messages]

        with self._changed:
            assert self._changed.wait_for(lambda: len(all_of_them()) >= count, PATIENCE), len(all_of_them())
            return all_of_them()

    def close(self):
        """Stop listening and end every session."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            for connected in self._open:
                with contextlib.suppress(OSError):
                    connected.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
