"""The disk is full, has no inodes left, may not be written, or takes half a frame: the agent waits and goes on by itself.

Real file systems of a few megabytes, filled by a ballast file; nothing is lost, nothing stands twice, nobody restarts
anything. `RLIMIT_FSIZE` is the variant that needs no root: the kernel takes part of a write and refuses the rest.
"""

import contextlib
import json
import random
import resource
import subprocess
import time
from pathlib import Path

import pytest

from shipper.fs import RealFs
from shipper.journal import check
from tests.components import absent
from tests.crash.faults import Volume, loop_missing, mount_missing
from tests.e2e.agent_process import Place, checkpoints, eventually, line, numbers
from tests.integration.faulty_opensearch import FaultyOpenSearch, item, items

NOT_KEPT = "journal: frame not kept, will try again"
KEPT_AGAIN = "journal: frames are kept again"


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture
def mounted(tmp_path, place):
    """Mounts file systems, and unmounts them after the agents have ended."""
    with contextlib.ExitStack() as stack:

        def mount(name, options="", image=""):
            if reason := loop_missing() if image else mount_missing():
                absent(reason)
            path = tmp_path / name
            volume = (
                Volume.image(path, tmp_path / f"{name}.img", image, options=options)
                if image
                else Volume.tmpfs(path, options)
            )
            return stack.enter_context(volume)

        yield mount
        place.close()


def bulky(first, count, seed=1):
    """Lines that take space, since they cannot be compressed."""
    rng = random.Random(seed)
    return "".join(
        line(number, note=rng.randbytes(1500).hex()) + "\n" for number in range(first, first + count)
    ).encode()


def archive_only(place, **more):
    """The archive stands outside the disk that fills up."""
    place.write(
        outputs=[{"id": "archive", "type": "file", "path": str(place.archive)}],
        seal={"interval": "200ms"},
        journal={"segment_size": "64KiB"},
        **more,
    )


def whole(place, count):
    documents = place.archived()
    assert numbers(documents) == list(range(count))
    assert len({one["seal"]["log"] for one in documents if "seal" in one}) == 1
    checkpoints(documents)
    for words in (["--ndjson", place.archive], ["--journal"]):
        done = place.verify(*words)
        assert done.code == 0, (words, done)
    assert check(place.state / "journal", RealFs()).ok


def at_rest(place):
    """A checkpoint is durable over everything, and the cursor has passed it."""
    status = place.status()
    cursor = json.loads((place.state / "cursors/archive").read_bytes())
    return (
        (place.state / "checkpoint").exists()
        and status["log"]["checkpoint"] == status["log"]["size"]
        and cursor["seq"] == status["journal"]["next_seq"]
    )


def told_of(place, count):
    """The agent's status once it says what is wrong; it has not taken in more than it could keep."""
    status = eventually(
        lambda: (one := place.status()) and one["journal"]["failing"] and one,
        "status names the trouble",
    )
    assert len(numbers(place.archived())) == count
    return status["journal"]["failing"]


def test_row_34_a_full_state_folder_pauses_reading_and_resumes_by_itself(place, mounted):
    volume = mounted("state", "size=4m,mode=700")
    archive_only(place)
    place.append(bulky(0, 20))
    agent = place.start().ready()
    place.settled(20)
    ballast = volume.fill()
    place.append(bulky(20, 200))
    agent.wait_told(NOT_KEPT)
    assert "No space left" in told_of(place, 20)
    time.sleep(1.0)  # it goes on trying, and neither ends nor acknowledges anything
    assert agent.process.poll() is None, agent.logs
    assert numbers(place.archived()) == list(range(20))

    ballast.unlink()
    freed = time.monotonic()
    place.settled(220)
    print(f"went on {time.monotonic() - freed:.1f} s after there was space")
    assert agent.told(KEPT_AGAIN)
    assert place.status()["journal"]["failing"] == ""
    place.append(bulky(220, 5))
    place.settled(225)
    assert agent.terminate() == 0, agent.logs
    whole(place, 225)


def test_row_34_a_full_ext4_in_the_middle_of_a_frame_loses_nothing(place, mounted):
    """A few kilobytes are left, so that the write comes back short."""
    volume = mounted("state", image="16M")
    archive_only(place)
    place.append(bulky(0, 5))
    agent = place.start().ready()
    place.settled(5)
    ballast = volume.fill(leave=24 * 1024)
    place.append(bulky(5, 150))
    agent.wait_told(NOT_KEPT, count=2)
    assert check(place.state / "journal", RealFs()).ok
    ballast.unlink()
    place.settled(155)
    assert agent.terminate() == 0
    whole(place, 155)


def test_row_34_no_inodes_left_pauses_reading_and_resumes_by_itself(place, mounted):
    """Frames go on in the segment there is; where a new one is due, reading pauses."""
    volume = mounted("state", "size=8m,nr_inodes=40,mode=700")
    archive_only(place)
    place.append(bulky(0, 5))
    agent = place.start().ready()
    place.settled(5)
    empty = []
    with contextlib.suppress(OSError):
        for number in range(100):
            empty.append(volume.path / f"empty{number}")
            empty[-1].touch()
    place.append(bulky(5, 200))
    agent.wait_told(NOT_KEPT)
    for path in empty:
        path.unlink(missing_ok=True)
    place.settled(205)
    assert agent.terminate() == 0
    whole(place, 205)


def test_row_34_an_agent_that_stops_on_a_full_disk_ends_with_74_and_the_next_waits_as_well(place, mounted):
    volume = mounted("state", "size=4m,mode=700")
    archive_only(place)
    place.append(bulky(0, 20))
    agent = place.start().ready()
    place.settled(20)
    ballast = volume.fill()
    place.append(bulky(20, 100))
    agent.wait_told(NOT_KEPT)
    assert agent.terminate() == 74, agent.logs
    again = place.start().ready()
    again.wait_told(NOT_KEPT)
    assert numbers(place.archived()) == list(range(20))
    ballast.unlink()
    place.settled(100)
    assert again.terminate() == 0
    whole(place, 120)


def test_row_34_one_pass_on_a_disk_that_stays_full_ends_with_74_after_the_grace(place, mounted):
    """Nobody watches a pass that a timer started: it must not wait for ever."""
    volume = mounted("state", "size=4m,mode=700")
    archive_only(place, agent={"shutdown_grace": "1s"})
    place.append(bulky(0, 20))
    assert place.once().code == 0
    ballast = volume.fill()
    place.append(bulky(20, 100))
    done = place.once()
    assert done.code == 74, done
    (said,) = [one for one in done.logs if one["event"] == "journal: frame not kept, the agent ends"]
    assert "No space left" in said["cause"]
    assert said["hint"].startswith("df -h")
    ballast.unlink()
    assert place.once().code == 0
    whole(place, 120)


def test_row_34_a_disk_that_turns_read_only_pauses_reading_and_a_start_after_the_mount_goes_on(place, mounted):
    """As ext4 does it after an error (`errors=remount-ro`): writing comes back only with a mount, so with a restart."""
    volume = mounted("state", "errors=remount-ro", image="16M")
    trigger = Path(f"/sys/fs/ext4/{Path(volume.device).name}/trigger_fs_error")
    if not trigger.exists():
        absent(f"no {trigger} (hint: a kernel of 4.5 or later with ext4)")
    archive_only(place)
    # Segments that could be given back, were the disk to let go of them.
    place.append(bulky(0, 200))
    agent = place.start().ready()
    place.settled(200)
    place.append(bulky(200, 100, seed=2))
    place.settled(300)
    eventually(lambda: at_rest(place), "a checkpoint over all, and the cursor behind it")
    trigger.write_text("test\n")
    place.append(bulky(300, 50))
    agent.wait_told(NOT_KEPT)
    assert "Read-only" in told_of(place, 300)
    agent.wait_told("journal: segment not deleted, will try again")
    time.sleep(1.0)
    assert agent.process.poll() is None, agent.logs
    assert agent.terminate() == 74, agent.logs
    image = volume.path.with_name("state.img")
    volume.close()
    subprocess.run(["e2fsck", "-fy", str(image)], capture_output=True, check=False)
    with Volume.image(volume.path, image):
        assert place.once().code == 0
        whole(place, 350)


def test_row_34_a_limit_on_file_sizes_is_a_full_disk_for_whoever_is_not_root(place):
    """The kernel takes the part of the frame that fits: a short write, then an error."""
    archive_only(place)
    place.append(bulky(0, 5))
    agent = place.start().ready()
    place.settled(5)
    # Of the files that grow only a segment comes to it; the archive's documents go to a file of another size.
    segment = max((place.state / "journal").glob("*.seg"))
    limit = segment.stat().st_size + 9_999
    _, hard = resource.prlimit(agent.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (limit, hard))
    place.append(bulky(5, 60))
    agent.wait_told(NOT_KEPT, count=2)
    assert "File too large" in agent.told(NOT_KEPT)[0]["cause"]
    assert segment.stat().st_size < limit, "what was written of the frame is cut off"
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (hard, hard))
    place.settled(65)
    assert agent.terminate() == 0
    whole(place, 65)


def test_row_34_a_full_archive_disk_holds_up_the_archive_alone_and_resumes_by_itself(place, mounted):
    volume = mounted("elsewhere", "size=2m")
    place.archive = volume.path / "archive.ndjson"
    place.write(seal={"interval": "200ms"})
    place.append(bulky(0, 20))
    agent = place.start().ready()
    place.settled(20)
    ballast = volume.fill(leave=5_000)
    place.append(bulky(20, 40))
    agent.wait_told("output not reachable, will try again")
    eventually(lambda: len(numbers(place.stored())) == 60, "the store has everything")
    held = next(one for one in place.status()["outputs"] if one["id"] == "archive")
    assert held["pending"] > 0
    assert "No space left" in held["last_error"]
    assert numbers(place.archived()) == list(range(20)), "no half lines"
    ballast.unlink()
    place.settled(60)
    assert agent.told("output reachable again")
    assert agent.terminate() == 0
    whole(place, 60)
    assert place.verify("--store").code == 0


def test_row_34_a_full_disk_under_state_and_store_loses_nothing_in_either(place, mounted):
    volume = mounted("state", image="16M")
    place.write(seal={"interval": "200ms"}, journal={"segment_size": "64KiB"})
    place.append(bulky(0, 20))
    agent = place.start().ready()
    place.settled(20)
    ballast = volume.fill(leave=300_000)
    place.append(bulky(20, 500))
    eventually(
        lambda: agent.told(NOT_KEPT) or agent.told("output not reachable, will try again"), "something has no space"
    )
    time.sleep(2.0)
    assert agent.process.poll() is None, agent.logs
    ballast.unlink()
    place.settled(520)
    assert agent.terminate() == 0
    assert numbers(place.stored()) == list(range(520))
    assert place.verify("--store").code == 0
    whole(place, 520)


def test_row_34_dead_letters_on_a_full_disk_hold_up_their_output_and_none_is_lost(place, mounted):
    def refused(one):
        return item(400, "strict_dynamic_mapping_exception", "no") if one.endswith("7") else None

    with FaultyOpenSearch() as server:
        server.always = items(refused)
        place.write(
            outputs=[
                {"id": "siem", "type": "opensearch", "hosts": [server.url]},
                {"id": "archive", "type": "file", "path": str(place.archive)},
            ],
            seal={"interval": "200ms"},
        )
        assert place.once().code == 0
        volume = mounted("state/dlq", "size=64k,mode=700")
        ballast = volume.fill()
        place.append(bulky(0, 100))
        agent = place.start().ready()

        def held():
            status = place.status()
            outputs = status["outputs"] if status else []
            return next((one for one in outputs if one["id"] == "siem" and "No space" in one["last_error"]), None)

        eventually(lambda: len(numbers(place.archived())) == 100, "the archive has everything")
        told = eventually(held, "the output says what holds it up")
        assert told["pending"] > 0
        assert told["dead_lettered"] == 0
        ballast.unlink()
        status = place.settled(100)
        siem = next(one for one in status["outputs"] if one["id"] == "siem")
        sealed = [one["seal"]["i"] for one in place.archived() if "seal" in one]
        assert agent.terminate() == 0
        letters = place.cli("dlq", "list", "--json").json
        assert siem["dead_lettered"] > 0
        assert len({one["id"] for one in letters}) == len(letters) >= siem["dead_lettered"]
        assert {one["index"] for one in letters} >= {index for index in sealed if f"{index:x}".endswith("7")}
