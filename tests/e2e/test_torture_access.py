"""Torture matrix, what the agent may not or cannot read: rows 25 to 27. Rights, folders, mounts, failing reads."""

import os
import subprocess

import pytest

from tests.components import absent
from tests.e2e.agent_process import lines
from tests.e2e.torture import NO_CAPABILITY, only_root, program, shift

CANNOT_READ = "input: cannot read, will try again"


# -- rights ------------------------------------------------------------------------------------------------------------


def test_row_25_a_right_taken_away_while_the_file_is_open_changes_nothing(trial):
    t = trial()
    t.append(lines(0, 10))
    with (t.logs / "a.log").open("ab", buffering=0) as writer:
        agent = t.start(NO_CAPABILITY)
        t.arrived(10)
        (t.logs / "a.log").chmod(0)
        writer.write(lines(10, 10))
        t.arrived(20)
        t.looked()
        assert not agent.told(CANNOT_READ)
    t.whole(range(20))


def test_row_25_a_file_without_the_right_is_told_and_read_as_soon_as_it_is_given(trial):
    t = trial()
    t.append(lines(0, 10))
    t.append(lines(100, 10), "b.log")
    (t.logs / "a.log").chmod(0)
    agent = t.start(NO_CAPABILITY)
    told = agent.wait_told(CANNOT_READ)
    assert [(one["path"], one["cause"]) for one in told] == [(str(t.logs / "a.log"), "Permission denied")]
    t.arrived(10)  # of the other
    (t.logs / "a.log").chmod(0o600)
    t.arrived(20)
    t.whole(range(10), range(100, 110))


def test_row_25_a_right_taken_away_while_the_agent_is_down_is_no_loss_and_the_rest_comes_later(trial):
    t = trial("a.log*")
    t.append(lines(0, 10))
    agent = t.start(NO_CAPABILITY)
    t.arrived(10)
    agent.kill()
    t.append(lines(10, 10))
    (t.logs / "a.log").chmod(0)
    shift(t.logs, "a.log")  # and rotated, too
    t.append(lines(100, 10))
    agent = t.start(NO_CAPABILITY)
    agent.wait_told(CANNOT_READ)
    t.looked()
    (t.logs / "a.log.1").chmod(0o600)
    t.arrived(30)
    t.whole(range(20), range(100, 110))


def test_row_25_a_folder_without_the_right_is_told_and_read_as_soon_as_it_is_given(trial):
    t = trial("sub/*.log")
    (t.logs / "sub").mkdir()
    t.append(lines(0, 10), "sub/a.log")
    agent = t.start(NO_CAPABILITY)
    t.arrived(10)
    (t.logs / "sub").chmod(0)
    agent.wait_told(CANNOT_READ)
    t.looked()
    (t.logs / "sub").chmod(0o700)
    t.append(lines(10, 10), "sub/a.log")
    t.arrived(20)
    t.whole(range(20))


# -- folders and mounts ------------------------------------------------------------------------------------------------


def test_row_26_a_folder_that_comes_later_and_is_replaced_is_followed(trial):
    t = trial("app/*.log", grace="20s")
    agent = t.start()
    t.looked()
    folder = t.logs / "app"
    folder.mkdir()
    t.append(lines(0, 10), "app/a.log")
    t.arrived(10)
    folder.rename(t.logs / "app-old")
    folder.mkdir()
    t.append(lines(100, 10), "app/a.log")
    t.arrived(20)
    t.append(lines(10, 10), "app-old/a.log")  # by a program that holds it open
    t.arrived(30)
    agent.kill()
    t.append(lines(110, 10), "app/a.log")
    t.start()
    t.arrived(40)
    # Where the old folder went the agent cannot know, nor what was written there after it was killed.
    t.whole(range(20), range(100, 120), lost=[("a.log", len(lines(0, 20)))])


class Disk:
    """A small ext4 in a file, mounted at a folder of the test's own."""

    def __init__(self, root, place):
        only_root()
        self.image, self.place = root / "disk.img", place
        self._devices = []
        place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(8 << 20)
        self._run(program("mkfs.ext4", "e2fsprogs"), "-q", self.image)

    def mount(self):
        if not self._devices:
            self._devices.append(self._run("losetup", "--find", "--show", self.image))
        self._run("mount", self._devices[-1], self.place)

    def unmount(self, *options):
        self._run("umount", *options, self.place)

    def change_device(self):
        """From now on the same file system stands on another device."""
        self._devices.append(self._run("losetup", "--find", "--show", self.image))

    def close(self):
        while os.path.ismount(self.place):
            subprocess.run(["umount", "--lazy", self.place], check=True)
        for device in self._devices:
            subprocess.run(["losetup", "--detach", device], check=False)

    @staticmethod
    def _run(*words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            absent(f"no loop devices or mounts here ({done.stderr.strip()}): run as root, outside of a container")
        return done.stdout.strip()


@pytest.fixture
def disk(place):
    made = Disk(place.root, place.logs / "disk")
    made.mount()
    yield made
    place.close()
    made.close()


def test_row_26_a_file_system_unmounted_and_mounted_again_under_a_running_agent_is_followed_on(trial, disk):
    t = trial("disk/*.log")
    t.reading(20, "disk/a.log")
    disk.unmount("--lazy")  # the agent has a file open
    t.looked()
    disk.mount()
    t.append(lines(20, 20), "disk/a.log")
    t.append(lines(100, 20), "disk/b.log")
    t.arrived(60)
    t.whole(range(40), range(100, 120))


def test_row_26_a_file_system_that_is_not_mounted_at_the_start_and_comes_as_another_device_is_no_loss(trial, disk):
    t = trial("disk/*.log")
    agent = t.reading(20, "disk/a.log")
    agent.kill()
    t.append(lines(20, 20), "disk/a.log")
    before = os.stat(t.logs / "disk").st_dev
    disk.unmount()
    agent = t.start()
    t.looked(4)
    assert not agent.told("input: bytes lost before they could be read")
    disk.change_device()
    disk.mount()
    assert os.stat(t.logs / "disk").st_dev != before
    t.arrived(40)
    t.append(lines(40, 20), "disk/a.log")
    t.arrived(60)
    t.whole(range(60))


# -- reads that fail ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ["ESTALE", pytest.param("EIO", marks=pytest.mark.slow)])
def test_row_27_a_read_that_fails_is_tried_again_on_the_file_opened_anew(trial, error):
    t = trial()
    path = t.logs / "a.log"
    t.append(lines(0, 10))
    t.append(lines(100, 10), "b.log")
    # Of the reads of this file the fourth and the fifth fail; the process started is the agent (-D: strace is its child).
    prefix = [program("strace", "strace"), "-D", "-f", "-qq", "-o", "/dev/null", "-P", str(path)]
    prefix += ["-e", "trace=pread64", "-e", f"inject=pread64:error={error}:when=4..5"]
    agent = t.start(prefix)
    t.arrived(20)
    for number in range(10, 40, 10):
        t.append(lines(number, 10))
        t.append(lines(number + 100, 10), "b.log")
    told = agent.wait_told(CANNOT_READ)
    assert {one["path"] for one in told} == {str(path)}
    t.arrived(80)
    t.whole(range(40), range(100, 140))
