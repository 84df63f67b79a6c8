"""SIGKILL between a refusal and the leaf that explains it: the leaf comes after the restart, and the letter once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.agent_process import Place, controls, environment, lines
from tests.integration.faulty_opensearch import FaultyOpenSearch, good, item, items

AGENT = Path(__file__).with_name("between.py")


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


def refusing(*numbers):
    """A bulk answer that refuses the events about these objects for good."""

    def answer(request):
        bad = {
            identity
            for _, identity, document in list(request.lines())
            if json.loads(document).get("trail", {}).get("object", {}).get("id") in numbers
        }
        refusal = item(400, "mapper_parsing_exception", "failed to parse field [trail.x]")
        items(lambda identity: refusal if identity in bad else None)(request) if bad else good(request)

    return answer


def killed(place):
    """Run the agent that kills itself."""
    done = subprocess.run([sys.executable, AGENT, place.config], env=environment(place.root), timeout=60, check=False)
    assert done.returncode == -9


def test_a_refusal_that_was_not_yet_told_is_told_after_a_kill_and_stands_once_in_the_dead_letters(place):
    with FaultyOpenSearch() as search:
        search.always = refusing("3", "4", "7")
        place.write(outputs=[{"id": "siem", "type": "opensearch", "hosts": [search.url]}])
        place.append(lines(0, 10))
        killed(place)
        assert len(place.cli("dlq", "list", "--json").json) == 3
        assert place.once().code == 0
        letters = place.cli("dlq", "list", "--json").json
        assert [json.loads(one["document"])["trail"]["object"]["id"] for one in letters] == ["3", "4", "7"]
        got = place.root / "siem.ndjson"
        got.write_bytes(b"".join(data + b"\n" for data in search.documents.values()))
        told = [json.loads(one) for one in search.documents.values()]
        assert [leaf["to"] - leaf["from"] for leaf in controls(told, "reject")] == [1, 0]
        done = place.verify("--ndjson", got)
        assert done.code == 0, done
        assert "rejected" in done.out and "unexplained" not in done.out
