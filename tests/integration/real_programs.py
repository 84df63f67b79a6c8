"""What tests of real programs' logs share: finding a program, waiting, and the real `parse` command."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.components import absent

ROOT = Path(__file__).resolve().parents[2]
_SYSTEM = ":/usr/local/sbin:/usr/sbin:/sbin"


def program(name, package):
    """The path of a program, of which only root has the folder in PATH."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + _SYSTEM)
    return found or absent(f"there is no {name}: apt-get install {package}")


@contextlib.contextmanager
def alone():
    """Tests whose programs write to the log of the whole machine wait for each other, also in other processes."""
    with Path(__file__).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def eventually(look, what, patience=20.0):
    """The first true answer of `look`, asked again and again."""
    end = time.monotonic() + patience
    while not (answer := look()):
        assert time.monotonic() < end, f"never came true: {what}"
        time.sleep(0.02)
    return answer


def parsed(path, name):
    """(events of what the format read, the lines that it refused), by the command in a process of its own."""
    command = [sys.executable, "-m", "shipper", "parse", "--format", name, "--timezone", "UTC", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode in {0, 1}, done.stderr.decode()
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events, done.stderr.decode()
    refused = [event for event in events if event["event"]["kind"] == "pipeline_error"]
    return [event for event in events if event not in refused], refused


def value(event, name):
    """A field by its dotted name, None where the event has none."""
    for part in name.split("."):
        if not isinstance(event, dict) or part not in event:
            return None
        event = event[part]
    return event


def values(event, *names):
    """Several fields as a tuple."""
    return tuple(value(event, name) for name in names)
