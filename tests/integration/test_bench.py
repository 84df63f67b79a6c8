"""The benchmark and the profile, run for a moment: that they work, not what they find."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.faults.agents import RSYSLOG, Agent
from bench.faults.trial import Count, Trial, line
from bench.peers import Peer
from tests.components import absent

ROOT = Path(__file__).resolve().parents[2]
WHOLE = 300


def run(*arguments):
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        absent("no C compiler: apt-get install gcc libc6-dev")
    argv = [sys.executable, *arguments]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=WHOLE)


@pytest.mark.slow
def test_three_changes_a_line_are_three_events_each_of_which_is_paid_for():
    answer = run("bench/run.py", "--work", "fanout", "--lines", "200", "--rounds", "1", "--json")
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    work = told["works"]["fanout"]
    assert set(work["table"]) == set(work["fields"]) == {"Fieldtrail, 3 changes", "Fieldtrail"}
    assert all(row["cpu_seconds_per_million"]["median"] > 0 for row in work["table"].values())
    assert told["conditions"]["lines"] == 200
    assert told["gates"] == []


def test_a_missed_gate_is_told_and_ends_with_1():
    # A backlog of which nothing but the start is left cannot cost the same in all its parts, nor can it be sampled.
    answer = run("bench/run.py", "--work", "backlog", "--backlog", "200", "--gate", "--json")
    assert answer.returncode in {0, 1}, answer.stderr
    gates = json.loads(answer.stdout)["gates"]
    assert len(gates) == 3
    assert answer.returncode == (0 if all(gate["met"] for gate in gates) else 1)


def test_what_is_not_a_piece_of_work_is_a_mistake_of_the_caller():
    assert run("bench/run.py", "--work", "nothing").returncode == 64
    assert run("bench/run.py", "--rounds", "0").returncode == 64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "wanted"),
    [("clock", ("thread MainThread", "imports at the start", " shipper/")), ("counting", ("calls a line", "process"))],
)
def test_the_profile_names_functions_of_ours_and_what_they_took(way, wanted):
    answer = run("bench/profiling.py", "--way", way, "--lines", "4000", "--most", "200")
    assert answer.returncode == 0, answer.stderr
    for text in wanted:
        assert text in answer.stdout


@pytest.mark.slow
def test_a_scenario_of_the_faults_is_played_to_a_real_agent_and_counted():
    argv = [sys.executable, "-m", "bench.faults", "--quick", "--agent", "Fieldtrail", "--only", "rename-down", "--json"]
    answer = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=WHOLE)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    kept = {"written": 1200, "lost": 0, "doubled": 0, "disordered": 0, "torn": 0}
    assert told["results"] == {"rename-down": {"Fieldtrail *.log": kept, "Fieldtrail *.log*": kept}}
    assert set(told["conditions"]) >= {"Fieldtrail", "configurations", "file system"}


def test_what_is_lost_doubled_out_of_order_or_torn_is_counted(tmp_path):
    trial = Trial(Agent(RSYSLOG, "exact", Peer(Path("rsyslogd"), None, None, "0")), tmp_path)
    log = trial.log()
    for _ in range(6):
        log.next()
    whole = [line("A", number) for number in range(1, 7)]
    trial.sink.write_bytes(b"".join([*whole[:2], whole[3], whole[2], whole[1], whole[4][:70] + b"\n", whole[4][70:]]))
    trial.close()
    assert trial.count() == Count(written=6, lost=2, doubled=1, disordered=1, torn=2)
