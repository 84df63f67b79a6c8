"""A receiver, the same for all: `python receiver.py tcp|relp PORT FILE` writes each message as a line to FILE.

TCP: RFC 6587, octet counting or one message a line, by the first byte. RELP: syslog messages are answered after they
were written. What was written survives the death of this process; what its kernel had taken and it had not read does
not. Stands alone, so that it starts quickly.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import BinaryIO

ANSWER = b"%d rsp %d %b\n"
OFFERS = b"200 OK\nrelp_version=0\nrelp_software=bench\ncommands=syslog"


def _tcp(stream: BinaryIO, _: socket.socket, out: int) -> None:
    while first := stream.read(1):
        if not first.isdigit():
            os.write(out, first + stream.readline())
            continue
        length = first
        while (byte := stream.read(1)) not in {b" ", b""}:
            length += byte
        message = stream.read(int(length))
        if len(message) == int(length):  # the connection broke in the middle of it otherwise
            os.write(out, message.rstrip(b"\n") + b"\n")


def _relp(stream: BinaryIO, peer: socket.socket, out: int) -> None:
    while head := _words(stream):
        number, command, size = int(head[0]), head[1], int(head[2])
        data = stream.read(size)
        if len(data) < size:
            return
        stream.read(1)  # the line end after the data
        if command == b"syslog":
            os.write(out, data.rstrip(b"\n") + b"\n")
        said = OFFERS if command == b"open" else b"200 OK" if command == b"syslog" else b""
        peer.sendall(ANSWER % (number, len(said), said) if said else b"%d rsp 0\n" % number)
        if command == b"close":
            return


def _words(stream: BinaryIO) -> list[bytes]:
    """Number, command, length of the next frame; empty at the end. Takes the space after the length, if data follow."""
    words = [b""]
    while len(words) < 4:
        byte = stream.read(1)
        if not byte:
            return []
        if byte == b" ":
            words.append(b"")
        else:
            words[-1] += byte
        if len(words) == 3 and words[2] == b"0":
            return words
    return words[:3]


def main() -> None:
    """Serve until killed."""
    kind, port, path = sys.argv[1:]
    out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    serve = {"tcp": _tcp, "relp": _relp}[kind]

    def connection(peer: socket.socket) -> None:
        with peer, peer.makefile("rb") as stream:
            try:
                serve(stream, peer, out)
            except ConnectionError:
                return

    with socket.create_server(("127.0.0.1", int(port))) as server:
        while True:
            peer, _ = server.accept()
            threading.Thread(target=connection, args=[peer], daemon=True).start()


if __name__ == "__main__":
    main()
