"""Dead letters: documents that a destination refused for good, kept until somebody replays or purges them.

`dlq/000000000001.ndjson` … are append-only segments; one line is one JSON object:

    id         `<output>/<_id>`: one letter per document and output; a later line of the same id replaces the earlier
    output, index, dataset, type, reason, field        as in `Refusal`; `reason` may quote values and stays local
    time       RFC 3339, when it was refused last     attempts   how often it was refused
    document   the shipped bytes as text (they are UTF-8), or `document_base64` where they are not

A letter is durable (synced) when `put` returns, and only then may an output's cursor pass the document. Two processes
may work on the folder at once (the agent and `fieldtrail dlq …`): every change is made under a lock on `dlq/lock`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import os
import re
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from shipper.clock import rfc3339
from shipper.errors import CorruptError, DiskError
from shipper.fs import Fs, RealFs, ensure_dir, replace_sync, write_all
from shipper.model import Document, Refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

SEGMENT_BYTES = 8 * 1024 * 1024
MAX_BYTES = 256 * 1024 * 1024
_SEGMENT = re.compile(r"\d{12}\.ndjson")


class DeadLetter(NamedTuple):
    """One letter. `time`: RFC 3339; `attempts`: how often the destination refused it."""

    id: str
    output: str
    document: Document
    type: str
    reason: str
    field: str | None
    time: str
    attempts: int


class _Place(NamedTuple):
    segment: str
    offset: int
    length: int


class DeadLetters:
    """The folder `dlq/`. Safe for several threads; `max_bytes` is where `full` begins."""

    def __init__(
        self, folder: Path, fs: Fs | None = None, *, max_bytes: int = MAX_BYTES, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.folder = folder
        self._fs = fs or RealFs()
        self._max_bytes, self._segment_bytes = max_bytes, segment_bytes
        self._mutex = threading.RLock()
        self._places: dict[str, _Place] = {}
        self._stale: dict[str, set[str]] = {}
        self._seen: dict[str, tuple[int, int]] = {}
        """Segment -> (inode, length read): what another process changed is read again."""

    # -- writing ------------------------------------------------------------------------------------------------------

    def put(self, output: str, refusals: Collection[Refusal], now: float, attempts: int = 1) -> None:
        """Keep refused documents, durably. `now`: seconds since the epoch. Raises `DiskError`; then none is kept.

        A document of which a letter exists already replaces it; `attempts` adds to those of the earlier letter.
        """
        if not refusals:
            return
        with self._changing():
            lines, ids = [], []
            for refusal in refusals:
                name = f"{output}/{refusal.document.id}"
                earlier = self._read(self._places[name]).attempts if name in self._places else 0
                ids.append(name)
                lines.append(_line(name, output, refusal, now, earlier + attempts))
            self._append(ids, lines)

    def _append(self, ids: Sequence[str], lines: Sequence[bytes]) -> None:
        segments = self._segments()
        last = segments[-1] if segments else ""
        # `_refresh` has read up to the last whole line: what a crash left after it is overwritten.
        end = self._seen[last][1] if last else 0
        try:
            new = not last or end >= self._segment_bytes
            if new:
                last, end = f"{int(last[:12] or 0) + 1 if last else 1:012d}.ndjson", 0
                handle = self._fs.open_new(self.folder / last)
            else:
                handle = self._fs.open_write(self.folder / last)
            try:
                self._fs.truncate(handle, end)
                try:
                    write_all(self._fs, handle, b"".join(lines), end)
                    self._fs.fdatasync(handle)
                except OSError:
                    with contextlib.suppress(OSError):
                        self._fs.truncate(handle, end)
                    raise
            finally:
                self._fs.close(handle)
            if new:
                self._fs.fsync_dir(self.folder)
        except OSError as error:
            self._seen.pop(last, None)
            raise self._disk_error("keep dead letter", self.folder / last, error) from None
        for name, line in zip(ids, lines, strict=True):
            self._note(name, _Place(last, end, len(line)))
            end += len(line)
        self._seen[last] = ((self.folder / last).stat().st_ino, end)

    def remove(self, ids: Iterable[str]) -> int:
        """Forget letters (after a replay that was accepted, or a purge); returns how many there were.

        A segment is replaced atomically, so after a crash a letter is there or not; a letter that is still there is
        replayed again, which destinations answer as a duplicate.
        """
        with self._changing():
            gone = {name for name in ids if name in self._places}
            places = {self._places[name].segment for name in gone}
            # Oldest first: after a crash in between the newest line of a letter still stands, never an older one alone.
            for segment in sorted(places.union(*(self._stale.get(name, ()) for name in gone))):
                path = self.folder / segment
                # In the order of their newest lines, which is the order that `list` gives.
                mine = sorted((place, name) for name, place in self._places.items() if place.segment == segment)
                kept = [(name, self._bytes(place)) for place, name in mine if name not in gone]
                self._seen.pop(segment, None)
                if kept:
                    replace_sync(path, b"".join(line for _, line in kept), self._fs)
                else:
                    try:
                        self._fs.unlink(path)
                        self._fs.fsync_dir(self.folder)
                    except FileNotFoundError:
                        pass  # an older line of this letter stood there; the segment went with its last other letter
                    except OSError as error:
                        raise self._disk_error("remove dead letters", path, error) from None
            for name in gone:
                del self._places[name]
                self._stale.pop(name, None)
            return len(gone)

    # -- reading ------------------------------------------------------------------------------------------------------

    def list(self, output: str | None = None) -> Iterator[DeadLetter]:
        """The letters, of one output or of all, oldest first."""
        with self._mutex:
            self._refresh()
            names = sorted(self._places, key=self._places.__getitem__)
        for name in names:
            if output is None or name.partition("/")[0] == output:
                letter = self._letter(name)
                if letter is not None:
                    yield letter

    def _letter(self, name: str) -> DeadLetter | None:
        """A letter by its full id; None if it is gone. Another process may rewrite the segment while it is read."""
        tries = 3
        with self._mutex:
            while True:
                tries -= 1
                self._refresh()
                place = self._places.get(name)
                if place is None:
                    return None
                try:
                    letter = self._read(place)
                    if letter.id == name or not tries:
                        return letter
                except (CorruptError, DiskError):
                    if not tries:
                        raise

    def get(self, id: str) -> DeadLetter | None:  # noqa: A002 - the letter's own word
        """One letter by its id `<output>/<_id>`, or by the `_id` alone where only one output refused it."""
        with self._mutex:
            self._refresh()
            if id not in self._places:
                found = [name for name in self._places if name.partition("/")[2] == id]
                id = found[0] if len(found) == 1 else ""  # noqa: A001 - as above
            return self._letter(id)

    def counts(self) -> dict[str, int]:
        """Letters per output."""
        out: dict[str, int] = {}
        with self._mutex:
            self._refresh()
            for name in self._places:
                output = name.partition("/")[0]
                out[output] = out.get(output, 0) + 1
        return out

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with self._mutex:
            self._refresh()
            return sum(length for _, length in self._seen.values())

    @property
    def full(self) -> bool:
        """True when outputs should wait instead of adding letters. `put` itself never refuses: it loses nothing."""
        return self.size >= self._max_bytes

    def close(self) -> None:
        """Forget what was read; nothing is held open between calls. May be called twice."""
        with self._mutex:
            self._places.clear()
            self._stale.clear()
            self._seen.clear()

    # -- inside -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._mutex:
            ensure_dir(self.folder, self._fs)
            lock = self.folder / "lock"
            try:
                handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise self._disk_error("lock dead letters", lock, error) from None
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._refresh()
                yield
            finally:
                os.close(handle)

    def _segments(self) -> Sequence[str]:
        try:
            return sorted(name for name in self._fs.listdir(self.folder) if _SEGMENT.fullmatch(name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._disk_error("read dead letters", self.folder, error) from None

    def _refresh(self) -> None:
        """Read what is new, and all of a segment that was rewritten."""
        segments = self._segments()
        for segment in [name for name in self._seen if name not in segments]:
            self._forget(segment)
        for segment in segments:
            path = self.folder / segment
            try:
                info = path.stat()
            except FileNotFoundError:
                self._forget(segment)
                continue
            inode, length = self._seen.get(segment, (0, 0))
            if inode == info.st_ino and info.st_size == length:
                continue
            if inode != info.st_ino or info.st_size < length:
                self._forget(segment)
                length = 0
            self._scan(path, info.st_ino, length)

    def _forget(self, segment: str) -> None:
        self._seen.pop(segment, None)
        self._places = {name: place for name, place in self._places.items() if place.segment != segment}

    def _scan(self, path: Path, inode: int, start: int) -> None:
        end = start
        try:
            with path.open("rb") as file:
                file.seek(start)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # torn by a crash while it was written: it was never acknowledged
                    self._note(_parsed(path, end, line)["id"], _Place(path.name, end, len(line)))
                    end += len(line)
        except OSError as error:
            raise self._disk_error("read dead letters", path, error) from None
        self._seen[path.name] = (inode, end)

    def _note(self, name: str, place: _Place) -> None:
        """The newest line of an id counts; in which segments older ones stand is kept, so that all can be removed."""
        known = self._places.get(name)
        if known is not None and known.segment != place.segment:
            self._stale.setdefault(name, set()).add(min(known, place).segment)
        if known is None or place > known:
            self._places[name] = place

    def _bytes(self, place: _Place) -> bytes:
        path = self.folder / place.segment
        try:
            handle = self._fs.open_read(path)
            try:
                return self._fs.pread(handle, place.length, place.offset)
            finally:
                self._fs.close(handle)
        except OSError as error:
            raise self._disk_error("read dead letter", path, error) from None

    def _read(self, place: _Place) -> DeadLetter:
        path = self.folder / place.segment
        told = _parsed(path, place.offset, self._bytes(place))
        try:
            data = (
                told["document"].encode()
                if "document" in told
                else base64.b64decode(told["document_base64"], validate=True)
            )
            document = Document(told["index"], told["dataset"], told["id"].partition("/")[2], data)
            return DeadLetter(
                told["id"],
                told["output"],
                document,
                told["type"],
                told["reason"],
                told["field"],
                told["time"],
                told["attempts"],
            )
        except (KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise _corrupt(path, place.offset, f"a letter without its parts: {error}") from None

    def _disk_error(self, op: str, path: Path, error: OSError) -> DiskError:
        return DiskError(op, str(path), error.strerror or str(error), f"df -h {self.folder}; ls -ld {self.folder}")


def _line(name: str, output: str, refusal: Refusal, now: float, attempts: int) -> bytes:
    document = refusal.document
    letter: dict[str, Any] = {
        "id": name,
        "output": output,
        "index": document.index,
        "dataset": document.dataset,
        "type": refusal.type,
        "reason": refusal.reason,
        "field": refusal.field,
        "time": rfc3339(now),
        "attempts": attempts,
    }
    try:
        letter["document"] = document.data.decode()
    except UnicodeDecodeError:
        letter["document_base64"] = base64.b64encode(document.data).decode()
    return orjson.dumps(letter, option=orjson.OPT_APPEND_NEWLINE)


def _parsed(path: Path, offset: int, line: bytes) -> dict[str, Any]:
    try:
        letter = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _corrupt(path, offset, str(error)) from None
    if not isinstance(letter, dict) or not isinstance(letter.get("id"), str):
        raise _corrupt(path, offset, "not a letter")
    return letter


def _corrupt(path: Path, offset: int, cause: str) -> CorruptError:
    return CorruptError("read dead letters", f"{path} at byte {offset}", cause, f"move {path} away and look into it")
