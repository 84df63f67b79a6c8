"""The parts of the syslog input that need no socket: the mailbox, the reports, the formats by program, the section."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from parsers._contract import Context, Rejected
from shipper import config
from shipper.build import Lanes, told_event
from shipper.errors import ConfigError
from shipper.formats import Formats
from shipper.framing import Block
from shipper.inputs.syslog._mailbox import Mailbox, Sender
from shipper.inputs.syslog._reports import EVERY, Reports
from shipper.inputs.syslog.input import program
from shipper.logbook import Identity
from shipper.model import Record
from shipper.pipeline import process
from shipper.schema import check

CTX = Context(zone="UTC")


def messages(*texts, at=0):
    found = []
    for text in texts:
        found.append(Record(text, at, len(text) + 1))
        at += len(text) + 1
    return found


def test_senders_take_turns_and_each_ones_messages_keep_their_order():
    box = Mailbox()
    one, two = Sender("1", "tcp://192.0.2.1", "192.0.2.1"), Sender("2", "tcp://192.0.2.2", "192.0.2.2")
    box.put(one, Block(b"a\nb\n", 0))
    box.put(one, Block(b"c\n", 4))
    box.put(two, messages(b"x"))
    box.put(two, messages(b"y", at=2))
    taken = []
    while (part := box.take()) is not None:
        taken.append((part.sender.id, [record.data for record in part.records]))
    assert taken == [("1", [b"a", b"b"]), ("2", [b"x", b"y"]), ("1", [b"c"])]
    assert box.bytes == 0
    assert (one.end, two.end) == (6, 4)


def test_a_stream_ends_once_everything_of_it_was_taken():
    box, sender = Mailbox(), Sender("1", "udp://192.0.2.1", "192.0.2.1")
    box.put(sender, messages(b"a"))
    box.leave(sender)
    assert box.ended() == []
    box.take()
    assert box.ended() == ["1"]
    assert box.ended() == []
    silent = Sender("2", "udp://192.0.2.2", "192.0.2.2")
    box.leave(silent)
    assert box.ended() == [], "a stream without a message has no position"


def test_a_full_mailbox_stays_full_until_half_of_it_is_gone():
    box, sender = Mailbox(most=4000), Sender("1", "udp://192.0.2.1", "192.0.2.1")
    other = Sender("2", "udp://192.0.2.2", "192.0.2.2")
    box.put(sender, messages(b"x" * 1400))
    assert not box.full
    box.put(other, messages(b"x" * 2800))
    assert box.full
    box.take()
    assert box.full
    box.take()
    assert not box.full


def test_refusals_and_drops_are_told_once_a_minute_with_their_counts():
    reports = Reports()
    for _ in range(3):
        reports.refuse("tcp://127.0.0.1:5514", "not in allow", "192.0.2.9")
    reports.drop("udp://127.0.0.1:5514", 17)
    told = reports.take(1000.0)
    assert [(one.action, one.trail["health"]) for one in told] == [
        ("source.loss", {"dropped": 17}),
        ("source.refused", {"refused": 3}),
    ]
    assert "not in allow (3); the last from 192.0.2.9" in told[1].message
    reports.drop("udp://127.0.0.1:5514", 1)
    assert reports.take(1000.0 + EVERY - 1) == []
    assert [one.trail["health"] for one in reports.take(1000.0 + EVERY)] == [{"dropped": 1}]
    reports.drop("udp://127.0.0.1:5514", 5)
    assert [one.trail["health"] for one in reports.take(1000.0 + EVERY + 1, ending=True)] == [{"dropped": 5}]
    assert reports.take(1000.0 + EVERY + 1, ending=True) == []
    assert (reports.refused, reports.dropped) == (3, 23)


def test_what_is_told_makes_sealed_documents_that_fit_the_field_table():
    reports = Reports()
    reports.refuse("tcp://127.0.0.1:5514", "not in allow", "192.0.2.9")
    reports.drop("udp://127.0.0.1:5514", 17)
    key = ed25519.Ed25519PrivateKey.generate()
    identity = Identity("t1", "1", "default", "test.example/t1", key, bytes(32))
    told = [told_event(identity, "net", one, 1_800_000_000.0, at) for at, one in enumerate(reports.take(1000.0))]
    assert [check(event) for event in told] == [[], []]
    assert told[0]["trail"]["health"] == {"dropped": 17}
    assert told[0]["trail"]["origin"]["input"] == "net"
    assert len({event["event"]["id"] for event in told}) == 2


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"<38>1 2026-02-03T10:30:00.123Z web1 hr-app 4711 LOGIN - hello", b"hr-app"),
        (b"<38>1 - - - - - - hello", b"-"),
        (b"<38>Mar 10 13:55:36 host sshd[1234]: Failed password", b"sshd"),
        (b"<38>Mar 10 13:55:36 host su: (to root) kim", b"su"),
        (b"Mar  1 13:55:36 host cron[1]: run", b"cron"),
        (b"<38>2026-02-03T10:30:00.123+01:00 host app[7]: hello", b"app"),
        (b'{"a": 1}', b""),
        (b"", b""),
    ],
)
def test_the_program_is_found_in_every_kind_of_header(line, name):
    assert program(line) == name


SSHD = b"<38>Mar 10 13:55:36 host sshd[1234]: Failed password for invalid user admin from 203.0.113.7 port 40022 ssh2"
STRUCTLOG = (
    b'<14>1 2026-02-03T10:30:00Z web1 hr-app 7 - - {"event": "saved", "level": "info",'
    b' "timestamp": "2026-02-03T10:29:59Z", "logger": "hr"}'
)


def test_a_format_is_told_with_its_envelope_or_inside_it():
    formats = Formats()
    assert formats.judge_messages(SSHD + b"\n", CTX).format == "sshd"
    assert formats.judge_messages(STRUCTLOG + b"\n", CTX).format == "structlog"
    assert formats.judge_messages(b"<14>Mar 10 13:55:36 host app: hello there\n", CTX).format == "syslog"
    assert formats.judge_messages(b'<14>1 - h app - - - {"a": 1, "b": [2]}\n', CTX).format == "json"
    assert formats.judge_messages(b"anything at all\n", CTX).format == "syslog"


def test_the_envelope_fills_what_the_message_does_not_say():
    parser = Formats().enveloped("structlog")
    found = parser.parse(STRUCTLOG, CTX)
    assert not isinstance(found, Rejected)
    assert found[0].time.text == "2026-02-03T10:29:59Z", "the message's own time comes first"
    assert found[0].fields["host.hostname"] == "web1"
    assert found[0].fields["process.name"] == "hr-app"
    assert found[0].fields["log.syslog.priority"] == 14


def test_formats_that_know_the_envelope_get_the_whole_and_a_missing_envelope_does_no_harm():
    formats = Formats()
    assert formats.enveloped("sshd").parse(SSHD, CTX)[0].action == "auth.login"
    bare = STRUCTLOG[STRUCTLOG.index(b"{") :]
    assert formats.enveloped("structlog").parse(bare, CTX)[0].fields.get("host.hostname") is None


def test_what_the_format_refuses_is_unparsed_where_it_was_named_and_syslog_where_it_was_found_out():
    line = b"<78>Mar 10 13:55:36 host cron[7]: job done"
    assert isinstance(Formats().enveloped("structlog").parse(line, CTX), Rejected)
    found = Formats().enveloped("structlog", lenient=True).parse(line, CTX)
    assert found[0].message == "job done"


def section(**more):
    return {"id": "net", "type": "syslog", "listen": "udp://127.0.0.1:5514", **more}


def parsed(tmp_path, **more):
    import yaml

    text = yaml.safe_dump({"agent": {"state_dir": str(tmp_path)}, "inputs": [section(**more)]})
    return config.parse(text, "test.yaml")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"listen": "tcp://0.0.0.0:5514"}, "allow: [10.0.0.0/8]"),
        ({"listen": "tls://127.0.0.1:6514"}, "needs tls with cert and key"),
        ({"listen": "http://127.0.0.1:80"}, "write for example udp://127.0.0.1:5514"),
        ({"listen": ["tcp://127.0.0.1:5514", "relp://127.0.0.1:5514"]}, "one address is given twice"),
        ({"allow": ["office"]}, "not a network; write for example 192.0.2.7"),
        ({"listen": []}, "listen"),
        ({"frames": "octets"}, "framing"),
    ],
)
def test_a_section_that_cannot_work_is_refused_with_what_to_write(tmp_path, more, said):
    with pytest.raises(ConfigError) as raised:
        parsed(tmp_path, **more)
    assert said in str(raised.value.problems), raised.value.problems


def test_one_address_may_take_udp_and_tcp_and_networks_open_it(tmp_path):
    found = parsed(tmp_path, listen=["udp://0.0.0.0:5514", "tcp://0.0.0.0:5514"], allow=["192.0.2.0/24"])
    assert found.inputs[0].addresses == (("udp", "0.0.0.0", 5514), ("tcp", "0.0.0.0", 5514))


def test_an_own_format_reads_messages_through_the_agents_lane(tmp_path):
    import yaml

    text = yaml.safe_dump(
        {
            "agent": {"state_dir": str(tmp_path)},
            "inputs": [section(format="crm")],
            "formats": {
                "crm": {
                    "decode": "json",
                    "time": {"field": "ts"},
                    "map": {"user.name": "who", "trail.object.type": "kind", "trail.object.id": "n"},
                    "changes": {"list": "changes"},
                    "default_action": "field.update",
                }
            },
        }
    )
    from shipper.model import Chunk

    lane = Lanes(config.parse(text, "test.yaml"), "test.yaml", bytes).lane("net", "crm")
    line = (
        b'<134>1 2026-02-03T10:31:00Z crm1 crm 7 - - {"ts": "2026-02-03T10:30:00Z", "who": "kim", "kind": "offer",'
        b' "n": "7", "changes": [{"field": "stage", "old": "a", "new": "b"}]}'
    )
    chunk = Chunk("net", "s", "tcp://192.0.2.5", "crm", messages(line, line), {"v": 1}, 1_800_000_000.0)
    seen = []
    process(chunk, lane, {}, bytes(32), seen.append, bytes)
    assert [event["trail"]["change"]["new"] for event in seen] == ["b", "b"]
    assert seen[0]["host"]["hostname"] == "crm1"
    assert seen[0]["user"]["name"] == "kim"
    assert seen[0]["@timestamp"].startswith("2026-02-03T10:30:00")
    assert seen[0]["trail"]["origin"]["path"] == "tcp://192.0.2.5"


def through_the_lane(tmp_path, name, *lines, input_format=None, formats=None):
    """The events of messages that a syslog input gave out in this format."""
    import yaml

    document = {"agent": {"state_dir": str(tmp_path)}, "inputs": [section(format=input_format or name)]}
    if formats:
        document["formats"] = formats
    from shipper.model import Chunk

    lane = Lanes(config.parse(yaml.safe_dump(document), "test.yaml"), "test.yaml", bytes).lane("net", name)
    chunk = Chunk("net", "s", "relp://192.0.2.5", name, messages(*lines), {"v": 1}, 1_800_000_000.0)
    seen = []
    process(chunk, lane, {}, bytes(32), seen.append, bytes)
    assert [check(event) for event in seen] == [[]] * len(seen)
    return seen


BARE = {
    "decode": "json",
    "map": {"user.name": "who", "trail.object.type": "kind", "trail.object.id": "n", "process.name": "app"},
    "changes": {"list": "changes"},
    "default_action": "field.update",
}


def test_what_an_own_format_leaves_open_the_envelope_says(tmp_path):
    said = b'{"who": "kim", "kind": "offer", "n": "7", "changes": [{"field": "stage", "old": "a", "new": "b"}]%b}'
    bare, named = through_the_lane(
        tmp_path,
        "crm",
        b'<134>1 2026-02-03T10:31:00.5+01:00 crm1 crm 7 ID1 [x@1 a="b"] ' + said % b"",
        b"<134>Feb  3 10:31:00 crm1 crm[7]: @cee: " + said % b', "app": "billing"',
        formats={"crm": BARE},
    )
    assert bare["@timestamp"].startswith("2026-02-03T09:31:00.5")
    assert bare["host"]["hostname"] == named["host"]["hostname"] == "crm1"
    assert (bare["process"]["name"], bare["process"]["pid"]) == ("crm", 7)
    assert named["process"]["name"] == "billing", "what the message says itself comes first"
    assert bare["log"]["syslog"]["msgid"] == "ID1"
    assert bare["log"]["syslog"]["structured_data"] == {"x@1": {"a": "b"}}
    assert {event["trail"]["change"]["new"] for event in (bare, named)} == {"b"}
    assert {event["trail"]["origin"]["path"] for event in (bare, named)} == {"relp://192.0.2.5"}


@pytest.mark.parametrize("input_format", ["cef", "auto"])
def test_cef_in_either_envelope_keeps_host_program_and_time(tmp_path, input_format):
    cef = b"CEF:0|Acme|Fw|1|100|Blocked|5|src=192.0.2.1 suser=kim"
    old, new, own = through_the_lane(
        tmp_path,
        "cef",
        b"<134>Feb  3 10:30:00 fw1 " + cef,
        b"<134>1 2026-02-03T10:30:00Z fw1 fwd 77 M1 - " + cef,
        b"<134>1 2026-02-03T10:30:00Z relay fwd 77 M1 - " + cef + b" dvchost=fw1 rt=1770114000000",
        input_format=input_format,
    )
    assert [event["host"]["hostname"] for event in (old, new)] == ["fw1", "fw1"]
    assert new["process"] == {"name": "fwd", "pid": 77}
    assert new["@timestamp"].startswith("2026-02-03T10:30:00")
    assert own["@timestamp"].startswith("2026-02-03T10:20:00"), "the device's own time"
    assert {event["user"]["name"] for event in (old, new, own)} == {"kim"}


def test_a_message_that_its_format_does_not_know_is_an_unparsed_event_and_with_auto_a_line_of_syslog(tmp_path):
    line = b"<78>Feb  3 10:30:00 web1 cron[7]: job done"
    (named,) = through_the_lane(tmp_path, "structlog", line)
    assert named["event"]["action"] == "log.unparsed"
    assert named["event"]["original"] == line.decode()
    (found,) = through_the_lane(tmp_path, "structlog", line, input_format="auto")
    assert (found["event"]["action"], found["message"]) == ("log.message", "job done")
    assert found["process"] == {"name": "cron", "pid": 7}
