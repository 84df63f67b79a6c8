"""A real logrotate rotates while a program writes and the file input follows: each line once, in order per file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from shipper.clock import SystemClock
from shipper.inputs.file import FileInput
from tests.components import absent

LINES = 6000

WRITER = textwrap.dedent("""
    import os, sys, time
    path, count, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    file = open(path, "ab", buffering=0)
    for number in range(count):
        if os.path.exists(folder + "/pause"):
            open(folder + "/paused", "w").close()
            while os.path.exists(folder + "/pause"):
                time.sleep(0.001)
        try:
            if os.stat(path).st_ino != os.fstat(file.fileno()).st_ino:
                file.close()
                file = open(path, "ab", buffering=0)
        except FileNotFoundError:
            pass
        line = b"%06d user u%d changed the state of an offer from draft to sent\\n" % (number, number % 7)
        cut = number % 17
        if cut > 14:  # a line that arrives in two writes
            file.write(line[:cut])
            time.sleep(0.0005)
            line = line[cut:]
        file.write(line)
        if number % 5 == 0:
            time.sleep(0.002)
""")

CREATE = """
{path} {{
    rotate 50
    create 0600
    nocompress
}}
"""

# The writer stops while the file is copied: what a program writes between copy and truncation is lost to everybody.
COPYTRUNCATE = """
{path} {{
    rotate 50
    copytruncate
    nocompress
    prerotate
        touch {folder}/pause
        while [ ! -e {folder}/paused ] && [ ! -e {folder}/finished ]; do sleep 0.01; done
    endscript
    postrotate
        rm -f {folder}/pause {folder}/paused
    endscript
}}
"""


@pytest.fixture
def logrotate():
    program = shutil.which("logrotate", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        absent("logrotate is not installed: apt-get install -y logrotate")
    return program


class Reading:
    """Reads in a thread as the agent does: waits for a hint or for the next look, keeps positions with the lines."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.streams: dict[str, list[int]] = {}
        self.lines: list[int] = []
        self.positions: dict[str, dict[str, object]] = {}
        self.losses: list[object] = []
        self.error: BaseException | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    def wait_for(self, count: int, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while len(self.lines) < count and self.error is None and time.monotonic() < end:
            time.sleep(0.01)

    def _run(self) -> None:
        wake = threading.Event()
        source = FileInput("app", [self.pattern], clock=SystemClock(), format="plain", wake=wake, scan_interval=0.25)
        try:
            source.restore(dict(self.positions))
            while not self._stop.is_set():
                wake.clear()
                got = False
                for chunk in source.read(64 * 1024):
                    got = True
                    numbers = [int(record.data[:6]) for record in chunk.records]
                    self.lines += numbers
                    self.streams.setdefault(chunk.stream, []).extend(numbers)
                    self.positions[chunk.stream] = chunk.position
                self.losses += source.losses()
                for stream in source.ended():
                    self.positions.pop(stream, None)
                if not got:
                    wake.wait(0.1)
        except BaseException as error:  # noqa: BLE001 (raised again in the thread of the test)
            self.error = error
        finally:
            source.close()


@pytest.mark.parametrize(
    ("mode", "pattern", "pause", "restart"),
    [
        ("create", "app.log*", 0.0, False),
        ("create", "app.log*", 0.05, True),
        ("create", "app.log", 0.3, False),
        ("copytruncate", "app.log*", 0.0, False),
        ("copytruncate", "app.log*", 0.05, True),
        ("copytruncate", "app.log", 0.1, False),
    ],
)
def test_every_line_arrives_once_while_logrotate_rotates(tmp_path, logrotate, mode, pattern, pause, restart):
    os.chmod(tmp_path, 0o700)  # logrotate refuses folders that others can write
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o700)
    path = logs / "app.log"
    path.touch(mode=0o600)
    configuration = tmp_path / "rotate.conf"
    configuration.write_text((CREATE if mode == "create" else COPYTRUNCATE).format(path=path, folder=tmp_path))
    configuration.chmod(0o600)
    command = [logrotate, "-f", "-s", str(tmp_path / "state"), str(configuration)]

    reading = Reading(str(logs / pattern))
    reading.start()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(LINES), str(tmp_path)])
    try:
        if pattern == "app.log":  # the copy matches no pattern: it is found only if something of its original was seen
            reading.wait_for(1)
        rotations = 0
        while writer.poll() is None and rotations < 25:
            subprocess.run(command, check=True, timeout=60)
            rotations += 1
            if restart and rotations % 5 == 0:
                reading.stop()
                subprocess.run(command, check=True, timeout=60)  # one more while nobody reads
                rotations += 1
                reading.start()
            time.sleep(pause)
        assert writer.wait(60) == 0
        (tmp_path / "finished").touch()
        assert rotations >= 3
        reading.wait_for(LINES)
        time.sleep(0.5)  # what is shipped twice would come now
    finally:
        (tmp_path / "finished").touch()
        if writer.poll() is None:
            writer.kill()
            writer.wait()
        reading.stop()
    assert sorted(reading.lines) == list(range(LINES))
    assert all(numbers == sorted(numbers) for numbers in reading.streams.values())
    assert reading.losses == []
