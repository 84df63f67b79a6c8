"""A file input with a clock that stands still and a journal that keeps what it is told to: for the tests of tailing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from shipper.inputs.file import FileInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shipper.model import Chunk


class StandingClock:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.wall = 1_770_000_000.0
        self.mono = 100.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.mono


class Tailing:
    """Drives a `FileInput` over `root`.

    `lines` is every line that was kept, in order; `positions` what the journal holds. `crash` forgets the input as a
    kill would; the next `read` starts another one from `positions`.
    """

    def __init__(self, root: Path, *patterns: str, **options: Any) -> None:
        self.root = root
        self.patterns = [str(root / pattern) for pattern in patterns]
        self.options: dict[str, Any] = {"format": "plain", "use_watchdog": False, **options}
        self.clock = StandingClock()
        self.positions: dict[str, Mapping[str, Any]] = {}
        self.chunks: list[Chunk] = []
        self.losses: list[Any] = []
        self.cuts: list[Any] = []
        self.ended: list[str] = []
        self.input: FileInput | None = None

    def start(self) -> FileInput:
        if self.input is None:
            self.input = FileInput("crm", self.patterns, clock=self.clock, **self.options)
            self.input.restore(dict(self.positions))
        return self.input

    def read(self, *, wait: float = 1.0, budget: int = 1 << 20, keep: bool = True) -> list[str]:
        """Let `wait` seconds go by, read all there is; the lines of it."""
        self.clock.mono += wait
        source = self.start()
        new: list[Chunk] = []
        for _ in range(10_000):
            chunks = list(source.read(budget))
            if not chunks:
                break
            new += chunks
        else:
            raise AssertionError("the input never comes to rest")
        if keep:
            self.chunks += new
            for chunk in new:
                self.positions[chunk.stream] = chunk.position
            self.losses += source.losses()
            self.cuts += source.cuts()
            for stream in source.ended():
                self.ended.append(stream)
                self.positions.pop(stream, None)
        return lines(new)

    def crash(self) -> None:
        if self.input is not None:
            self.input.close()
            self.input = None

    @property
    def lines(self) -> list[str]:
        return lines(self.chunks)

    def write(self, name: str, text: str | bytes) -> None:
        """Append to a file."""
        raw = text.encode() if isinstance(text, str) else text
        with (self.root / name).open("ab") as file:
            file.write(raw)

    def rename(self, old: str, new: str) -> None:
        os.rename(self.root / old, self.root / new)

    def copy_truncate(self, old: str, new: str) -> None:
        (self.root / new).write_bytes((self.root / old).read_bytes())
        os.truncate(self.root / old, 0)

    def describe(self) -> list[dict[str, Any]]:
        return self.start().statistics()


def lines(chunks: list[Chunk]) -> list[str]:
    return [record.data.decode() for chunk in chunks for record in chunk.records]


def numbered(first: int, last: int) -> str:
    """Lines `first` to `last` - 1, each different, as long as log lines are (more than 64 bytes)."""
    return "".join(
        f"{number:06d} user u{number % 7} changed the state of the offer {number * 31:05d} from draft to sent\n"
        for number in range(first, last)
    )


def named(first: int, last: int) -> list[str]:
    return numbered(first, last).splitlines()
