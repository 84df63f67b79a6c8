"""The documentation cannot lie: its commands run, its tables are the program's, its links lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import parsers
from tools import docs

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands():
    for block in blocks(README, "sh"):
        for line in block.splitlines():
            command = line.partition("  #")[0].strip()
            if command:
                yield command


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A user's working folder: the configuration of the README with addresses of this machine, and a first run."""
    folder = tmp_path_factory.mktemp("readme")
    text = blocks(README, "yaml")[0]
    (folder / "crm").mkdir()
    (folder / "mappings").symlink_to(ROOT / "mappings")
    for old, new in (
        ("/var/lib/fieldtrail", f"{folder}/state-configured"),
        ("/var/log/crm", f"{folder}/crm"),
        ("/var/log/greenhouse", f"{ROOT}/mappings/demo"),
        ("/var/log/fieldtrail/events.ndjson", f"{folder}/events.ndjson"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "fieldtrail.yaml").write_text(text, encoding="utf-8")
    run = fieldtrail(folder, "fieldtrail run --once mappings/demo/*.jsonl")
    assert run.returncode == 0, run.stderr
    return folder


def fieldtrail(folder, command):
    """A shell line of the README, with `fieldtrail` from this checkout."""
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(folder / "state"),
        "OPENSEARCH_PASSWORD": "not-a-password",
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
    }
    python = shlex.quote(sys.executable)
    script = f'fieldtrail() {{ {python} -m shipper "$@"; }}\nset -o pipefail\n{command}'
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


ANSWERS = {
    "make demo": None,  # its program is run below; the target itself by .ci/run
    "make test": None,  # this is it
    "fieldtrail run --once mappings/demo/*.jsonl": 0,
    "fieldtrail search 'trail.change.field:salary'": 0,
    "fieldtrail trace django:employee/7711": 0,
    "fieldtrail verify --store": 0,
    "fieldtrail coverage": 0,
    "fieldtrail parse --format greenhouse mappings/demo/greenhouse-audit.jsonl": 0,
    "fieldtrail formats greenhouse": 0,
    "fieldtrail validate -c fieldtrail.yaml": 0,
    "fieldtrail validate -c fieldtrail.yaml --connect": 69,  # acme.example does not answer here
    "fieldtrail setup -c fieldtrail.yaml": 69,
    "fieldtrail run -c fieldtrail.yaml": None,  # runs until it is stopped: tests/e2e
    "fieldtrail init --source makecom": 64,  # nobody is there to be asked: tests/integration/test_init_connect.py
    "fieldtrail status -c fieldtrail.yaml": 69,  # no agent runs
    "fieldtrail status -c fieldtrail.yaml --watch": 69,
    "curl -s http://127.0.0.1:9599/metrics": None,  # tests/e2e/test_metrics.py
    "fieldtrail keys trust -c fieldtrail.yaml > trust.json": 0,
    "fieldtrail verify --opensearch https://search.acme.example:9200 --trust trust.json": 69,
    "fieldtrail pull --opensearch https://search.acme.example:9200 > copy.ndjson && "
    "fieldtrail verify --ndjson copy.ndjson --trust trust.json": 69,
    "fieldtrail verify event <_id> --store": None,  # tests/e2e/test_cli.py, with a real id
    "fieldtrail verify --store --record": None,  # tests/e2e/test_own_documents.py, with a running agent
    "fieldtrail run --once -c fieldtrail.yaml": None,  # tests/e2e/test_analysts_minute.py
    "fieldtrail search 'trail.change.field:salary' --opensearch https://search.acme.example:9200": 69,
    "fieldtrail trace django:employee/7711 --field salary --opensearch https://search.acme.example:9200": 69,
}
"""Every command of the README and the exit code it has here."""


def test_every_command_of_the_readme_has_an_answer():
    assert set(commands()) == set(ANSWERS)


@pytest.mark.parametrize("command", [command for command, code in ANSWERS.items() if code is not None])
def test_the_readmes_commands_do_what_it_says(place, command):
    if "trust" in command and not (place / "state-configured").exists():
        made = fieldtrail(place, "fieldtrail keys init -c fieldtrail.yaml")
        assert made.returncode == 0, made.stderr
        fieldtrail(place, "fieldtrail keys trust -c fieldtrail.yaml > trust.json")
    result = fieldtrail(place, command)
    assert result.returncode == ANSWERS[command], result.stderr
    if result.returncode == 0 and "trust" not in command and "run" not in command:
        assert result.stdout.strip()
    if result.returncode == 69:
        said = result.stdout + result.stderr
        assert "acme.example" in said or "control.sock" in said
        assert "hint:" in said


def test_the_demo_tells_its_story(tmp_path):
    result = fieldtrail(tmp_path, "fieldtrail demo")
    assert result.returncode == 0, result.stderr
    for part in ("changed salary", "0 modified, 0 missing", "MODIFIED", "INSERTED", "caught, exactly these three"):
        assert part in result.stdout


def test_the_readme_table_of_formats_is_the_programs():
    assert docs.readme(README) == README, "run make docs"


def test_the_command_line_reference_is_the_programs():
    # In a process of its own: click keeps a command's help option as it was first asked for, with or without its group.
    program = "from tools import docs; print(docs.cli_reference(), end='')"
    made = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8") == made.stdout, "run make docs"


def test_the_configuration_reference_is_the_programs():
    page = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    assert page == docs.configuration_reference(), "run make docs"


@pytest.mark.parametrize("name", ["README", *parsers.names()])
def test_the_page_of_a_format_is_made_of_its_parser(name):
    made = docs.formats_index() if name == "README" else docs.format_page(name)
    page = ROOT / f"docs/formats/{name}.md"
    assert page.exists() and page.read_text(encoding="utf-8") == made, "run make docs"


def test_no_page_of_a_format_is_left_without_its_parser():
    assert {page.stem for page in (ROOT / "docs/formats").glob("*.md")} == {"README", *parsers.names()}


def test_the_list_of_grok_patterns_is_the_programs():
    guide = (ROOT / "docs/howto/own-format.md").read_text(encoding="utf-8")
    assert docs.own_format(guide) == guide, "run make docs"


def test_the_key_tables_of_the_siem_guide_are_the_programs():
    guide = (ROOT / "docs/howto/siem-syslog.md").read_text(encoding="utf-8")
    assert docs.siem_syslog(guide) == guide, "run make docs"
    assert guide.count("| `cs1` | Old Value |") == 1 and guide.count("| `oldValue` |") == 1


def test_what_each_source_is_asked_is_the_programs():
    guide = (ROOT / "docs/howto/connect.md").read_text(encoding="utf-8")
    assert docs.connect(guide) == guide, "run make docs"


def test_the_example_of_the_guide_to_own_formats_reads_what_it_says(tmp_path):
    guide = (ROOT / "docs/howto/own-format.md").read_text(encoding="utf-8")
    (tmp_path / "own.yaml").write_text(blocks(guide, "yaml")[0], encoding="utf-8")
    line = "2026-02-03T10:30:00Z 192.0.2.7 kim set offer/55 salary: 90000 -> 120000"
    made = fieldtrail(tmp_path, f"echo '{line}' | fieldtrail parse -c own.yaml --format legacy_hr")
    assert "kim changed salary of offer 55 from 90000 to 120000 (Legacy HR)" in made.stdout, made.stderr


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_files_that_are_there(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs/explanation/dependencies.md").read_text(encoding="utf-8")
    for requirement in project["dependencies"]:
        name = re.split(r"[<>=;\[ ]", requirement)[0]
        assert f"| {name} |" in page, name


def test_nothing_claims_to_be_tamper_proof():
    words = re.compile("tamper" + "-?proof|immut" + "able", re.IGNORECASE)
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            assert not words.search(line) or "never" in line or "not" in line, f"{page.name}: {line}"


def test_lock_files_carry_hashes_and_no_addresses():
    for name in ("runtime.txt", "dev.txt"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
        for block in re.split(r"\n(?=\S)", text.strip()):
            assert "--hash" in block, block.splitlines()[0]
