"""A small company on two days, through the real pipeline: what the tests of dashboards, queries and monitors look at.

`seed(folder, namespace, url, ask)` writes the logs of `SOURCES`, runs the agent once over them at `NOW`, and adds what an
agent tells about its own health in the hours before. All times are fixed, so queries use absolute ranges (`SINCE` to
`UNTIL`); the figures that tests expect are counted by hand from the lines. The people and their logs: tests/siem_sources.py.
"""

import contextlib
import http.client
import json
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

from shipper import build, health, recorded
from shipper.agent import Agent
from shipper.config import Config
from shipper.logbook import Identity
from shipper.outputs._opensearch_client import Client
from shipper.siem.install import install
from shipper.siem.templates import template_parts
from tests.sealed import Book
from tests.siem_sources import DAY, SOURCES

SINCE, UNTIL = "2026-02-03T00:00:00.000Z", "2026-02-05T00:00:00.000Z"
"""The range that holds every document of the set."""
NOW = 1_770_206_400.0
"""2026-02-04T12:00:00Z, when the agent reads."""


class FixedClock:
    """Wall time stands still, waiting goes on."""

    def now(self):
        return NOW

    def monotonic(self):
        return time.monotonic()


# -- what two agents told about themselves -----------------------------------------------------------------------------

AGENTS = ("hr-app-03", "crm-app-01")
NOON = NOW
REPORTED = (NOON - 900, NOON - 600, NOON - 300)
"""11:45, 11:50, 11:55 on 4 February."""

# (agent, component, id) -> what it said at each of REPORTED
REPORTS_OF = {
    ("hr-app-03", "agent", "hr-app-03"): (
        {"journal_bytes": 4_000_000, "memory_bytes": 80_000_000},
        {"journal_bytes": 4_500_000, "memory_bytes": 81_000_000},
        {"journal_bytes": 5_000_000, "memory_bytes": 82_000_000},
    ),
    ("hr-app-03", "input", "hr-app"): (
        {"read": 100, "events": 120, "unparsed": 1, "lag_bytes": 0, "idle_seconds": 2},
        {"read": 200, "events": 240, "unparsed": 0, "lag_bytes": 0, "idle_seconds": 4},
        {"read": 50, "events": 60, "unparsed": 2, "lag_bytes": 4096, "idle_seconds": 1},
    ),
    ("hr-app-03", "input", "make"): (
        {"read": 10, "events": 10, "unparsed": 0, "lag_bytes": 0, "idle_seconds": 30},
        {"read": 0, "events": 0, "unparsed": 0, "lag_bytes": 0, "idle_seconds": 330},
        {"read": 0, "events": 0, "unparsed": 0, "lag_bytes": 0, "idle_seconds": 630},
    ),
    ("hr-app-03", "output", "siem"): (
        {"delivered": 130, "rejected": 0, "pending": 0, "dead_letters": 0, "lag_seconds": 0},
        {"delivered": 240, "rejected": 1, "pending": 20, "dead_letters": 1, "lag_seconds": 12},
        {"delivered": 60, "rejected": 2, "pending": 45, "dead_letters": 3, "lag_seconds": 95},
    ),
    ("crm-app-01", "agent", "crm-app-01"): (
        {"journal_bytes": 1_000_000, "memory_bytes": 60_000_000},
        {"journal_bytes": 1_000_000, "memory_bytes": 60_000_000},
        {"journal_bytes": 1_100_000, "memory_bytes": 61_000_000},
    ),
    ("crm-app-01", "input", "crm"): (
        {"read": 40, "events": 40, "unparsed": 0, "lag_bytes": 0, "idle_seconds": 9},
        {"read": 40, "events": 40, "unparsed": 4, "lag_bytes": 512, "idle_seconds": 3},
        {"read": 40, "events": 40, "unparsed": 0, "lag_bytes": 0, "idle_seconds": 7},
    ),
    ("crm-app-01", "output", "siem"): (
        {"delivered": 40, "rejected": 0, "pending": 0, "dead_letters": 0, "lag_seconds": 0},
        {"delivered": 40, "rejected": 0, "pending": 0, "dead_letters": 0, "lag_seconds": 0},
        {"delivered": 40, "rejected": 0, "pending": 0, "dead_letters": 0, "lag_seconds": 1},
    ),
}

VERIFIED = (
    (
        NOON - 30_000,
        True,
        {"sealed": 400, "found": 400, "modified": 0, "missing": 0, "inserted": 0, "findings": 0},
    ),
    (NOON - 3_600, False, {"sealed": 520, "found": 518, "modified": 1, "missing": 2, "inserted": 0, "findings": 3}),
)
"""03:40 and 11:00: the last verification found one document changed and two gone."""


def _health(identity):
    """Everything that one agent said about itself."""
    for n, now in enumerate(REPORTED):
        for (agent, component, ident), reports in REPORTS_OF.items():
            if agent == identity.name:
                part = {"component": component, "id": ident, **reports[n]}
                message = f"{component} {ident}"
                yield build.health_event(
                    identity, health.ACTION, message, now, trail={"health": part}, name=f"{component}:{ident}"
                )
    if identity.name != AGENTS[0]:
        return
    lost = {"input": "hr-app", "path": "/var/log/hr/audit.log", "offset": 4096}
    yield build.health_event(identity, "source.loss", "lost unread bytes of /var/log/hr/audit.log", NOON - 840, lost)
    for now, ok, figures in VERIFIED:
        summary = (
            f"{figures['sealed']} sealed, {figures['found']} found, {figures['modified']} modified, "
            f"{figures['missing']} missing; complete since received"
        )
        result = {"ok": ok, "source": "opensearch", **figures, "since": None, "until": None, "summary": summary}
        assert not recorded.problem_of(result)
        yield recorded.event_of(result, identity, now)


def _alert(number, when, rule, severity, group, evidence, why):
    time = f"{DAY}T{when}.000Z"
    return {
        "@timestamp": time,
        "ecs": {"version": "9.4.0"},
        "event": {
            "action": "rule.match",
            "category": ["intrusion_detection"],
            "created": time,
            "dataset": "fieldtrail.alert",
            "id": f"alert-{number}",
            "kind": "alert",
            "module": "fieldtrail",
            "severity": severity,
            "type": ["info"],
        },
        "message": why,
        "rule": {"id": f"00000000-0000-4000-8000-{number:012d}", "name": rule},
        "trail": {
            "alert": {"id": f"alert-{number}", "group": group, "evidence_count": evidence, "why": why},
            "operation": {"change_count": 0, "head": True, "id": f"alert-{number}"},
            "schema": 1,
        },
    }


ALERTS = (
    _alert(
        1, "16:40:30", "Failed logins, then success", 73, "user.id=00u9sam", 5, "4 failed logins, then one that worked"
    ),
    _alert(2, "16:45:30", "Large export", 47, "user.id=9", 1, "48211 rows left"),
)


def books(namespace: str) -> list[Book]:
    """The sealed logs of what both agents said about themselves, and of the alerts; each ends in a checkpoint.

    `documents` of a book holds (id, bytes) in order.
    """
    made = []
    for name in AGENTS:
        origin = f"co.example/audit/{name}/20260204T110000Z-0a1b2c3d"
        book = Book(origin, start=NOON - 1_000, agent=name, namespace=namespace).begin()
        who = Identity(name, "0.1.0", namespace, f"co.example/audit/{name}", book.key, bytes(32))
        for event in sorted(_health(who), key=lambda one: one["@timestamp"]):
            book.seal(event)
        if name == AGENTS[0]:
            for alert in ALERTS:
                stream = {"dataset": "fieldtrail.alert", "namespace": namespace, "type": "logs"}
                agent = {"name": name, "type": "fieldtrail", "version": "0.1.0"}
                book.seal({**alert, "agent": agent, "data_stream": stream})
        book.now = NOON - 240
        book.checkpoint()
        made.append(book)
    return made


def bulk(namespace: str) -> bytes:
    """The body of one `_bulk` request with the documents of `books`."""
    lines = []
    for book in books(namespace):
        for ident, data in book.documents:
            dataset = json.loads(data)["data_stream"]["dataset"]
            lines += [json.dumps({"create": {"_index": f"logs-{dataset}-{namespace}", "_id": ident}}).encode(), data]
    return b"\n".join(lines) + b"\n"


# -- running it --------------------------------------------------------------------------------------------------------


def write_logs(folder: Path) -> None:
    """The log files of `SOURCES`."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in SOURCES.values():
        (folder / source.file).write_text("".join(line + "\n" for line in source.lines), encoding="utf-8")


def configuration(folder: Path, namespace: str, *outputs) -> Config:
    """The agent's configuration over `folder`; `outputs` are sections as in the file."""
    return Config.model_validate(
        {
            "agent": {
                "name": "hr-app-03",
                "namespace": namespace,
                "origin": "co.example/audit",
                "state_dir": str(folder / "state"),
            },
            "inputs": [
                {
                    "id": ident,
                    "type": "file",
                    "paths": [str(folder / "logs" / source.file)],
                    "format": source.format,
                    "timezone": "UTC",
                }
                for ident, source in SOURCES.items()
            ],
            "outputs": list(outputs),
        }
    )


def run_agent(folder: Path, namespace: str, *outputs) -> None:
    """Write the logs below `folder` and run the agent over them once, its clock at `NOW`."""
    write_logs(folder / "logs")
    config = configuration(folder, namespace, *outputs)
    code = Agent(config, str(folder / "fieldtrail.yaml"), once=True, clock=FixedClock()).run()
    assert code == 0, code


def asking(url: str):
    """`ask(method, path, body)` of one server, as the fixture of the integration tests."""

    def ask(method, path, body=None):
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        with contextlib.closing(connection):
            kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, {"content-type": kind})
            response = connection.getresponse()
            text = response.read()
            return SimpleNamespace(status=response.status, json=json.loads(text) if text else None, body=text)

    return ask


def install_templates(url: str) -> None:
    """Our index templates."""
    client = Client([url])
    with contextlib.closing(client):
        list(install(client, template_parts()))


def seed(folder: Path, namespace: str, url: str, ask) -> None:
    """The whole set in OpenSearch (templates must be there); `ask` is the fixture of the integration tests."""
    run_agent(folder, namespace, {"id": "siem", "type": "opensearch", "hosts": [url]})
    reply = ask("POST", "/_bulk?refresh=true", bulk(namespace))
    assert reply.status == 200 and not reply.json["errors"], reply.body[:2000]
    assert ask("POST", f"/logs-fieldtrail.*-{namespace}/_refresh").status == 200
