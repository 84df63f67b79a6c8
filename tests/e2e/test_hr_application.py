"""A real HR application, logrotate, the agent, OpenSearch, rsyslog over TLS: from a click to a question, and the proof.

People edit employees over HTTP, each from an address of their own, while logrotate takes the log away from under the
application and from under the agent. What they did is known from their own lists, never from a log. Then every copy of
it is asked, compared, searched for account numbers, verified with the trust file alone, and tampered with.
"""

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from shipper.seal.findings import KINDS
from shipper.seal.sources import JournalSource
from tests.components import absent
from tests.e2e.agent_process import Place, run
from tests.e2e.hrapp.driver import Application, Deed, Person, iban
from tests.integration.opensearch import server
from tests.integration.receivers_real import Rsyslog, issue

SALARY = "trail.object.id:7711 AND trail.change.field:salary"
WITHHELD = "(withheld)"
NOISE, ROTATIONS = 20, 5
PASSWORDS = {name: f"{name}-likes-long-passwords" for name in ("dana", "lee", "kim", "noor")}
BEGIN = [
    {
        "id": number,
        "name": f"Employee {number}",
        "salary": "90000.00",
        "department": "Recruiting",
        "iban": iban(number),
        "status": "active",
    }
    for number in (7711, 7712, 7713)
]
ACCOUNTS = {name: iban(number) for name, number in (("moved", 880_011), ("hired", 880_012), ("typed", 880_013))}
ROTATE = """
{path} {{
    rotate 200
    create 0600
    nocompress
}}
"""


# -- the parts ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opensearch(tmp_path_factory):
    """The URL of a real OpenSearch; not the one of the integration tests, whose fixtures end at their folder."""
    if url := server.url_from_environment():
        yield url
        return
    if reason := server.missing():
        absent(reason)
    with server.Server(tmp_path_factory.mktemp("opensearch")) as running:
        yield running.url


class Siem:
    """The OpenSearch as its users see it, by plain HTTP."""

    def __init__(self, url, namespace):
        self.url, self.index = url, f"logs-fieldtrail.*-{namespace}"
        self.options = ("--opensearch", url, "--index", self.index)

    def ask(self, method, path, body=None):
        with contextlib.closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)) as connection:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, quote(path, safe="/?=&,.*-_"), data, {"content-type": "application/json"})
            answer = connection.getresponse()
            told = answer.read()
            assert answer.status < 300, (method, path, told)
            return json.loads(told)

    def find(self, query):
        body = {"size": 10_000, "query": query, "sort": [{"@timestamp": "asc"}], "track_total_hits": True}
        found = self.ask("POST", f"/{self.index}/_search", body)["hits"]
        assert found["total"]["value"] == len(found["hits"])
        return found["hits"]

    def refresh(self):
        self.ask("POST", f"/{self.index}/_refresh")

    def documents(self):
        return [hit["_source"] for hit in self.find({"match_all": {}})]


@pytest.fixture(scope="module")
def logrotate():
    program = shutil.which("logrotate", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return program or absent("logrotate is not installed: apt-get install -y logrotate")


@pytest.fixture(scope="module")
def story(opensearch, logrotate, tmp_path_factory):
    """Everything that happened, with the agent ended and all of its outputs complete."""
    root = tmp_path_factory.mktemp("hr")
    siem = Siem(opensearch, f"hr{os.getpid()}{time.monotonic_ns() % 10**8}")
    place, receiver = Place(root), Rsyslog(root, "tls", issue(_folder(root / "pki")))
    done = run("setup", "--opensearch", siem.url, home=root)
    assert done.code == 0, done
    configure(place, siem, receiver)
    log = place.logs / "audit.log"
    begin = {"users": PASSWORDS, "employees": BEGIN}
    try:
        receiver.start()
        agent = place.start().ready()
        trust = place.cli("keys", "trust")
        assert trust.code == 0, trust
        with Application(_folder(root / "app"), log, begin) as application:
            people, rotations = act(application, log, logrotate, root)
        files = [path.read_bytes() for path in place.logs.iterdir()]
        lines = b"".join(files).count(b"\n")
        place.settled(lines, name="hr")
        assert agent.terminate() == 0, agent.logs
        archived = place.archived()
        receiver.lines(len(archived))
        siem.refresh()
        yield SimpleNamespace(
            place=place,
            siem=siem,
            receiver=receiver,
            agent=agent,
            application=application,
            people=people,
            rotations=rotations,
            files=files,
            lines=lines,
            archived=archived,
            trust=trust.out,
        )
    finally:
        place.close()
        receiver.stop()
        with contextlib.suppress(AssertionError):  # where nothing arrived there is nothing to remove
            siem.ask("DELETE", f"/_data_stream/{siem.index}")


def _folder(path):
    path.mkdir(mode=0o700)
    return path


def configure(place, siem, receiver):
    """Nothing about privacy: account numbers are withheld by what is built in."""
    place.write(
        agent={"namespace": siem.index.rpartition("-")[2]},
        seal={"interval": "1s"},
        formats=None,
        privacy=None,
        inputs=[place.input("hr", "audit.log*", format="django_auditlog")],
        outputs=[
            {"id": "siem", "type": "opensearch", "hosts": [siem.url]},
            {
                "id": "soc",
                "type": "syslog",
                "address": f"tls://127.0.0.1:{receiver.port}",
                "tls": {"ca": str(receiver.pki / "ca.pem")},
            },
            {"id": "local", "type": "store"},
            {"id": "archive", "type": "file", "path": str(place.archive)},
        ],
    )


def act(application, log, logrotate, root):
    """Four people work at once while the log is rotated; them, and how often it was."""
    rotate = root / "rotate.conf"
    rotate.write_text(ROTATE.format(path=log))
    rotate.chmod(0o600)
    command = [logrotate, "-f", "-s", str(root / "rotated"), str(rotate)]
    where = {"dana": "127.0.0.1", "lee": "127.0.0.2", "kim": "127.0.0.3", "noor": "127.0.0.4"}
    people = {name: Person(application.url, name, PASSWORDS[name], ip) for name, ip in where.items()}
    enough = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        work = [
            pool.submit(the_interesting, people["dana"], people["lee"]),
            pool.submit(noise, people["kim"], 7712, enough),
            pool.submit(noise, people["noor"], 7713, enough),
        ]
        rotations = 0
        try:
            while not all(one.done() for one in work):
                if log.stat().st_size:
                    subprocess.run(command, check=True, timeout=60)
                    rotations += 1
                if rotations >= ROTATIONS:
                    enough.set()
                time.sleep(0.1)
        finally:
            enough.set()
        for one in work:
            one.result()
    return people, rotations


def the_interesting(dana, lee):
    dana.edit(7711, salary="95000.00")
    lee.edit(7711, salary="120000.50")
    dana.edit(7711, department="Sales")
    lee.edit(7711, iban=ACCOUNTS["moved"])
    hired = lee.create(name="Robin Q", salary="61000.00", department="Sales", iban=ACCOUNTS["hired"], status="active")
    dana.edit(hired, salary="62000.00", status="leave", iban=ACCOUNTS["typed"])
    lee.delete(hired)
    dana.edit(7711)  # opened and saved as it was
    assert dana.forge(7711, salary="1.00") == 403


def noise(person, record, enough):
    number = 0
    while number < NOISE or not enough.is_set():
        person.edit(record, department=f"Team {number}", salary=f"{91_000 + number}.00")
        number += 1


# -- the truth, and what a document says -------------------------------------------------------------------------------


class Said(NamedTuple):
    """One statement: who did what to which field of which record, through which request. None: it is not said."""

    request: str | None
    who: str | None
    ip: str | None
    session: str | None
    record: str
    action: str
    field: str | None = None
    op: str | None = None
    old: str | None = None
    new: str | None = None
    values: Any = None


def truths(people):
    """What must be known of all that was done, the import at the beginning included, once each."""
    for employee in BEGIN:
        after = {name: str(value) for name, value in employee.items()}
        yield from _written(Said(None, None, None, None, after["id"], "record.create"), after, "add")
    for person in people.values():
        session = hashlib.sha256(person.cookie("sessionid").encode()).hexdigest()[:16]
        for deed in person.deeds:
            yield from _of(deed, Said(deed.request, f"{deed.who}@example.com", deed.ip, session, deed.record, ""))


def _of(deed: Deed, common):
    if deed.verb == "create":
        yield from _written(common._replace(action="record.create"), {"id": deed.record, **deed.after}, "add")
    elif deed.verb == "delete":
        yield from _written(common._replace(action="record.delete"), {"id": deed.record, **deed.before}, "remove")
    else:
        for name, new in deed.after.items():
            if (old := deed.before[name]) != new:
                shown = (WITHHELD, WITHHELD) if name == "iban" else (old, new)
                yield common._replace(action="field.update", field=name, op="update", old=shown[0], new=shown[1])


def _written(common, values, op):
    """A whole record: one statement with its values, and one for each field that is sensitive."""
    kept = frozenset((name, value) for name, value in values.items() if name != "iban")
    yield common._replace(values=kept)
    for name, value in (("salary", values["salary"]), ("iban", WITHHELD)):
        old, new = (None, value) if op == "add" else (value, None)
        yield common._replace(action="field.update", field=name, op=op, old=old, new=new)


def said(document):
    """What a document says, in the same words."""
    trail, change = document["trail"], document["trail"].get("change", {})

    def value(side):
        hidden = change.get("redaction") == "mask" and change.get(f"{side}_state") == "value"
        return WITHHELD if hidden and side not in change else change.get(side)

    return Said(
        document.get("http", {}).get("request", {}).get("id"),
        document.get("user", {}).get("email"),
        document.get("source", {}).get("ip"),
        trail.get("session", {}).get("id"),
        trail["object"]["id"],
        document["event"]["action"],
        *(change.get(name) for name in ("field", "op")),
        *(value(side) for side in ("old", "new")),
        frozenset(trail["values"].items()) if "values" in trail else None,
    )


def of_the_source(documents):
    return [one for one in documents if one["event"]["module"] == "django"]


# -- what arrived ------------------------------------------------------------------------------------------------------


def test_the_log_was_rotated_under_the_agent_and_no_entry_of_the_application_is_missing_in_it(story):
    assert story.rotations >= ROTATIONS and sum(bool(data) for data in story.files) >= ROTATIONS
    with contextlib.closing(sqlite3.connect(story.application.database)) as db:
        assert db.execute("SELECT count(*) FROM auditlog_logentry").fetchone() == (story.lines,)
    deeds = [deed for person in story.people.values() for deed in person.deeds]
    assert story.lines == len(BEGIN) + sum(deed.before != deed.after for deed in deeds)
    assert not [one for one in story.agent.logs if one["level"] == "error"]
    assert story.place.cli("dlq", "list", "--json").json == []


def test_every_change_is_in_opensearch_exactly_once_with_who_what_when_and_from_where(story):
    hits = of_the_source(story.siem.documents())
    assert Counter(map(said, hits)) == Counter(truths(story.people))
    moments = {deed.request: deed for person in story.people.values() for deed in person.deeds}
    for one in hits:
        if (request := said(one).request) is not None:
            when = datetime.fromisoformat(one["@timestamp"])
            assert moments[request].began <= when <= moments[request].ended
            assert one["user_agent"]["original"] == f"browser-of-{moments[request].who}"


def test_what_the_source_did_not_say_is_listed_as_missing(story):
    imported = [one for one in of_the_source(story.siem.documents()) if said(one).request is None]
    assert len(imported) == 3 * len(BEGIN)
    for one in imported:
        assert {"user.id", "source.ip", "trail.session.id"} <= set(one["trail"]["missing"])
        assert "user" not in one and "source" not in one


def test_the_same_documents_are_in_opensearch_the_store_the_file_and_at_the_syslog_receiver(story):
    sent = [json.loads(line) for line in story.receiver.lines(len(story.archived))]
    copies = {"siem": story.siem.documents(), "store": story.place.stored(), "file": story.archived, "soc": sent}
    leaves = {name: Counter(_text(one) for one in copy if "seal" in one) for name, copy in copies.items()}
    for name, found in leaves.items():
        assert found == leaves["file"] and max(found.values()) == 1, name
    for name in ("siem", "store", "soc"):
        assert _notes(copies[name]) == _notes(copies["file"]) != []


def _text(document):
    return json.dumps(document, sort_keys=True)


def _notes(documents):
    return sorted(one["trail"]["checkpoint"]["note"] for one in documents if "checkpoint" in one["trail"])


# -- the question ------------------------------------------------------------------------------------------------------


def test_the_siem_answers_who_changed_the_salary_of_employee_7711_from_what_to_what_and_when(story):
    terms = {"object.key": "django:employee/7711", "change.field": "salary", "change.op": "update"}
    query = {"bool": {"filter": [{"term": {f"trail.{name}": value}} for name, value in terms.items()]}}
    found = [hit["_source"] for hit in story.siem.find(query)]
    assert [one["message"] for one in found] == [
        "dana@example.com changed salary of employee 7711 from 90000.00 to 95000.00 via ui (django-auditlog)",
        "lee@example.com changed salary of employee 7711 from 95000.00 to 120000.50 via ui (django-auditlog)",
    ]
    assert [(one["user"]["email"], one["source"]["ip"]) for one in found] == [
        ("dana@example.com", "127.0.0.1"),
        ("lee@example.com", "127.0.0.2"),
    ]
    assert found[1]["trail"]["change"]["delta"] == 25000.5
    first, second = (story.people[name].deeds[0] for name in ("dana", "lee"))
    assert first.began <= datetime.fromisoformat(found[0]["@timestamp"]) <= first.ended
    assert second.began <= datetime.fromisoformat(found[1]["@timestamp"]) <= second.ended


def test_search_and_trace_give_the_same_answer(story, tmp_path):
    found = run("search", SALARY, *story.siem.options, "--json", home=tmp_path)
    assert found.code == 0, found
    told = [said(json.loads(line)) for line in found.out.splitlines()]
    assert [(one.who, one.old, one.new) for one in told] == [
        ("lee@example.com", "95000.00", "120000.50"),
        ("dana@example.com", "90000.00", "95000.00"),
        (None, None, "90000.00"),
    ]
    words = ("trace", "employee/7711", "--field", "salary", *story.siem.options)
    traced = run(*words, "--json", home=tmp_path)
    assert traced.code == 0, traced
    versions = [json.loads(line) for line in traced.out.splitlines()]
    changes = [(one["who"], one["ip"], one["old"], one["new"]) for one in versions if one.get("old")]
    assert changes == [
        ("dana@example.com", "127.0.0.1", "90000.00", "95000.00"),
        ("lee@example.com", "127.0.0.2", "95000.00", "120000.50"),
    ]
    assert not any(one.get("gap") for one in versions)
    rows = [line for line in run(*words, home=tmp_path).out.splitlines() if "lee@example.com" in line]
    assert len(rows) == 1 and "127.0.0.2" in rows[0] and "95000.00" in rows[0] and "120000.50" in rows[0]


# -- what must not be there --------------------------------------------------------------------------------------------


def test_no_account_number_is_in_any_destination_in_the_journal_or_in_what_the_agent_said(story):
    clear = [number.encode() for number in (*ACCOUNTS.values(), *(one["iban"] for one in BEGIN))]
    source = b"".join(story.files)
    assert all(number in source for number in clear)
    answer = json.dumps(story.siem.ask("GET", f"/{story.siem.index}/_search?size=10000")).encode()
    with contextlib.closing(JournalSource(story.place.state / "journal")) as journal:
        journaled = b"\n".join(raw.data for part in (journal.control, journal.events) for raw in part())
    copies = {
        "siem": answer,
        "store": b"\n".join(_text(one).encode() for one in story.place.stored()),
        "file": story.place.archive.read_bytes(),
        "soc": story.receiver.written.read_bytes(),
        "journal": journaled,
    }
    for path in [*story.place.state.rglob("*"), *story.place.root.glob("stderr-*")]:
        if path.is_file():
            copies[str(path)] = path.read_bytes()
    for name, data in copies.items():
        found = [number for number in clear if number in data or number[4:] in data]
        assert not found, name
    for name in ("siem", "store", "file", "soc", "journal"):
        assert b"120000.50" in copies[name] and b"iban" in copies[name], name


# -- the proof ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def trust(story, tmp_path):
    """The trust file as it was given to the auditor at the start of the period, before anything was changed."""
    path = tmp_path / "trust.json"
    path.write_text(story.trust)
    return path


@pytest.fixture
def auditor(story, tmp_path):
    """Runs commands as somebody who has the trust file and nothing of the agent."""
    away = story.place.root / "out-of-reach"
    story.place.state.rename(away)
    yield lambda *words: run(*words, home=tmp_path)
    away.rename(story.place.state)


def test_opensearch_the_file_and_what_rsyslog_kept_verify_with_the_trust_file_alone(story, trust, auditor):
    for words in (
        story.siem.options,
        ("--ndjson", story.place.archive),
        ("--ndjson", story.receiver.written),
    ):
        done = auditor("verify", *words, "--trust", trust)
        assert done.code == 0, (words, done)
        assert "0 modified, 0 missing" in done.out.splitlines()[-1]


def test_the_store_and_the_journal_verify(story, trust):
    for words in (["--store"], ["--journal"], ["--store", "--trust", trust], ["--journal", "--trust", trust]):
        done = story.place.verify(*words)
        assert done.code == 0, (words, done)
        assert "0 modified, 0 missing" in done.out.splitlines()[-1]


def test_one_document_can_be_proved_alone(story, trust, auditor):
    raised = one_hit(story, who="lee@example.com", field="salary", new="120000.50")
    done = auditor("verify", "event", raised["_id"], *story.siem.options, "--trust", trust)
    assert done.code == 0, done


def test_an_edit_a_deletion_and_an_insertion_through_the_api_are_named_and_nothing_else(
    story, trust, auditor, tmp_path
):
    siem = story.siem
    edited = one_hit(story, who="lee@example.com", field="salary", new="120000.50")
    deleted = one_hit(story, who="kim@example.com", field="department", new="Team 3")
    planted = {name: value for name, value in edited["_source"].items() if name != "seal"}
    planted["user"] = {"id": "1", "email": "dana@example.com"}
    stream = deleted["_index"].removeprefix(".ds-").rpartition("-")[0]

    def set_salary(text):
        change = {"trail": {"change": {"new": text, "new_number": float(text)}}}
        siem.ask("POST", f"/{edited['_index']}/_update/{edited['_id']}", {"doc": change})

    set_salary("99000.00")
    siem.ask("DELETE", f"/{deleted['_index']}/_doc/{deleted['_id']}")
    where = siem.ask("PUT", f"/{stream}/_create/planted-by-hand", planted)["_index"]
    siem.refresh()
    try:
        first, second = (hit["_source"]["seal"]["i"] for hit in (edited, deleted))
        done = auditor("verify", *siem.options, "--trust", trust)
        changed = [f"MODIFIED {first}", f"MISSING {second} unexplained"]
        assert (done.code, findings(done)) == (1, sorted([*changed, "INSERTED planted-by-hand"])), done

        copy = tmp_path / "copy.ndjson"
        assert auditor("pull", *siem.options, "--output", copy).code == 0
        lines = [json.loads(line) for line in copy.read_bytes().splitlines()]
        number = next(n for n, one in enumerate(lines, 1) if "seal" not in one and "change" in one["trail"])
        done = auditor("verify", "--ndjson", copy, "--trust", trust)
        assert (done.code, findings(done)) == (1, sorted([*changed, f"INSERTED {copy}:{number}"])), done
    finally:
        set_salary("120000.50")
        siem.ask("PUT", f"/{stream}/_create/{deleted['_id']}", deleted["_source"])
        siem.ask("DELETE", f"/{where}/_doc/planted-by-hand")
        siem.refresh()
    done = auditor("verify", *siem.options, "--trust", trust)
    assert (done.code, findings(done)) == (0, []), done


def one_hit(story, **wanted):
    """The one document of the source that says this."""
    hits = story.siem.find({"term": {"event.module": "django"}})
    (found,) = (hit for hit in hits if wanted.items() <= said(hit["_source"])._asdict().items())
    return found


def findings(done):
    """The findings that a verification printed, without their details."""
    return sorted(line.partition(" (")[0] for line in done.out.splitlines() if line.partition(" ")[0] in KINDS)
