"""An analyst's minute: from an empty OpenSearch to who changed the salary of employee 7711, by the README's commands.

The README's configuration is taken as it stands there, with this machine's addresses and the demo's logs in it, and
without what this machine has not got: a syslog receiver, a password.
"""

import re
import shlex
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.components import absent
from tests.e2e.agent_process import environment
from tests.integration.opensearch import server

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MINUTE = 60.0


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def command(beginning):
    """The README's first command that begins so, without its comment."""
    lines = [line.partition("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return next(line for line in lines if line == beginning or line.startswith(f"{beginning} "))


@pytest.fixture
def empty_opensearch(tmp_path):
    """An OpenSearch of this test's own that holds nothing."""
    if reason := server.missing():
        absent(reason)
    with server.Server(tmp_path / "opensearch") as running:
        yield running.url


@pytest.fixture
def folder(tmp_path, empty_opensearch):
    """A user's working folder with the README's configuration."""
    place = tmp_path / "work"
    (place / "crm").mkdir(parents=True)
    (place / "mappings").symlink_to(ROOT / "mappings")
    document = yaml.safe_load(blocks("yaml")[0])
    document["agent"]["state_dir"] = str(place / "state")
    crm, recruiting = document["inputs"]
    crm["paths"] = [f"{place}/crm/*.json"]
    recruiting |= {"paths": [f"{ROOT}/mappings/demo/*.jsonl"], "format": "auto"}
    siem, _soc, archive = document["outputs"]
    assert siem["type"] == "opensearch"
    del siem["auth"]
    siem["hosts"], archive["path"] = [empty_opensearch], f"{place}/events.ndjson"
    document["outputs"] = [siem, archive]
    (place / "fieldtrail.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return place


def test_a_minute_after_the_first_command_the_analyst_knows_who_changed_the_salary(folder, empty_opensearch):
    asked = f"--opensearch {empty_opensearch}"
    steps = [
        command("fieldtrail validate -c fieldtrail.yaml --connect"),
        command("fieldtrail setup -c fieldtrail.yaml"),
        command("fieldtrail run -c fieldtrail.yaml") + " --once",
        f"{command('fieldtrail search')} {asked}",
        f"{command('fieldtrail trace')} --field salary {asked}",
    ]
    began, said = time.monotonic(), {}
    for step in steps:
        at = time.monotonic()
        made = subprocess.run(
            [sys.executable, "-m", "shipper", *shlex.split(step)[1:]],
            cwd=folder,
            env=environment(folder),
            capture_output=True,
            text=True,
            timeout=MINUTE,
            check=False,
        )
        if " validate " not in step:  # before `setup` it says that the templates are missing
            assert made.returncode == 0, f"{step}\n{made.stdout}\n{made.stderr}"
        said[step] = made.stdout
        print(f"{time.monotonic() - at:5.1f} s  {step}")
        if " run " in step:
            _refresh(empty_opensearch)
    took = time.monotonic() - began
    print(f"{took:5.1f} s  from an empty OpenSearch to the answer")
    found, history = list(said.values())[3:]
    assert "dana changed salary of employee 7711 from 61000.00 to 74500.00" in " ".join(found.split())
    assert re.search(r"2026-02-03T09:15:42\.551231Z +dana +192\.0\.2\.17 .*salary +61000\.00 +74500\.00", history)
    assert took < MINUTE


def _refresh(url):
    """What an analyst would wait a second for."""
    with urllib.request.urlopen(urllib.request.Request(f"{url}/logs-fieldtrail.*/_refresh", method="POST"), timeout=20):
        pass
