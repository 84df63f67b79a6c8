"""Torture matrix, which file is this: rows 8 to 13 and 31. Names, inodes, equal beginnings, links."""

import os
import shutil

import pytest

from tests.e2e.agent_process import lines
from tests.e2e.torture import frozen

SECOND = 1_770_114_600
"""A modification time that a test gives to two files: the same second."""
HEADER = b'{"ts":"2026-02-03T10:30:00Z","n":"1","changes":[],"pad":"%s"}\n' % (b"x" * 1100)
"""A first line as many programs write one, the same in each file. Nothing changes in it, so it becomes no event."""


@pytest.mark.parametrize("running", [True, False], ids=["running", "down"])
def test_row_08_a_file_truncated_and_grown_past_the_old_position_is_read_from_its_beginning(trial, running):
    t = trial()
    # It begins alike for more than a kilobyte: only the bytes before the position tell that it is another content.
    t.append(HEADER + lines(0, 20))
    agent = t.start()
    t.arrived(20)
    size = (t.logs / "a.log").stat().st_size
    t.looked(4)  # at rest
    if running:
        with frozen(agent):
            (t.logs / "a.log").write_bytes(HEADER + lines(100, 60))
    else:
        agent.kill()
        (t.logs / "a.log").write_bytes(HEADER + lines(100, 60))
        t.start()
    t.arrived(80)
    t.append(lines(160, 5))
    # What may have been written and truncated while nobody looked, nobody can tell.
    t.whole(range(20), range(100, 165), lost=[] if running else [("a.log", size)])


@pytest.mark.parametrize("running", [True, False], ids=["running", "down"])
def test_row_09_a_file_written_anew_with_the_same_size_in_the_same_second_is_read_from_its_beginning(trial, running):
    t = trial()
    path = t.logs / "a.log"
    path.write_bytes(lines(100, 50))
    os.utime(path, (SECOND, SECOND))
    size = path.stat().st_size
    agent = t.start()
    t.arrived(50)
    t.looked()

    def rewrite():
        path.write_bytes(lines(200, 50))
        # Running, it can only be the same second: of a file with the very same time stamp nobody would read a byte.
        os.utime(path, ns=(SECOND * 10**9, SECOND * 10**9 + running))
        assert path.stat().st_size == size

    if running:
        with frozen(agent):
            rewrite()
    else:
        agent.kill()
        rewrite()
        t.start()
    t.arrived(100)
    t.whole(range(100, 150), range(200, 250), lost=[] if running else [("a.log", size)])


def test_row_10_a_file_made_anew_is_a_new_stream_also_with_the_inode_of_the_old_one(trial):
    t = trial()
    path = t.logs / "a.log"
    agent = t.reading(20)
    agent.kill()
    before = path.stat()
    path.unlink()
    # File systems give inodes out again sooner or later, or never: of many new files one may have it.
    for number in range(1000):
        spare = t.logs / f"{number}.spare"
        spare.touch()
        if spare.stat().st_ino == before.st_ino:
            break
    print(f"inode used again: {spare.stat().st_ino == before.st_ino}, after {number + 1} files")
    # Longer than the old one: name, inode and size speak for the same file.
    spare.write_bytes(lines(100, 40))
    spare.rename(path)
    t.start()
    t.arrived(60)
    # What may have been written before it was deleted nobody can tell.
    t.whole(range(20), range(100, 140), lost=[("a.log", before.st_size)])


def test_row_11_files_whose_first_kilobyte_is_equal_are_all_read(trial):
    t = trial()
    for number in range(4):
        t.append(HEADER + lines(number * 100, 10), f"{number}.log")
    agent = t.start()
    t.arrived(40)
    agent.kill()
    for number in range(4):
        t.append(lines(number * 100 + 10, 10), f"{number}.log")
    t.append(HEADER + lines(400, 20), "4.log")
    t.start()
    t.arrived(100)
    t.whole(*(range(number * 100, number * 100 + 20) for number in range(5)))


def test_row_12_a_file_with_many_names_is_read_once(trial):
    t = trial("*.log", "a.*", "**/*.log")
    (t.logs / "deep").mkdir()
    t.append(lines(0, 10))
    os.link(t.logs / "a.log", t.logs / "hard.log")
    os.symlink(t.logs / "a.log", t.logs / "soft.log")
    os.symlink("../a.log", t.logs / "deep" / "soft.log")
    agent = t.start()
    t.arrived(10)
    os.link(t.logs / "a.log", t.logs / "later.log")
    t.append(lines(10, 10), "hard.log")
    t.arrived(20)
    (t.logs / "a.log").unlink()
    t.append(lines(20, 10), "later.log")
    t.arrived(30)
    agent.kill()
    t.append(lines(30, 10), "soft.log" if (t.logs / "soft.log").exists() else "hard.log")
    t.start()
    t.arrived(40)
    t.whole(range(40))


def test_row_13_a_link_that_leads_elsewhere_finishes_the_old_target_and_begins_the_new_one(trial):
    t = trial("app.log")
    pods = t.place.root / "pods"
    pods.mkdir()
    link = t.logs / "app.log"

    def lead_to(name):
        spare = t.logs / "spare"
        os.symlink(pods / name, spare)
        os.rename(spare, link)

    (pods / "0.log").write_bytes(lines(0, 10))
    lead_to("0.log")
    agent = t.start()
    t.arrived(10)
    with frozen(agent), (pods / "0.log").open("ab") as old:
        old.write(lines(10, 10))
        (pods / "1.log").write_bytes(lines(100, 10))
        lead_to("1.log")
    t.arrived(30)
    with (pods / "1.log").open("ab") as new:
        new.write(lines(110, 10))
    t.arrived(40)
    agent.kill()
    with (pods / "1.log").open("ab") as new:
        new.write(lines(120, 10))
    (pods / "2.log").write_bytes(lines(200, 10))
    lead_to("2.log")
    t.start()
    t.arrived(60)
    t.whole(range(20), range(100, 130), range(200, 210))


def test_row_31_the_same_input_under_other_paths_after_a_restart_goes_on_where_it_was(trial):
    t = trial()
    t.append(lines(0, 20) + lines(20, 1)[:30])
    agent = t.start()
    t.arrived(20)
    agent.kill()
    # The folder moved (a release under a new version number), and is named by a link from now on.
    moved = t.logs.rename(t.place.root / "logs-2")
    os.symlink(moved, t.logs)
    t.append(lines(20, 1)[30:] + lines(21, 9))
    t.configure("a.log", "*.log", scan_interval="60ms")
    t.start()
    t.arrived(30)
    t.append(lines(30, 10))
    t.whole(range(40))


def test_row_31_a_folder_that_was_copied_to_another_disk_is_shipped_once(trial):
    t = trial()
    for number in range(3):
        t.append(lines(number * 100, 20), f"{number}.log")
    agent = t.start()
    t.arrived(60)
    agent.kill()
    copied = t.place.root / "copied"
    shutil.copytree(t.logs, copied)
    shutil.rmtree(t.logs)
    copied.rename(t.logs)
    for number in range(3):
        t.append(lines(number * 100 + 20, 10), f"{number}.log")
    t.start()
    t.arrived(90)
    t.whole(*(range(number * 100, number * 100 + 30) for number in range(3)))
