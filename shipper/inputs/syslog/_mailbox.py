"""Between the thread that receives and the pipeline: messages by sender, in order, bounded in bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from shipper.framing import Block, size_of
from shipper.model import Record

MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of messages that wait. When there are more, nothing is received until half of them are gone."""
_OVERHEAD: Final = 128
"""Bytes counted for a message beside its own."""
_PART: Final = 64 * 1024


class Sender:
    """One stream: a connection, or who sends datagrams from one address."""

    __slots__ = ("end", "given", "gone", "id", "path", "peer", "size", "waiting")

    def __init__(self, id: str, path: str, peer: str) -> None:  # noqa: A002 - as Chunk.stream
        self.id, self.path, self.peer = id, path, peer
        self.waiting: deque[Sequence[Record]] = deque()
        self.size = 0
        """Bytes of the last of `waiting`."""
        self.end = 0
        """Bytes of messages that were taken out."""
        self.given = self.gone = False
        """Whether anything was taken out; whether nothing more comes."""


class Part(NamedTuple):
    """Messages of one sender that came one after the other."""

    sender: Sender
    records: Sequence[Record]


class Mailbox:
    """For two threads: one puts, one takes."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.bytes = 0
        self.received = 0
        """Bytes of all messages so far."""
        self._most = most
        self._lock = threading.Lock()
        self._turn: deque[Sender] = deque()
        """Senders of whom messages wait, or who are gone, in the order in which they take turns."""
        self._ended: list[str] = []
        self._full = False

    @property
    def full(self) -> bool:
        """Whether nothing more is to be received now."""
        if self.bytes >= self._most:
            self._full = True
        elif self.bytes <= self._most // 2:
            self._full = False
        return self._full

    def put(self, sender: Sender, records: Sequence[Record]) -> None:
        """Add messages of a sender."""
        size = size_of(records)
        with self._lock:
            if not sender.waiting:
                self._turn.append(sender)
            last = sender.waiting[-1] if sender.waiting else None
            if isinstance(last, list) and not isinstance(records, Block) and sender.size + size <= _PART:
                last += records
                sender.size += size
            else:
                sender.waiting.append(records if isinstance(records, Block) else list(records))
                sender.size = size
            # A block is cut by whoever wants its lines: it counts as if they were long.
            self.bytes += size + _OVERHEAD * (size // 256 + 1 if isinstance(records, Block) else len(records))
            self.received += size

    def leave(self, sender: Sender) -> None:
        """Nothing more comes of a sender."""
        with self._lock:
            sender.gone = True
            if not sender.waiting and sender.given:
                self._ended.append(sender.id)

    def take(self) -> Part | None:
        """The next messages, of another sender than before where several wait; None where there are none."""
        with self._lock:
            if not self._turn:
                return None
            sender = self._turn.popleft()
            records = sender.waiting.popleft()
            size = size_of(records)
            count = size // 256 + 1 if isinstance(records, Block) else len(records)
            self.bytes -= size + _OVERHEAD * count
            last = records.offset + size if isinstance(records, Block) else records[-1].offset + records[-1].length
            sender.end, sender.given = last, True
            if sender.waiting:
                self._turn.append(sender)
            elif sender.gone:
                self._ended.append(sender.id)
            return Part(sender, records)

    def ended(self) -> list[str]:
        """Streams since the last call of which everything was taken and no more comes."""
        with self._lock:
            taken, self._ended = self._ended, []
        return taken
