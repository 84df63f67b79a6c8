"""Torture matrix, rotation: rows 2 to 7, 14, 15, 23 and 24. A real logrotate where one is asked for."""

import contextlib
import gzip
import os
import subprocess
import sys
import textwrap

import pytest

from tests.e2e.agent_process import line, lines, numbers
from tests.e2e.torture import frozen, program, shift

LINES, PARTS = 2000, 8

WRITER = textwrap.dedent("""
    import os, sys, time
    path, count, folder, parts = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    file = open(path, "ab", buffering=0)
    def rest():
        if os.path.exists(folder + "/pause"):
            open(folder + "/paused", "w").close()
            while os.path.exists(folder + "/pause"):
                time.sleep(0.001)
    for number in range(count):
        rest()
        part, first = divmod(number, count // parts)
        # As many rotations as parts, however quick this machine writes and however slowly it rotates.
        while part and not first and not os.path.exists(folder + "/rotation-%d" % part):
            rest()
            time.sleep(0.001)
        try:
            if os.stat(path).st_ino != os.fstat(file.fileno()).st_ino:
                file.close()
                file = open(path, "ab", buffering=0)
        except FileNotFoundError:
            pass
        line = (b'{"ts":"2026-02-03T10:30:00Z","who":"kim","kind":"offer","n":"%d",'
                b'"changes":[{"field":"stage","old":"a%d","new":"b%d"}]}\\n' % (number, number, number))
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
    {compress}
}}
"""

# The writer stops while the file is copied: what a program writes between copy and truncation is lost to everybody.
COPYTRUNCATE = """
{path} {{
    rotate 50
    copytruncate
    {compress}
    prerotate
        touch {folder}/pause
        while [ ! -e {folder}/paused ] && [ ! -e {folder}/finished ]; do sleep 0.01; done
    endscript
    postrotate
        rm -f {folder}/pause {folder}/paused
    endscript
}}
"""

DELAYED = "compress\n    delaycompress"


class Logrotate:
    """A real logrotate for one log of the trial, and a program that writes that log and opens it anew when it must."""

    def __init__(self, trial, mode, compress="nocompress"):
        self.root = trial.place.root
        os.chmod(self.root, 0o700)  # it refuses folders that others can write
        os.chmod(trial.logs, 0o700)
        self.path = trial.logs / "app.log"
        self.path.touch(mode=0o600)
        conf = self.root / "rotate.conf"
        conf.write_text(mode.format(path=self.path, folder=self.root, compress=compress))
        conf.chmod(0o600)
        self._command = [program("logrotate", "logrotate"), "-f", "-s", str(self.root / "rotated"), str(conf)]

    def rotate(self):
        subprocess.run(self._command, check=True, timeout=60)

    @contextlib.contextmanager
    def writing(self, count):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(self.path), str(count), str(self.root), str(PARTS)]
        )
        try:
            yield writer
            assert writer.wait(60) == 0
        finally:
            (self.root / "finished").touch()
            writer.kill()
            writer.wait()


def rotated_while_written(t, mode, *, restarts, compress="nocompress"):
    """Rotate as often as it goes while a program writes; with `restarts`, twice while nobody reads."""
    logrotate = Logrotate(t, mode, compress)
    agent = t.start()
    with logrotate.writing(LINES) as writer:
        t.arrived(1)  # a copy that matches no pattern is found only if something of its original was seen
        rotations = 0
        while writer.poll() is None and rotations < 30:
            logrotate.rotate()
            rotations += 1
            (logrotate.root / f"rotation-{rotations}").touch()
            if restarts and rotations in {3, 6}:
                agent.kill()
                logrotate.rotate()
                agent = t.start()
            t.looked(1)
    (logrotate.root / "finished").touch()
    assert rotations >= PARTS - 1
    t.arrived(LINES, patience=60)
    # A generation that was packed before anybody saw it may come after the one that follows it.
    t.whole(range(LINES), across=compress == "nocompress")


@pytest.mark.parametrize("pattern", ["app.log", pytest.param("app.log*", marks=pytest.mark.slow)])
def test_row_02_logrotate_with_create_under_a_running_agent_loses_and_repeats_nothing(trial, pattern):
    rotated_while_written(trial(pattern), CREATE, restarts=False)


def test_row_02_the_old_file_is_finished_before_the_new_one_begins(trial):
    t = trial("a.log*")
    agent = t.reading(50)
    with frozen(agent):
        t.append(lines(50, 500))
        shift(t.logs, "a.log")
        t.append(lines(550, 50))
    t.arrived(600)
    assert numbers(t.place.stored()) == list(range(600))
    t.whole(range(600))


def test_row_03_logrotate_with_create_while_the_agent_is_down_loses_and_repeats_nothing(trial):
    rotated_while_written(trial("app.log*"), CREATE, restarts=True)


@pytest.mark.parametrize("pattern", ["a.log*", "a.log"], ids=["in the pattern", "beside it"])
def test_row_03_a_file_rotated_while_the_agent_was_down_is_found_under_its_new_name_and_finished(trial, pattern):
    t = trial(pattern)
    agent = t.reading(50)
    agent.kill()
    t.append(lines(50, 50))
    shift(t.logs, "a.log")
    t.append(lines(100, 50))
    t.start()
    t.arrived(150)
    assert numbers(t.place.stored()) == list(range(150))
    t.whole(range(150))


@pytest.mark.parametrize("running", [True, False], ids=["running", "down"])
def test_row_04_many_quick_rotations_between_two_scans_lose_nothing(trial, running):
    t = trial("a.log*")
    agent = t.reading(50)
    with frozen(agent) if running else contextlib.nullcontext(agent.kill()):
        for number in range(50, 500, 50):
            t.append(lines(number, 25))
            shift(t.logs, "a.log", 12)
            t.append(lines(number + 25, 25))
    if not running:
        t.start()
    t.arrived(500)
    assert numbers(t.place.stored()) == list(range(500))
    t.whole(range(500))


@pytest.mark.parametrize(
    "pattern", ["a.log", pytest.param("a.log*", marks=pytest.mark.slow)], ids=["out of the pattern", "in it"]
)
def test_row_05_what_a_writer_adds_to_the_rotated_file_is_read_until_the_grace_is_over(trial, pattern):
    t = trial(pattern, grace="20s")
    agent = t.reading(10)
    with (t.logs / "a.log").open("ab", buffering=0) as old:
        shift(t.logs, "a.log")
        t.append(lines(100, 10))
        t.arrived(20)
        for number in range(10, 40, 10):
            old.write(lines(number, 10))
            t.arrived(number + 20)
            t.looked()
        with frozen(agent):
            old.write(lines(40, 10))
            t.append(lines(110, 10))
        t.arrived(70)
    t.whole(range(50), range(100, 120))


@pytest.mark.parametrize("pattern", ["app.log", pytest.param("app.log*", marks=pytest.mark.slow)])
def test_row_06_logrotate_with_copytruncate_under_a_running_agent_loses_and_repeats_nothing(trial, pattern):
    rotated_while_written(trial(pattern), COPYTRUNCATE, restarts=False)


def test_row_06_logrotate_with_copytruncate_while_the_agent_is_down_loses_and_repeats_nothing(trial):
    rotated_while_written(trial("app.log*"), COPYTRUNCATE, restarts=True)


@pytest.mark.parametrize("pattern", ["app.log*", "app.log"])
def test_row_06_what_was_not_read_before_the_truncation_is_read_from_the_copy(trial, pattern):
    t = trial(pattern)
    logrotate = Logrotate(t, COPYTRUNCATE)
    (logrotate.root / "finished").touch()
    agent = t.reading(50, "app.log")
    with frozen(agent):
        t.append(lines(50, 50), "app.log")
        logrotate.rotate()
        t.append(lines(100, 200), "app.log")  # more than was read of the old content
    t.arrived(300)
    t.whole(range(300))


def test_row_07_the_hole_that_a_writer_without_append_leaves_is_passed_over_and_counted(trial):
    t = trial("app.log*")
    logrotate = Logrotate(t, COPYTRUNCATE)
    (logrotate.root / "finished").touch()
    with logrotate.path.open("wb", buffering=0) as writer:
        writer.write(lines(0, 200))
        t.start()
        t.arrived(200)
        logrotate.rotate()
        hole = writer.tell()
        assert hole > 20_000
        writer.write(lines(200, 50))
        assert logrotate.path.stat().st_size > hole
        t.arrived(250)
        writer.write(lines(250, 50))
        t.arrived(300)
    documents = t.whole(range(300))
    first = next(one for one in documents if numbers([one]) == [200])
    assert first["trail"]["origin"]["length"] == hole + len(lines(200, 1))
    assert first["trail"]["origin"]["offset"] == 0


def test_row_14_a_folder_of_containers_logs_that_appears_later_and_restarts_is_followed(trial):
    t = trial("pods/*/*/*.log*")
    agent = t.start()
    t.looked()
    pod = t.logs / "pods" / "shop_web-7_0a1b2c3d" / "web"
    pod.mkdir(parents=True)
    (pod / "0.log").write_bytes(lines(0, 20))
    t.arrived(20)
    # The container starts again, and what it wrote before is rotated as the kubelet does it.
    (pod / "1.log").write_bytes(lines(100, 20))
    t.append(lines(20, 20), f"{pod}/0.log")
    t.arrived(60)
    (pod / "1.log").rename(pod / "1.log.20260203-101500")
    (pod / "1.log").write_bytes(lines(120, 20))
    t.arrived(80)
    agent.kill()
    t.append(lines(140, 20), f"{pod}/1.log")
    t.start()
    t.arrived(100)
    t.whole(range(40), range(100, 160))


def test_row_23_a_file_deleted_while_it_is_open_is_read_to_its_end(trial):
    t = trial(grace="20s")
    agent = t.reading(50)
    with (t.logs / "a.log").open("ab", buffering=0) as writer:
        with frozen(agent):
            writer.write(lines(50, 5000))
            (t.logs / "a.log").unlink()
        t.arrived(5050)
        writer.write(lines(5050, 50))  # by somebody who has not noticed
        t.arrived(5100)
        t.append(lines(6000, 50))
        t.arrived(5150)
    t.whole(range(5100), range(6000, 6050))


def test_row_24_what_was_deleted_while_the_agent_was_down_is_a_sealed_loss_with_its_place(trial):
    t = trial()
    agent = t.reading(50)
    agent.kill()
    t.append(lines(50, 50))
    (t.logs / "a.log").unlink()
    t.append(lines(200, 10), "b.log")
    agent = t.start()
    told = agent.wait_told("input: bytes lost before they could be read")[0]
    assert (told["path"], told["offset"], told["seen_size"]) == (str(t.logs / "a.log"), len(lines(0, 50)), None)
    t.arrived(60)
    t.whole(range(50), range(200, 210), lost=[("a.log", len(lines(0, 50)))])


def test_row_24_a_file_deleted_when_the_agent_was_killed_before_its_end_is_a_loss_of_known_size(trial):
    t = trial()
    # Long lines that become short events: much to read, little to deliver.
    long = [line(number, secret="x" * 20_000) + "\n" for number in range(3000)]
    t.append("".join(long).encode())
    size = (t.logs / "a.log").stat().st_size
    agent = t.start()
    t.arrived(1)
    agent.kill()
    (t.logs / "a.log").unlink()
    t.append(lines(3000, 10), "b.log")
    agent = t.start()
    told = agent.wait_told("input: bytes lost before they could be read")[0]
    t.looked(1)
    kept = len(numbers(t.place.stored())) - 10
    assert 0 < kept < 3000
    offset = sum(map(len, long[:kept]))
    assert (told["offset"], told["seen_size"]) == (offset, size)
    documents = t.whole(range(kept), range(3000, 3010), lost=[("a.log", offset)])
    (loss,) = [one for one in documents if one["event"].get("action") == "source.loss"]
    assert f"{size - offset} bytes had been seen" in loss["message"]


# -- compressed files --------------------------------------------------------------------------------------------------


def compressed(path, name):
    """Compress a file as logrotate does, by the program called: a new file beside it, then the old one goes."""
    subprocess.run([program(name, name), "-q", "--keep", path], check=True)
    path.unlink()


@pytest.mark.parametrize(
    "compress",
    ["compress", pytest.param(DELAYED, marks=pytest.mark.slow)],
    ids=["at once", "delayed"],
)
def test_row_15_logrotate_that_compresses_under_a_running_agent_loses_and_repeats_nothing(trial, compress):
    rotated_while_written(trial("app.log*"), CREATE, restarts=False, compress=compress)


def test_row_15_logrotate_that_compresses_while_the_agent_is_down_loses_and_repeats_nothing(trial):
    # Compressed at once, the end of a line that is just being written is lost to everybody: nobody holds the file open.
    rotated_while_written(trial("app.log*"), CREATE, restarts=True, compress=DELAYED)


@pytest.mark.parametrize(("pattern", "name"), [("a.log*", "gzip"), ("a.log", "zstd")], ids=["in the pattern", "beside"])
def test_row_15_a_file_rotated_and_compressed_while_the_agent_was_down_goes_on_where_it_was(trial, pattern, name):
    t = trial(pattern)
    agent = t.reading(50)
    agent.kill()
    t.append(lines(50, 50))
    shift(t.logs, "a.log")
    compressed(t.logs / "a.log.1", name)
    t.append(lines(100, 50))
    t.start()
    t.arrived(150)
    t.whole(range(150))


def test_row_15_members_that_were_put_together_are_one_file_and_read_once_over_a_kill(trial):
    t = trial("*.gz")
    (t.logs / "a.gz").write_bytes(b"".join(gzip.compress(lines(number, 500)) for number in range(0, 1500, 500)))
    agent = t.start()
    t.arrived(1)
    agent.kill()
    agent = t.start()
    t.arrived(1500)
    agent.kill()
    t.start()
    t.whole(range(1500))


def test_row_15_a_compressed_file_that_is_still_being_written_is_read_once_it_is_whole(trial):
    t = trial("*.gz", grace="20s")
    data = gzip.compress(lines(0, 500))
    t.append(data[: len(data) // 2], "a.gz")
    t.start()
    t.looked(1)
    t.append(data[len(data) // 2 :], "a.gz")
    t.arrived(500)
    t.whole(range(500))


@pytest.mark.parametrize("running", [True, False], ids=["running", "down"])
def test_row_14_a_containers_log_that_the_kubelet_compressed_is_the_same_stream_and_not_read_again(trial, running):
    t = trial("pods/*/*/*.log*")
    pod = t.logs / "pods" / "shop_web-7_0a1b2c3d" / "web"
    pod.mkdir(parents=True)
    (pod / "0.log").write_bytes(lines(0, 50))
    agent = t.start()
    t.arrived(50)
    if not running:
        agent.kill()
    t.append(lines(50, 50), f"{pod}/0.log")
    (pod / "0.log").rename(pod / "0.log.20260203-101500")
    (pod / "0.log").write_bytes(lines(100, 50))
    if running:
        t.arrived(150)
    compressed(pod / "0.log.20260203-101500", "gzip")
    if not running:
        t.start()
    t.arrived(150)
    t.append(lines(150, 10), f"{pod}/0.log")
    t.arrived(160)
    t.whole(range(160))
