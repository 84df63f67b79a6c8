"""The control socket serves on through what befalls it, and an agent that ends is told as one."""

import errno
import os
import socket
import threading

import pytest

from shipper import control
from shipper.control import ControlServer, ask, status_of
from shipper.errors import UnavailableError


@pytest.fixture
def server(tmp_path):
    made = ControlServer(tmp_path / "control.sock", lambda: {"ok": 1})
    yield made
    made.close()
    if made.ident is not None:
        made.join(10)
        assert not made.is_alive()


class Failing(socket.socket):
    """A socket whose first callers cannot be accepted."""

    left = 0

    def accept(self):
        if self.left:
            self.left -= 1
            code = (errno.EMFILE, errno.ECONNABORTED)[self.left % 2]
            raise OSError(code, os.strerror(code))
        return super().accept()


def test_callers_that_cannot_be_accepted_end_nothing(server, tmp_path, monkeypatch):
    class Twice(Failing):
        left = 2

    monkeypatch.setattr(control, "_PAUSE", 0.001)
    with monkeypatch.context() as patched:
        patched.setattr(control.socket, "socket", Twice)
        server.begin()
    assert status_of(tmp_path) == {"ok": 1}
    assert server._socket.left == 0 and server.is_alive()


def test_a_system_that_gives_no_thread_to_a_caller_ends_nothing(server, tmp_path, monkeypatch):
    real, refused = threading.Thread.start, []

    def start(thread):
        if thread.name == "control-caller" and not refused:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(control, "_PAUSE", 0.001)
    monkeypatch.setattr(threading.Thread, "start", start)
    server.begin()
    with pytest.raises(UnavailableError):
        status_of(tmp_path)
    assert status_of(tmp_path) == {"ok": 1}


def test_a_server_whose_callers_cannot_be_accepted_closes_at_once(server, monkeypatch):
    class Never(Failing):
        left = 10**9

    monkeypatch.setattr(control, "_PAUSE", 3600.0)
    with monkeypatch.context() as patched:
        patched.setattr(control.socket, "socket", Never)
        server.begin()
    server.close()
    server.join(10)
    assert not server.is_alive()


def answering(path, data):
    """An agent that gives these bytes to its one caller, and ends."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    listening.listen(1)

    def serve():
        with listening:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_an_agent_that_ends_in_the_middle_of_an_answer_is_told_so(tmp_path):
    thread = answering(tmp_path / "control.sock", b'{"a":1}\n{"b":')
    answers = ask(tmp_path, {"cmd": "tap"}, timeout=10)
    assert next(answers) == {"a": 1}
    with pytest.raises(UnavailableError, match="the agent ended") as caught:
        next(answers)
    thread.join()
    assert "hint: " in caught.value.render()


def test_an_agent_that_ends_between_two_answers_ends_them(tmp_path):
    thread = answering(tmp_path / "control.sock", b'{"a":1}\n')
    assert list(ask(tmp_path, {"cmd": "tap"}, timeout=10)) == [{"a": 1}]
    thread.join()
