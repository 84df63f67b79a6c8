"""Any sequence of writes, rotations, looks, kills and restarts ships each line exactly once, in order per stream."""

from __future__ import annotations

import gzip
import sys
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tailing import Tailing, named, numbered

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 12)),
        st.tuples(st.just("half"), st.integers(1, 30)),
        st.just(("rename", 0)),
        st.just(("copy", 0)),
        st.tuples(st.just("compress"), st.sampled_from([1, 2, 11, 12])),
        st.tuples(st.just("half packed"), st.integers(1, 90)),
        st.just(("unlink packed", 0)),
        st.tuples(st.just("read"), st.sampled_from([100, 1000, 1 << 20])),
        st.just(("lost read", 0)),
        st.just(("kill", 0)),
        st.just(("wait", 0)),
        st.just(("quiet", 0)),
    ),
    max_size=25,
)


class Log:
    """A program that writes numbered lines, and what rotates its log."""

    def __init__(self, tailing: Tailing) -> None:
        self.tailing = tailing
        self.next = 0
        self.rest = ""
        self.rotated = 0
        self.packing: tuple[str, str, bytes] | None = None

    def write(self, count: int) -> None:
        text = self.rest + numbered(self.next, self.next + count)
        if self.rest:
            text = self.rest + numbered(self.next, self.next + count - 1)
            self.next -= 1
        self.next += count
        self.rest = ""
        self.tailing.write("app.log", text)

    def half(self, count: int) -> None:
        if not self.rest:
            line = numbered(self.next, self.next + 1)
            self.next += 1
            self.tailing.write("app.log", line[:count])
            self.rest = line[count:]

    def rotate(self, *, copy: bool) -> None:
        self.packed()
        if self.rest:
            self.write(1)
        root = self.tailing.root
        if not (root / "app.log").exists():
            return
        for number in range(self.rotated, 0, -1):
            name = self.name_of(number)
            self.tailing.rename(name, name.replace(f".{number}", f".{number + 1}"))
        self.rotated += 1
        if copy:
            self.tailing.copy_truncate("app.log", "app.log.1")
        else:
            self.tailing.rename("app.log", "app.log.1")
            self.tailing.write("app.log", b"")

    def name_of(self, number: int) -> str:
        names = [f"app.log.{number}{suffix}" for suffix in ("", ".gz", ".zst")]
        return next(name for name in names if (self.tailing.root / name).exists())

    def compress(self, kind: int) -> None:
        """As logrotate: the file rotated last (`delaycompress`: the one before it), at once."""
        self.half_packed(kind, 100)
        self.packed()

    def half_packed(self, kind: int, percent: int) -> None:
        """As a compressor that was not done when somebody looked: what it has written, and the original."""
        self.packed()
        number = kind % 10
        if self.rotated < number or not (self.tailing.root / (name := f"app.log.{number}")).exists():
            return
        raw = (self.tailing.root / name).read_bytes()
        suffix, data = (".gz", gzip.compress(raw)) if kind < 10 else (".zst", zstd.compress(raw))
        self.packing = name, suffix, data
        self.tailing.write(name + suffix, data[: len(data) * percent // 100])

    def packed(self) -> None:
        """The compressor ends: the rest, then the original goes."""
        if self.packing is not None:
            (name, suffix, data), self.packing = self.packing, None
            path = self.tailing.root / (name + suffix)
            self.tailing.write(name + suffix, data[path.stat().st_size :])
            (self.tailing.root / name).unlink()


@settings(max_examples=120, deadline=None)
@given(steps=STEPS)
def test_any_history_ships_each_line_once(steps):
    with tempfile.TemporaryDirectory() as root:
        tailing = Tailing(Path(root), "app.log*", grace=30.0)
        log = Log(tailing)
        try:
            for step, number in steps:
                if step == "write":
                    log.write(number)
                elif step == "half":
                    log.half(number)
                elif step in {"rename", "copy"}:
                    log.rotate(copy=step == "copy")
                elif step == "compress":
                    log.compress(number)
                elif step == "half packed":
                    log.half_packed(1 + number % 2 * 10, number)
                elif step == "unlink packed":
                    log.packed()
                elif step == "read":
                    tailing.read(wait=0.0, budget=number)
                elif step == "lost read":
                    tailing.read(wait=0.0, keep=False)
                    tailing.crash()
                elif step == "kill":
                    tailing.crash()
                elif step == "wait":
                    tailing.read(wait=1.0)
                else:
                    tailing.read(wait=40.0)
            log.packed()
            if log.rest:
                log.write(1)
            tailing.read()
            tailing.read(wait=40.0)
            tailing.read()
            assert sorted(tailing.lines) == named(0, log.next)
            assert tailing.losses == []
            by_stream: dict[str, list[bytes]] = {}
            for chunk in tailing.chunks:
                by_stream.setdefault(chunk.stream, []).extend(record.data for record in chunk.records)
            assert all(lines == sorted(lines) for lines in by_stream.values())
        finally:
            tailing.crash()
