r"""CEF as it leaves: the header, every escape, the table, lengths; and read back by a parser that does not know the writer."""

import re

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import mappings
from parsers import cef
from parsers._contract import Context
from shipper.build import describe_outputs
from shipper.config import Config
from shipper.connect import remarks
from shipper.output_sections import SyslogSection
from shipper.outputs import _syslog_frame as frame
from shipper.outputs.relp import RelpOutput
from shipper.outputs.syslog import SyslogOutput
from tests.shipped import LOG, batch, change, checkpoint, control, document

BLANKS = "".join(char for char in map(chr, range(0x3001)) if char.isspace() and char not in "\r\n")
"""What the parser takes off the ends of a value: where blanks end and a value begins, CEF leaves to the receiver."""
PICTURED = {**{chr(code): chr(0x2400 + code) for code in range(32) if chr(code) not in "\r\n"}, "\x7f": "\u2421"}
HARD = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("|=\\\n\r\t\x00\x7f^\"']{}nr ")))


def section(**values):
    return SyslogSection(**{"id": "soc", "type": "syslog", "address": "tcp://192.0.2.1:514", "format": "cef", **values})


def sent(event, index=0x15839, **values):
    """The message of an event."""
    made = frame.Messages(section(**values), hostname="hr-app-03", limit=1_000_000)
    ((_, text),) = made.of([document(index, event)])[0]
    return text.decode()


def pairs(event, **values):
    """Its keys and values, by the parser."""
    return cef.pairs(extension(sent(event, **values)))


def extension(text):
    head = re.fullmatch(r"<\d+>[^|]*?CEF:0(?:\|(?:[^|\\]|\\[|\\])*){6}\|(.*)", text, re.DOTALL)
    return head[1]


def survives(value):
    """What a parser is to find of a value."""
    return "".join(PICTURED.get(char, char) for char in value).strip(BLANKS)


def test_a_change_reads_as_the_format_asks():
    event = change(
        trail__change__sensitivity="restricted",
        trail__session__id="s-81",
        trail__change__delta_pct=33.33,
        source__port=50112,
    )
    assert sent(event) == (
        "<110>Feb  3 10:30:00 hr-app-03 CEF:0|Fieldtrail|Fieldtrail|0.1.0|field.update|Field update|7|"
        f" rt=1770114600000 deviceExternalId={LOG} dvchost=hr-app-03 externalId=r9 cat=database act=field.update"
        " outcome=success msg=Kim Q changed salary of Offer 55 from 90000 to 120000 via ui (Greenhouse)"
        " destinationServiceName=greenhouse suser=kim@co.example suid=7 src=198.51.100.9 spt=50112"
        " cs1Label=Old Value cs1=90000 cs2Label=New Value cs2=120000 cs3Label=Field cs3=salary"
        " cs4Label=Object Key cs4=greenhouse:offer/55 cs5Label=Session ID cs5=s-81"
        " flexString1Label=Interface flexString1=ui flexString2Label=Derivation flexString2=native"
        " cfp1Label=Delta cfp1=30000 cfp2Label=Delta Percent cfp2=33.33"
        " FieldtrailOldState=value FieldtrailNewState=value FieldtrailOp=update FieldtrailSensitivity=restricted"
        " FieldtrailRedaction=none FieldtrailTimePrecision=exact"
        f" cs6Label=Document ID cs6={LOG}-00000000015839 cn1Label=Seal Index cn1=88121"
    )


def test_the_parser_makes_the_same_event_of_it():
    event = change(user__target={"name": "lee", "id": "8"}, event__reason="review", trail__session__id="s-81")
    (op,) = cef.parse(sent(event).encode(), Context(zone="UTC"))
    (changed,) = op.changes
    assert (changed.field, changed.old, changed.new, changed.derivation) == ("salary", "90000", "120000", "native")
    assert (op.action, op.outcome, op.id) == ("field.update", "success", "r9")
    assert op.time.text == 1_770_114_600_000 and op.message == event["message"]
    told = {
        "user.name": "kim@co.example", "user.id": "7", "user.target.name": "lee", "user.target.id": "8",
        "source.ip": "198.51.100.9", "event.reason": "review", "trail.session.id": "s-81", "event.severity": 3,
        "observer.vendor": "Fieldtrail", "observer.product": "Fieldtrail", "observer.version": "0.1.0",
    }  # fmt: skip
    assert told.items() <= op.fields.items()
    raw = {"Object Key": "greenhouse:offer/55", "Interface": "ui", "Document ID": f"{LOG}-00000000015839"}
    assert raw.items() <= op.raw.items()


@given(HARD, HARD, HARD, HARD)
@settings(max_examples=300, deadline=None)
def test_whatever_values_hold_a_parser_finds_them(old, new, name, message):
    text = sent(change(trail__change__old=old, trail__change__new=new, user__name=name, message=message))
    found = cef.pairs(extension(text))
    assert [found[key] for key in ("cs1", "cs2", "suser", "msg")] == list(map(survives, (old, new, name, message)))
    assert found["cn1"] == "88121" and "extension" not in found


@given(HARD)
@settings(max_examples=300, deadline=None)
def test_a_message_is_one_line_with_no_escape_that_the_format_does_not_know(value):
    text = sent(change(trail__change__old=value, event__action=value, agent__version=value))
    assert not re.search(r"[\x00-\x1f\x7f]", text)
    assert not re.sub(r"\\[\\=nr]", "", extension(text)).count("\\")
    (op,) = cef.parse(text.encode(), Context(zone="UTC"))
    header = value.translate(
        {ord(char): to for char, to in {**PICTURED, "\n": "\u240a", "\r": "\u240d"}.items()}
    ).strip()
    assert op.fields.get("observer.version", "") == header and (op.code or "") == header


def test_bars_and_backslashes_are_escaped_in_the_header_and_bars_nowhere_else():
    text = sent(change(event__action="a|b\\c", trail__change__old="a|b"))
    assert "|a\\|b\\\\c|" in text and " cs1=a|b cs2Label" in text


@pytest.mark.parametrize(
    ("address", "keys"),
    [
        ("198.51.100.9", {"src": "198.51.100.9"}),
        ("2001:db8::9", {"c6a2": "2001:db8::9", "c6a2Label": "Source IPv6 Address"}),
    ],
)
def test_an_address_goes_into_the_key_of_its_version(address, keys):
    found = pairs(change(source__ip=address))
    assert {key: value for key, value in found.items() if key in {"src", "c6a2", "c6a2Label"}} == keys


def test_an_empty_value_is_sent_and_an_absent_one_is_not_not_even_its_label():
    found = pairs(change(trail__change__old="", trail__change__new=None))
    assert found["cs1"] == "" and found["cs1Label"] == "Old Value"
    assert "cs2" not in found and "cs2Label" not in found


def test_who_is_the_first_that_the_source_names():
    assert pairs(change(user__name=None, user__email="kim@co.example"))["suser"] == "kim@co.example"
    assert pairs(change(user={"full_name": "Kim Q"}))["suser"] == "Kim Q"
    assert "suser" not in pairs(change(user=None))


def test_times_numbers_lists_and_objects_read_as_text():
    found = pairs(
        change(
            timestamp="2026-02-03T10:30:00.123456Z",
            trail__change__changed_after="2026-02-03T10:00:00Z",
            trail__change__changed_before="not a time",
            event__category=["database", "iam"],
            event__duration=1_500_000_000,
            trail__missing=["user.id", "source.ip"],
            trail__values={"b": "2", "a": "x=1"},
            trail__export={"rows": 12, "objects": []},
        )
    )
    assert (found["rt"], found["deviceCustomDate1"], found["cfp3"]) == ("1770114600123", "1770112800000", "1.5")
    assert "deviceCustomDate2" not in found and "deviceCustomDate2Label" not in found
    assert (found["cat"], found["FieldtrailMissing"]) == ("database,iam", "user.id,source.ip")
    assert orjson.loads(found["FieldtrailValues"]) == {"a": "x=1", "b": "2"}
    assert found["cn2"] == "12" and "FieldtrailExportObjects" not in found


@pytest.mark.parametrize("milliseconds", [0, 1, 123, 999])
def test_milliseconds_are_exact(milliseconds):
    found = pairs(change(timestamp=f"2026-02-03T10:30:00.{milliseconds:03}Z"))
    assert int(found["rt"]) == 1_770_114_600_000 + milliseconds


@pytest.mark.parametrize(
    ("paths", "severity"),
    [
        ({}, 3),
        ({"trail__change__sensitivity": "confidential"}, 5),
        ({"trail__change__sensitivity": "restricted"}, 7),
        ({"event__outcome": "failure"}, 5),
        ({"event__kind": "pipeline_error"}, 4),
        ({"event__kind": "alert"}, 8),
        ({"event__kind": "alert", "event__severity": 91}, 10),
        ({"event__kind": "alert", "event__severity": 21}, 3),
        ({"event__kind": "alert", "event__severity": 0}, 1),
        ({"event__kind": "alert", "event__severity": 10**6}, 8),
        ({"event__severity": 91}, 3),
        ({"event__outcome": "failure", "trail__change__sensitivity": "restricted"}, 7),
    ],
)
def test_the_severity_is_the_highest_that_anything_in_the_event_has(paths, severity):
    assert f"|{severity}| rt=" in sent(change(**paths))


def test_values_go_whole_unless_the_dictionarys_lengths_are_asked_for():
    event = change(trail__change__old="ü" * 3000, message="x" * 30_000, event__id="y" * 41)
    whole = pairs(event)
    assert (whole["cs1"], whole["msg"], whole["externalId"]) == ("ü" * 3000, "x" * 30_000, "y" * 41)
    short = pairs(event, lengths="standard")
    assert short["cs1"] == "ü" * 1988 + "...[cut from 6000 bytes]"
    assert short["msg"] == "x" * 998 + "...[cut from 30000 bytes]"
    assert short["externalId"] == "y" * 18 + "...[cut from 41 bytes]"
    assert {key: len(value.encode()) for key, value in short.items() if "[cut" in value} == {
        "cs1": 4000,
        "msg": 1023,
        "externalId": 40,
    }
    fits = change(event__id="y" * 40)
    assert pairs(fits, lengths="standard") == pairs(fits)


def test_an_event_with_next_to_nothing_ends_in_a_value():
    text = sent({"data_stream": {"dataset": "fieldtrail.health"}})
    assert text == (
        "<110>CEF:0|Fieldtrail|Fieldtrail||||3|"
        f" deviceExternalId={LOG} cs6Label=Document ID cs6={LOG}-00000000015839 cn1Label=Seal Index cn1=88121"
    )


@pytest.mark.parametrize(
    ("stamp", "shown"),
    [
        ("2026-12-13T01:02:03.999Z", "Dec 13 01:02:03 hr-app-03 "),
        ("2026-02-03T00:30:00+02:00", "Feb  2 22:30:00 hr-app-03 "),
        ("yesterday", ""),
        ("2026-02-03T10:30:00", ""),
        (5, ""),
    ],
)
def test_the_older_header_has_the_time_in_utc_or_leaves_it_to_the_receiver(stamp, shown):
    assert sent(change(timestamp=stamp)).startswith(f"<110>{shown}CEF:0|")


def test_the_newer_header_has_the_seal_as_structured_data():
    text = sent(change(), header="rfc5424")
    assert text.startswith(
        '<110>1 2026-02-03T10:30:00.000Z hr-app-03 fieldtrail - fieldtrail.change [seal@32473 i="88121"'
    )
    assert '"] CEF:0|Fieldtrail|' in text
    (op,) = cef.parse(text.encode(), Context(zone="UTC"))
    assert op.action == "field.update"


def test_failures_are_warnings_in_the_priority_too():
    assert sent(change(event__outcome="failure"), facility=10).startswith("<84>")


@pytest.mark.parametrize("dialect", ["cef", "leef"])
@pytest.mark.parametrize("made", [SyslogOutput, RelpOutput])
def test_control_documents_do_not_go_and_what_is_too_long_is_refused_never_cut(dialect, made):
    address = "tcp://192.0.2.1:514" if made is SyslogOutput else "relp://192.0.2.1:2514"
    output = made(section(format=dialect, max_bytes=480, address=address), hostname="h")
    receipt = output.deliver(batch(0, document(1), control(2), checkpoint(3)))
    (refused,) = receipt.refused
    assert refused.document == document(1) and refused.type == "message_too_long" and "480" in refused.reason
    assert receipt.delivered == 2 and not receipt.retry


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"control": "notes"}, "control: cef cannot carry what verification needs"),
        ({"format": "leef", "control": "full"}, "control: leef cannot carry"),
        ({"format": "leef", "lengths": "standard"}, "lengths: only for format cef"),
        ({"format": "rfc5424", "header": "rfc3164"}, "header: only for format cef and leef"),
        ({"format": "rfc5424", "lengths": "full"}, "lengths: only for format cef"),
        ({"format": "ceef"}, "Input should be 'rfc5424', 'cef' or 'leef'"),
        ({"address": "relp://192.0.2.1:2514", "framing": "newline"}, "framing: only for"),
    ],
)
def test_what_a_format_does_not_have_is_a_configuration_error(values, problem):
    with pytest.raises(ValidationError, match=re.escape(problem)):
        section(**values)


@pytest.mark.parametrize("address", ["soc.example:514", "tls://192.0.2.1:6514", "tcp://192.0.2.1:514"])
def test_messages_end_in_a_new_line_on_a_stream_unless_told_otherwise(address):
    assert section(address=address).framing == "newline"
    assert section(address=address, framing="octet-counting").framing == "octet-counting"
    assert section(address=address, format="rfc5424").framing == "octet-counting"


@pytest.mark.parametrize("address", ["udp://192.0.2.1:514", "relp://192.0.2.1:2514", "relps://192.0.2.1:2514"])
def test_datagrams_and_relp_have_no_framing(address):
    assert section(address=address).control == "none"


@pytest.mark.parametrize("dialect", ["cef", "leef"])
def test_validate_says_that_it_cannot_be_verified_and_the_sealed_log_that_nothing_of_it_was_sent(dialect):
    config = Config(
        privacy={}, outputs=[{"id": "soc", "type": "syslog", "address": "soc.example:6514", "format": dialect}]
    )
    assert list(remarks(config)) == [
        f"outputs[0]: {dialect} is a translation of the sealed documents: what arrives there cannot be verified alone"
    ]
    assert describe_outputs(config)["soc"]["control"] == "none"


# -- the tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cef", "leef"])
def test_a_table_names_fields_that_there_are_and_keys_once(name):
    known = {**mappings.ecs_fields(), **mappings.trail_fields()}
    keys = mappings.dialect(name).keys
    for key in keys:
        assert re.fullmatch(r"[A-Za-z0-9]+", key.key)
        for field in key.fields:
            inside = any(other.startswith(f"{field}.") for other in known)
            assert field == "_id" or field in known or inside, f"{key.key}: {field}"
    names = [key.key for key in keys]
    labels = [key.label for key in keys if key.label]
    assert len(set(names)) == len(names) and len(set(labels)) == len(labels)
    for field, grades in mappings.dialect(name).grades.items():
        assert field in known and all(1 <= grade <= 10 for grade in grades.values())


def test_custom_keys_have_labels_and_dictionary_texts_have_lengths():
    custom = re.compile(r"(cs|cn|cfp|c6a|flexString|deviceCustomDate)\d")
    for key in mappings.dialect("cef").keys:
        assert bool(key.label) == bool(custom.fullmatch(key.key)), key
        own = key.key.startswith("Fieldtrail")
        assert (key.length is not None) == (key.form == "text" and not own), key
        assert bool(key.shown) != own, key
    assert mappings.dialect("cef").keys[-1].fields == ("seal.i",)
