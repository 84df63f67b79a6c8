"""The output of type `stdout`: shipped documents on standard output, one a line, for the next program in a pipe.

At least once: a pipe acknowledges nothing, so after a restart the frames since the last saved cursor come again, byte
for byte the same. A line that was cut short by an error is completed before anything else is written, so that a reader
never sees half a document glued to the next one.
"""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING, Any

from shipper.errors import DiskError
from shipper.model import Batch, Receipt, payloads

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNSYNCABLE = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS, errno.EPIPE})


class StdoutOutput:
    """Lines to the descriptor `fd`. `timeout`: seconds to wait for a reader that does not read."""

    def __init__(self, id: str, fd: int = 1, timeout: float = 10.0) -> None:  # noqa: A002 - the protocol's name
        self.id = id
        self._fd = fd
        self._timeout = timeout
        self._torn: tuple[bytes, bytes] | None = None
        """A line that was cut short, and what of it is still missing."""

    def open(self, stored: Mapping[str, Any]) -> None:
        """Nothing to prepare."""
        del stored

    def highest(self, log: str) -> int | None:
        """None: a pipe cannot be asked."""
        del log
        return None

    def deliver(self, batch: Batch) -> Receipt:
        """Write the batch; documents whose line was not written whole are sent again."""
        lines = [b"%b\n" % data for data in payloads(batch.documents)]
        parts = list(lines)
        if self._torn is not None:
            line, rest = self._torn
            if lines and lines[0] == line:
                parts[0] = rest
            else:
                parts.insert(0, rest)
        data = memoryview(b"".join(parts))
        done = 0
        try:
            while done < len(data):
                if not select.select([], [self._fd], [], self._timeout)[1]:
                    raise TimeoutError(errno.ETIMEDOUT, f"nobody has read for {self._timeout:g} s")
                # No more than a pipe is sure to take at once, so that a slow reader cannot hold us past the timeout.
                done += os.write(self._fd, data[done : done + select.PIPE_BUF])
        except BrokenPipeError:
            self._torn = None  # nobody is left to read the rest of a line
            return Receipt(0, retry=batch.documents, error="standard output: the reader is gone (broken pipe)")
        except OSError as error:
            whole = self._cut_short(lines, parts, done)
            text = f"standard output: {error.strerror or error}"
            return Receipt(whole, retry=batch.documents[whole:], error=text)
        self._torn = None
        return Receipt(len(lines))

    def _cut_short(self, lines: list[bytes], parts: list[bytes], done: int) -> int:
        """Remember the line that `done` bytes of `parts` end in; returns how many of `lines` are out whole."""
        extra = len(parts) - len(lines)
        for number, part in enumerate(parts):
            if done < len(part):
                if number < extra and self._torn is not None:
                    self._torn = (self._torn[0], part[done:])
                    return 0
                line = lines[number - extra]
                begun = done or len(part) < len(line)
                self._torn = (line, part[done:]) if begun else None
                return number - extra
            done -= len(part)
        return len(lines)

    def flush(self) -> Mapping[str, Any]:
        """Sync where standard output is a file; a pipe or terminal has nothing to sync."""
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            if error.errno not in _UNSYNCABLE:
                text = error.strerror or str(error)
                raise DiskError("sync", "standard output", text, "df -h, for the file it is redirected to") from None
        return {}

    def cursor(self) -> int | None:
        """None: the cursor file holds it."""
        return None

    def close(self) -> None:
        """Nothing to release: the descriptor belongs to the process."""
