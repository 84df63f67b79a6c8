"""A RELP receiver that can prove what it acknowledged: a message is in the file and synced before its answer leaves.

    python receiver.py PORT FILE

Real receivers acknowledge what they have accepted and write it a moment later, so that a kill may cost them what they
had said they have; with them an exact count is impossible (tests/integration holds the output against rsyslog). Killed
at any moment and started again it goes on where its file ends. Messages are written one a line, as they came.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

LARGEST = 10_000_000


def frames(data):
    """The complete RELP frames at the beginning of `data` as (txnr, command, content), and how many bytes they are."""
    found, at = [], 0
    while True:
        head, rest = data.find(b" ", at), None
        command = data.find(b" ", head + 1) if head > 0 else -1
        if command < 0:
            return found, at
        end = next((place for place in range(command + 1, min(len(data), command + 11)) if data[place] in b" \n"), None)
        if end is None:
            return found, at
        length = int(data[command + 1 : end])
        if length > LARGEST:
            raise ValueError(f"a frame of {length} bytes")
        begin = end + 1 if data[end : end + 1] == b" " else end
        rest = begin + length
        if len(data) <= rest:
            return found, at
        if data[rest : rest + 1] != b"\n":
            raise ValueError("a frame that does not end where it says")
        found.append((bytes(data[at:head]), bytes(data[head + 1 : command]), bytes(data[begin:rest])))
        at = rest + 1


class _Server:
    def __init__(self, port, path):
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._cut()
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", port))

    def _cut(self):
        """Remove the half line that a kill left: it was never acknowledged."""
        size = os.fstat(self._file).st_size
        at = size
        while at:
            start = max(0, at - 65536)
            found = os.pread(self._file, at - start, start).rfind(b"\n")
            if found >= 0:
                at = start + found + 1
                break
            at = start
        os.ftruncate(self._file, at)

    def serve(self):
        while True:
            connection, _ = self._listening.accept()
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        data = bytearray()
        with connection, suppress(OSError, ValueError):
            while piece := connection.recv(262_144):
                data += piece
                found, used = frames(data)
                del data[:used]
                if not found:
                    continue
                messages = [content for _, command, content in found if command == b"syslog"]
                if messages:
                    self._keep(messages)
                connection.sendall(b"".join(self._answer(txnr, command) for txnr, command, _ in found))
                if any(command == b"close" for _, command, _ in found):
                    return

    def _keep(self, messages):
        data = b"".join(message + b"\n" for message in messages)
        with self._lock:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file)

    @staticmethod
    def _answer(txnr, command):
        said = {
            b"open": b"200 OK\nrelp_version=0\nrelp_software=soak\ncommands=syslog",
            b"syslog": b"200 OK",
            b"close": b"",
        }.get(command, b"500 unknown command")
        return b"%b rsp %d%b\n" % (txnr, len(said), b" " + said if said else b"")


class Receiver:
    """The receiver as a process. Killed and started again: same port, same file."""

    def __init__(self, port, path):
        self.port, self.path = port, path
        self._process = None

    @property
    def pid(self):
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self):
        if self.pid is not None:
            return
        command = [sys.executable, __file__, str(self.port), str(self.path)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._listens():
            assert self._process.poll() is None, "the receiver ended"
            assert time.monotonic() < deadline, "the receiver does not listen"
            time.sleep(0.05)

    def _listens(self):
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()


if __name__ == "__main__":
    _Server(int(sys.argv[1]), Path(sys.argv[2])).serve()
