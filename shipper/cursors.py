"""Where an output stands in the journal, on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from shipper.errors import DiskError
from shipper.fs import RealFs, replace_sync


class Cursor:
    """`cursors/<output>`: the next frame to deliver and the output's own state, replaced atomically."""

    def __init__(self, folder: Path, output: str) -> None:
        self.path = folder / output

    def load(self) -> tuple[int, dict[str, Any]] | None:
        """(seq, state), or None where there is none. A torn or foreign file counts as none: frames are sent again."""
        try:
            value = orjson.loads(self.path.read_bytes())
            return int(value["seq"]), dict(value["state"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return 0, {}
        except OSError as error:
            raise DiskError(
                "read the cursor", str(self.path), error.strerror or str(error), f"ls -l {self.path}"
            ) from None

    @staticmethod
    def behind(own: int, kept: tuple[int, dict[str, Any]] | None, first_seq: int) -> tuple[int, dict[str, Any]]:
        """Where a destination with an account of its own goes on, which is sure to know what it has: (seq, state).

        The file (`kept`) does not pass what is still to be told of a document; the destination's account (`own`) does.
        What the journal has given back (below `first_seq`) is not asked for again.
        """
        return (own, {}) if kept is None else (max(min(own, kept[0]), min(own, first_seq)), kept[1])

    def save(self, seq: int, state: Mapping[str, Any]) -> None:
        """Replace the file; raises `DiskError`."""
        replace_sync(self.path, orjson.dumps({"v": 1, "seq": seq, "state": dict(state)}), RealFs())
