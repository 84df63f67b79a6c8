"""A stranger's first ten minutes: CONTRIBUTING's "Add a format", done to the letter in a copy of the tree."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks():
    """The fenced blocks of the guide's first section as (language, text). A block may hold one within its docstring."""
    section = GUIDE.partition("## Add a format")[2].partition("\n## ")[0]
    parser = re.search(r"^```python\n(.*?^    return \[op\]\n)```$", section, re.MULTILINE | re.DOTALL)
    rest = section[parser.end() :]
    sample = re.search(r"^```json\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)
    commands = re.search(r"^```sh\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)
    return parser[1], sample[1], commands[1].splitlines()


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree with the stranger's two files."""
    folder = tmp_path_factory.mktemp("stranger")
    for name in ("parsers", "shipper", "mappings", "tests", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, folder / name)
    parser, sample, _ = blocks()
    (folder / "parsers/acme.py").write_text(parser, encoding="utf-8")
    (folder / "tests/golden/acme").mkdir()
    (folder / "tests/golden/acme/normal.log").write_text(sample, encoding="utf-8")
    return folder


def run(tree, *arguments):
    # As on the stranger's machine: CI refuses to write what is expected, since nobody reads it there.
    home = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=home, capture_output=True, text=True, timeout=120, check=False
    )


def test_one_file_and_one_sample_are_a_format(tree):
    """The guide's own commands, in order, with `make docs` left to its own test."""
    _, _, commands = blocks()
    assert [command.split()[0] for command in commands] == [".venv/bin/python"] * 2 + [".venv/bin/fieldtrail", "make"]
    for command in commands[:2]:
        done = run(tree, *command.split()[1:], "-p", "no:cacheprovider")
        assert done.returncode == 0, done.stdout + done.stderr
        assert " passed" in done.stdout
    done = run(tree, "-m", "shipper", *commands[2].split()[1:])
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["message"] for event in events] == [
        "kim@co.example changed open_until of door D7 from 18:00 to 20:00 (Acme Doors)",
        "lee@co.example viewed door D7 (Acme Doors)",
    ]
    assert events[0]["trail"]["change"]["old"] == "18:00" and events[1]["trail"]["raw"] == {"badge": 4711}


def test_a_format_without_a_sample_fails_a_test_that_names_the_file(tree):
    shutil.copy(tree / "parsers/acme.py", tree / "parsers/bare.py")
    text = (
        (tree / "parsers/bare.py").read_text().replace('name="acme"', 'name="bare"').replace("acme_door", "bare_door")
    )
    (tree / "parsers/bare.py").write_text(text)
    try:
        done = run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/test_golden.py", "-k", "bare")
        assert done.returncode == 1
        assert "tests/golden/bare/normal.log is missing" in done.stdout
    finally:
        (tree / "parsers/bare.py").unlink()


def test_the_new_format_is_in_the_list_and_found_by_itself(tree):
    done = run(tree, "-m", "shipper", "formats", "--json")
    assert "acme" in {one["name"] for one in json.loads(done.stdout)}
    done = run(tree, "-m", "shipper", "parse", "tests/golden/acme/normal.log")
    assert all(json.loads(line)["event"]["module"] == "acme" for line in done.stdout.splitlines())
