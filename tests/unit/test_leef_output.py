r"""LEEF as it leaves: the header, the table, what a value may hold; and read back by a parser that does not know the writer."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parsers import leef
from parsers._contract import Context
from shipper.output_sections import SyslogSection
from shipper.outputs import _syslog_frame as frame
from tests.shipped import LOG, change, document

PICTURED = {**{code: chr(0x2400 + code) for code in range(32)}, 0x7F: "\u2421"}
IN_VALUES = {**PICTURED, ord("^"): "\uff3e"}
HARD = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("|=\\\n\r\t\x00\x1f\x7f^~`")))
EVERYTHING = "".join(map(chr, range(128)))


def sent(event, index=0x15839, **values):
    """The message of an event."""
    section = SyslogSection(id="soc", type="syslog", address="tcp://192.0.2.1:514", format="leef", **values)
    ((_, text),) = frame.Messages(section, hostname="hr-app-03", limit=1_000_000).of([document(index, event)])[0]
    return text.decode()


def attributes(text):
    """Those of a message, by the parser."""
    *_, told, rest = text.split("|", 6)
    assert told == "^"
    return leef.pairs(rest, told)


def test_a_change_reads_as_the_format_asks():
    event = change(trail__change__sensitivity="restricted", trail__session__id="s-81", source__port=50112)
    assert sent(event) == (
        "<110>Feb  3 10:30:00 hr-app-03 LEEF:2.0|Fieldtrail|Fieldtrail|0.1.0|field.update|^|"
        "sev=7^devTime=1770114600000^cat=database^usrName=kim@co.example^src=198.51.100.9^srcPort=50112"
        "^resource=greenhouse:offer/55^msg=Kim Q changed salary of Offer 55 from 90000 to 120000 via ui (Greenhouse)"
        "^outcome=success^eventId=r9^application=greenhouse^userId=7^objectType=offer^objectId=55^field=salary"
        "^oldValue=90000^newValue=120000^oldState=value^newState=value^changeOp=update^sensitivity=restricted"
        "^redaction=none^derivation=native^delta=30000^timePrecision=exact^interface=ui^sessionId=s-81"
        f"^agentName=hr-app-03^sealLog={LOG}^sealIndex=88121^documentId={LOG}-00000000015839"
    )


def test_the_parser_makes_the_same_event_of_it():
    event = change(trail__session__id="s-81", source__ip="2001:db8::9", user__name="ACME\\kim")
    (op,) = leef.parse(sent(event).encode(), Context(zone="UTC"))
    (changed,) = op.changes
    assert (changed.field, changed.old, changed.new, changed.derivation) == ("salary", "90000", "120000", "native")
    assert (op.action, op.outcome, op.object_type, op.object_id) == ("field.update", "success", "offer", "55")
    assert op.time.text == 1_770_114_600_000 and op.message == event["message"]
    told = {
        "user.name": "ACME\\kim", "source.ip": "2001:db8::9", "trail.session.id": "s-81", "event.severity": 3,
        "observer.vendor": "Fieldtrail", "observer.product": "Fieldtrail", "observer.version": "0.1.0",
    }  # fmt: skip
    assert told.items() <= op.fields.items()
    assert op.raw["documentId"] == f"{LOG}-00000000015839" and op.raw["sealIndex"] == "88121"


@given(HARD, HARD, HARD, HARD)
@example(EVERYTHING, "", "a", "b")
@settings(max_examples=300, deadline=None)
def test_whatever_values_hold_a_parser_finds_them(old, new, name, message):
    text = sent(change(trail__change__old=old, trail__change__new=new, user__name=name, message=message))
    found = attributes(text)
    wanted = [value.translate(IN_VALUES).strip() for value in (old, new, name, message)]
    assert [found[key] for key in ("oldValue", "newValue", "usrName", "msg")] == wanted
    assert found["sealIndex"] == "88121" and found["sev"] == "3" and "attributes" not in found


@given(HARD)
@settings(max_examples=200, deadline=None)
def test_a_message_is_one_line_and_its_header_has_six_bars(value):
    text = sent(change(event__action=value, agent__version=value, trail__change__old=value))
    head, version, vendor, product, release, code, told = re.fullmatch(
        r"(<110>Feb  3 10:30:00 hr-app-03 )LEEF:([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|.*", text
    ).groups()
    assert head and (version, vendor, product) == ("2.0", "Fieldtrail", "Fieldtrail")
    assert release == code == value.translate(PICTURED).replace("|", "_")
    assert told == "^" and not re.search(r"[\x00-\x1f\x7f]", text)


def test_no_value_can_be_taken_for_another_attribute():
    text = sent(change(trail__change__new="190000", message="x^oldValue=90000^newValue=90001^y"))
    assert re.findall(r"\^newValue=([^^]*)", text) == ["190000"]
    assert attributes(text)["msg"] == "x\uff3eoldValue=90000\uff3enewValue=90001\uff3ey"


@pytest.mark.parametrize(
    ("paths", "severity"),
    [({"event__kind": "alert", "event__severity": 0}, 1), ({"event__outcome": "failure"}, 5), ({}, 3)],
)
def test_the_severity_is_an_attribute_from_1_to_10(paths, severity):
    assert attributes(sent(change(**paths)))["sev"] == str(severity)


def test_the_newer_header_can_be_had():
    text = sent(change(), header="rfc5424")
    assert text.startswith("<110>1 2026-02-03T10:30:00.000Z hr-app-03 fieldtrail - fieldtrail.change [seal@32473")
    (op,) = leef.parse(text.encode(), Context(zone="UTC"))
    assert op.action == "field.update"
