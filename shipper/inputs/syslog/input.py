"""The input of type `syslog`: a thread receives, the pipeline reads, RELP is answered once a frame is durable.

Each connection, and each sender of datagrams, is a stream of its own, so that order is kept. A stream ends with its
connection; nothing of it comes back after a restart.

Format `auto` is decided for each program of each sender on its first messages: one host's sshd, cron and application
come over one connection.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from shipper.clock import Clock
from shipper.framing import Block, size_of
from shipper.inputs.syslog._mailbox import Mailbox, Part
from shipper.inputs.syslog._reports import Reports
from shipper.inputs.syslog._server import Cut, Server
from shipper.inputs.syslog.settings import Address, Settings
from shipper.model import Chunk, Health, Record

MOST_PROGRAMS: Final = 4096
"""Programs of senders whose formats are remembered."""
ENOUGH: Final = 64
"""Messages of a program after which a format that is of no particular one is settled too."""
_PROGRAM: Final = re.compile(
    rb"(?:<[0-9]{1,3}>)?(?:1 \S{1,64} \S{1,255} (\S{1,64}) |"
    rb"(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}|[0-9]{4}-\S{1,40}) (?:[^\s\[]{1,255} )?([^\s\[:]{1,64})(?:\[|:))"
).match

Judge = Callable[[bytes], tuple[str, bool]]
"""Messages, one a line -> (format, whether it is a particular one)."""


class SyslogInput:
    """Implements `shipper.model.Input`. `judge`: for format `auto`, None where a format is named.

    The addresses are bound when it is made; it receives once `restore` was called. Raises `ConfigError`. `once`:
    nothing is awaited.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 (the protocol's name)
        settings: Settings,
        *,
        clock: Clock,
        format: str,  # noqa: A002 - as the other inputs call it
        wake: threading.Event,
        judge: Judge | None = None,
        once: bool = False,
    ) -> None:
        self.id = id
        self._clock, self._format, self._wake, self._judge = clock, format, wake, judge
        self._mailbox, self._reports = Mailbox(), Reports()
        self._programs: OrderedDict[tuple[str, bytes], tuple[str, int, bool]] = OrderedDict()
        self._gone: list[str] = []
        self._given = 0
        self._server: Server | None = None
        if not once:
            name = f"{id} {clock.now()!r}"
            self._server = Server(
                settings, self._mailbox, self._reports, name=name, wake=self._rouse, monotonic=clock.monotonic
            )
        self._once, self._ending = once, False

    @property
    def addresses(self) -> Sequence[Address]:
        """Where it listens, with the ports that it got."""
        return () if self._server is None else self._server.addresses

    # -- the input ----------------------------------------------------------------------------------------------------

    def rewire(self, wake: threading.Event) -> None:
        """Another agent takes this input over as it runs."""
        self._wake = wake
        wake.set()

    def restore(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """Receive from now on. The streams of an earlier run have ended."""
        if self._server is None or self._server.running:
            return
        self._gone += positions
        self._server.start()

    def read(self, budget: int) -> Iterator[Chunk]:
        """What has come, about `budget` bytes at the most; never blocks."""
        if self._server is not None:
            self._server.look()
        used = 0
        while used < budget and (part := self._mailbox.take()) is not None:
            before = self._given
            yield from self._chunks(part)
            used += self._given - before
        if self._server is not None and self._server.paused and not self._mailbox.full:
            self._server.ring()

    def kept(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """The frame with these positions is durable: RELP gets its answers."""
        if self._server is not None:
            self._server.kept({stream: int(position["offset"]) for stream, position in positions.items()})

    def finish(self) -> Iterator[Chunk]:
        """Receive no more, and give out what was received. May be called twice."""
        self._ending = True
        if self._server is not None:
            self._server.finish()
        yield from self.read(2**62)

    def done(self) -> bool:
        """True where nothing is awaited."""
        return self._once

    def close(self) -> None:
        """End all connections; may be called twice."""
        if self._server is not None:
            self._server.close()

    # -- what the agent asks ------------------------------------------------------------------------------------------

    def ended(self) -> list[str]:
        """Streams of which everything was given out and no more comes."""
        gone, self._gone = self._gone, []
        return gone + self._mailbox.ended()

    def cuts(self) -> list[Cut]:
        """Messages given out since the last call that are not whole."""
        if self._server is None:
            return []
        taken = []
        while self._server.cuts:
            taken.append(self._server.cuts.popleft())
        return taken

    def reports(self) -> list[Health]:
        """What was refused and dropped."""
        return self._reports.take(self._clock.monotonic(), ending=self._ending)

    def problems(self) -> list[tuple[str, str]]:
        """What does not work as it should, as (place, cause)."""
        return [] if self._server is None else self._server.problems()

    def statistics(self) -> list[dict[str, Any]]:
        """One entry for all: `stream`, `path`, `offset`, `size`, `lag` in bytes, `format`, `state`, and figures."""
        urls = " ".join(address.url for address in self.addresses)
        return [
            {
                "stream": f"syslog/{self.id}",
                "path": urls,
                "offset": self._given,
                "size": self._mailbox.received,
                "lag": max(0, self._mailbox.received - self._given),
                "format": self._format,
                "state": "listening" if self._server is not None and self._server.listening else "closed",
                "connections": 0 if self._server is None else self._server.connections,
                "refused": self._reports.refused,
                "dropped": self._reports.dropped,
            }
        ]

    # -- formats ------------------------------------------------------------------------------------------------------

    def _chunks(self, part: Part) -> Iterator[Chunk]:
        sender, records = part
        now = self._clock.now()
        if self._judge is None:
            self._given += size_of(records)
            yield Chunk(self.id, sender.id, sender.path, self._format, records, position_after(records), now)
            return
        formats = self._decided(sender.peer, records)
        begin = 0
        for at in range(1, len(records) + 1):
            if at == len(records) or formats[at] != formats[begin]:
                run = records[begin:at]
                self._given += size_of(run)
                yield Chunk(self.id, sender.id, sender.path, formats[begin], run, position_after(run), now)
                begin = at

    def _decided(self, peer: str, records: Sequence[Record]) -> list[str]:
        """The format of each record."""
        names = [program(record.data) for record in records]
        found: dict[bytes, str] = {}
        for name in dict.fromkeys(names):
            known = self._programs.get((peer, name))
            if known is not None:
                self._programs.move_to_end((peer, name))
                if known[2]:
                    found[name] = known[0]
                    continue
            sample = [record.data for record, one in zip(records, names, strict=True) if one == name][:ENOUGH]
            assert self._judge is not None
            form, particular = self._judge(b"\n".join(sample) + b"\n")
            seen = len(sample) + (known[1] if known is not None else 0)
            if len(self._programs) >= MOST_PROGRAMS and known is None:
                self._programs.popitem(last=False)
            self._programs[peer, name] = (form, seen, particular or seen >= ENOUGH)
            found[name] = form
        return [found[name] for name in names]

    def _rouse(self) -> None:
        self._wake.set()


def program(message: bytes) -> bytes:
    """The name of the program that a message's header gives, b"" where it gives none."""
    found = _PROGRAM(message)
    return b"" if found is None else found[1] or found[2] or b""


def position_after(records: Sequence[Record]) -> dict[str, Any]:
    """The position after these records."""
    if isinstance(records, Block):
        return {"v": 1, "offset": records.offset + len(records.data)}
    return {"v": 1, "offset": records[-1].offset + records[-1].length}
