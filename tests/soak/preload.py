"""The agent's clock and disk in the soak's hand, by a small library that is preloaded into the agent's process.

No clock of the machine is changed: the library adds an offset to what the agent reads as wall-clock time.
"""

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("preload.c")
MISSING = "cc is not installed: apt-get install gcc libc6-dev"
_OFFSET, _SYNCS, _WRITES, _FAILED = range(0, 32, 8)


def missing():
    """What must be installed to compile the library, or None."""
    return None if shutil.which("cc") else MISSING


class Preload:
    """The compiled library and the memory shared with it, both in `folder`. `prefix`: goes before the agent's command."""

    def __init__(self, folder):
        library, control = folder / "preload.so", folder / "preload.control"
        command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        control.write_bytes(bytes(4096))
        with control.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 4096)
        self.prefix = ("env", f"LD_PRELOAD={library}", f"SOAK_CONTROL={control}")

    def shift(self, seconds):
        """The agent's wall clock is so much ahead of the machine's (behind: negative)."""
        self._put(_OFFSET, int(seconds * 1e9))

    def fail_syncs(self, count):
        """The agent's next `count` fsync and fdatasync give EIO and do nothing."""
        self._put(_SYNCS, count)

    def fail_writes(self, count):
        """The agent's next `count` positioned writes give EIO and write nothing."""
        self._put(_WRITES, count)

    @property
    def armed(self):
        """Whether calls are still to fail."""
        return self._get(_SYNCS) > 0 or self._get(_WRITES) > 0

    @property
    def failed(self):
        """How many calls have failed so."""
        return self._get(_FAILED)

    def _get(self, place):
        return struct.unpack_from("=q", self._shared, place)[0]

    def _put(self, place, value):
        struct.pack_into("=q", self._shared, place, value)

    def close(self):
        self._shared.close()
