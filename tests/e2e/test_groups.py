"""Records of several lines through the whole agent: killed and started again, rotated, read once."""

from collections import Counter

import pytest

from tests.e2e.agent_process import Place, eventually, numbers

TABLE = {
    "decode": "csv",
    "time": {"field": "time"},
    "map": {"user.name": "who", "trail.object.type": "kind", "trail.object.id": "n"},
    "default_action": "record.create",
}
HEADER = b"time,who,kind,n,remark\n"


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


def rows(first, count):
    """Rows of which each has a value with line ends in it."""
    return "".join(
        f'2026-02-03T10:30:00Z,kim,offer,{number},"one ""{number}""\n\ntwo, three"\n'
        for number in range(first, first + count)
    ).encode()


def overlapping(number):
    """Two events of the audit log, of which the second begins before the first ends."""
    parts = []
    for serial in (number * 2, number * 2 + 1):
        head = f"msg=audit(1770110400.{number % 1000:03d}:{serial}): "
        parts += [
            f'type=SYSCALL {head}arch=c000003e syscall=59 success=yes exit=0 auid=1000 uid=1000 ses=3 exe="/bin/a"\n',
            f'type=EXECVE {head}argc=2 a0="a" a1="{serial}"\n',
        ]
    ends = [
        f"type=PROCTITLE msg=audit(1770110400.{number % 1000:03d}:{serial}): proctitle=61\n"
        for serial in (number * 2, number * 2 + 1)
    ]
    return "".join([*parts, *ends]).encode()


def started(documents):
    """The arguments of the programs that were started, in order."""
    return [
        (int(one["event"]["id"].partition(":")[2]), one["process"]["args"])
        for one in documents
        if one["event"].get("action") == "process.start"
    ]


def test_rows_of_csv_come_exactly_once_over_kills_and_rotations(place):
    place.write(inputs=[place.input("app", "table.csv*", format="table")], formats={"table": TABLE})
    data, written = HEADER + rows(0, 40), 40
    place.append(data, "table.csv")
    for turn in range(4):
        agent = place.start().ready()
        more = rows(written, 30)
        written += 30
        # Cut in the middle of a quoted value, so that the kill falls into a row.
        place.append(more[:-10], "table.csv")
        eventually(lambda seen=written - 20: len(numbers(place.archived())) >= seen, "most rows arrived")
        agent.kill()
        place.append(more[-10:], "table.csv")
        if turn % 2:
            (place.logs / "table.csv").rename(place.logs / f"table.csv.{turn}")
            place.append(HEADER + rows(written, 10), "table.csv")
            written += 10
    assert place.once().code == 0
    assert sorted(set(numbers(place.stored()))) == list(range(written))
    assert max(Counter(numbers(place.stored())).values()) == 1
    assert place.verify("--store").code == 0 and place.verify("--journal").code == 0


def test_events_of_the_audit_log_come_exactly_once_over_kills(place):
    place.write(inputs=[place.input("app", "audit.log", format="auditd")])
    data = b"".join(overlapping(number) for number in range(200))
    at = 0
    for step in (20_011, 20_123, 19_999, len(data)):
        place.append(data[at : at + step], "audit.log")
        at = min(len(data), at + step)
        agent = place.start().ready()
        whole = data[:at].count(b"PROCTITLE") - 4
        eventually(lambda seen=whole: len(started(place.stored())) >= seen, "most events arrived")
        agent.kill()
    assert place.once().code == 0
    assert started(place.stored()) == [(serial, ["a", str(serial)]) for serial in range(400)]
    assert place.verify("--store").code == 0 and place.verify("--journal").code == 0


def test_a_group_that_nothing_ends_arrives_after_the_timeout_of_its_input(place):
    settings = {"start": r"\d{4}-", "timeout": "200ms"}
    place.write(inputs=[place.input("app", format="text", framing="multiline", multiline=settings)])
    place.append(b"2026-01 failed\n  at one\n  at two\n")
    agent = place.start().ready()
    eventually(lambda: [one for one in place.stored() if one["event"].get("original")], "the group arrived")
    (found,) = [one["event"]["original"] for one in place.stored() if one["event"].get("original")]
    assert found == "2026-01 failed\n  at one\n  at two"
    assert agent.terminate() == 0


def test_the_formats_of_joined_lines_and_of_a_pretty_printed_document_are_told_by_themselves(place):
    place.write(inputs=[place.input("app", "*", format="auto")])
    place.append(overlapping(1), "a")
    place.append(b'[{\n  "n": 1\n}, {\n  "n": 2\n}]', "b")
    assert place.once().code == 0
    assert started(place.stored()) == [(2, ["a", "2"]), (3, ["a", "3"])]
    raw = [one["trail"]["raw"] for one in place.stored() if one["event"].get("module") == "json"]
    assert raw == [{"n": 1}, {"n": 2}]


def test_framings_that_cannot_be_are_configuration_errors(place):
    place.write(inputs=[place.input("app", framing="multiline"), place.input("b", multiline={"start": "x"})])
    done = place.cli("validate")
    assert done.code == 78
    assert "inputs[0].multiline.start: is required for framing multiline" in done.err
    assert "inputs[1].multiline.start: framing lines has no start" in done.err
