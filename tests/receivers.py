"""Small syslog receivers on the loopback interface, whose reading and closing a test controls."""

import contextlib
import socket
import struct
import threading

PATIENCE = 20.0


class TcpReceiver:
    """Takes octet-counted messages over TCP or TLS; `connections[k]` are the messages of the k-th connection."""

    def __init__(self, context=None, *, reading=True, port=0):
        self._context = context
        self._reading = reading
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self.connections = []
        self._open = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._threads = []
        self._thread.start()

    def _accept(self):
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            if self._context is not None:
                try:
                    connected.settimeout(PATIENCE)
                    connected = self._context.wrap_socket(connected, server_side=True)
                except OSError:
                    connected.close()
                    continue
            with self._changed:
                self.connections.append([])
                self._open.append(connected)
                number = len(self.connections) - 1
                self._changed.notify_all()
            if self._reading:
                thread = threading.Thread(target=self._read, args=(connected, number), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _read(self, connected, number):
        buffer = b""
        while True:
            try:
                data = connected.recv(65536)
            except OSError:
                data = b""
            if not data:
                break
            buffer += data
            while b" " in buffer[:10]:
                length, _, rest = buffer.partition(b" ")
                if len(rest) < int(length):
                    break
                with self._changed:
                    self.connections[number].append(rest[: int(length)])
                    self._changed.notify_all()
                buffer = rest[int(length) :]
        connected.close()

    def wait(self, condition):
        """Until `condition(self)` holds."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), PATIENCE), self.connections

    def messages(self, count):
        """The first messages of all connections, as soon as there are `count`."""
        self.wait(lambda receiver: sum(map(len, receiver.connections)) >= count)
        return [text for connection in self.connections for text in connection]

    def drop(self):
        """Reset every connection: what was not read is lost."""
        with self._changed:
            for connected in self._open:
                with contextlib.suppress(OSError):
                    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    if not self._reading:
                        connected.close()
                    else:
                        connected.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def close(self):
        """Stop listening and close everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)
        with self._changed:
            for connected in self._open:
                with contextlib.suppress(OSError):
                    connected.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        for connected in self._open:
            connected.close()


def msg(text):
    """The MSG part of an RFC 5424 message of ours."""
    return text[text.index(b"] {") + 2 :]
