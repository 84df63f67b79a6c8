"""logrotate renames the archive and the agent is killed at once: every document stands once, in one of the files."""

import signal

import pytest

from tests.e2e.agent_process import eventually, lines, numbers


@pytest.mark.parametrize("stopped", ["after the new file was begun", "before anything was written again"])
def test_a_kill_right_after_a_rename_of_the_archive_repeats_nothing(place, stopped):
    renamed = place.archive.with_name("archive.ndjson.1")
    place.write(outputs=[{"id": "archive", "type": "file", "path": str(place.archive)}])
    agent = place.start().ready()
    place.append(lines(0, 50))
    place.settled(50)
    place.append(lines(50, 50))
    eventually(lambda: len(numbers(place.archived())) == 100)
    agent.signal(signal.SIGSTOP)
    place.archive.rename(renamed)
    place.append(lines(100, 50))
    if stopped.startswith("after"):
        agent.signal(signal.SIGCONT)
        eventually(lambda: place.archive.exists() and place.archive.stat().st_size)
    agent.kill()
    place.append(lines(150, 50))
    again = place.start().ready()
    place.settled(50)
    eventually(lambda: numbers(place.archived())[-1:] == [199])
    assert again.terminate() == 0
    assert numbers(place.archived(renamed) + place.archived()) == list(range(200))
    assert sorted(file.name for file in place.root.glob("archive*")) == [place.archive.name, renamed.name]
    done = place.verify("--ndjson", renamed, place.archive)
    assert done.code == 0, done
