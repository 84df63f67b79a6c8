import fcntl
import re
import socket
import ssl

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.errors import ConfigError
from shipper.model import Document
from shipper.output_sections import SyslogSection
from shipper.outputs import _syslog_frame as frame
from shipper.outputs._stream import Stream, Window
from shipper.outputs._syslog_target import explain
from shipper.outputs.syslog import SyslogOutput
from tests.components import open_files
from tests.shipped import LOG, batch, change, checkpoint, control, document

RFC5424 = re.compile(
    rb"<(\d{1,3})>1 (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128})"
    rb" ([!-~]{1,32}) (-|\[[!-~]+(?: [a-z]+=\"(?:[^\"\\\]]|\\[\"\\\]])*\")*\]) (.*)",
    re.DOTALL,
)


def message(doc, **options):
    return frame.message(doc, **{"facility": 13, "hostname": "hr-app-03", "notes": True, **options})


def section(**values):
    return SyslogSection(**{"id": "soc", "type": "syslog", "address": "tcp://192.0.2.1:514", **values})


def test_a_message_is_rfc_5424_with_the_shipped_bytes_as_msg():
    doc = document(0x15839)
    match = RFC5424.fullmatch(message(doc))
    assert match[1] == b"110"  # 13 * 8 + 6
    assert match[2] == b"2026-02-03T10:30:00.000Z"
    assert match.group(3, 4, 5, 6) == (b"hr-app-03", b"fieldtrail", b"-", b"fieldtrail.change")
    seal = orjson.loads(doc.data)["seal"]
    assert match[7].decode() == f'[seal@32473 i="88121" log="{LOG}" n="{seal["n"]}"]'
    assert match[8] == doc.data


@pytest.mark.parametrize(
    ("paths", "severity"),
    [
        ({}, 6),
        ({"event__outcome": "failure"}, 4),
        ({"event__kind": "alert"}, 4),
        ({"event__kind": "pipeline_error"}, 4),
        ({"event__outcome": None}, 6),
    ],
)
def test_failures_and_alerts_are_warnings(paths, severity):
    assert message(document(1, change(**paths)), facility=10).startswith(b"<%d>1 " % (80 + severity))


def test_unicode_goes_out_as_utf_8_without_a_byte_order_mark():
    doc = document(1, change(message="Zoë 变更 😀"))
    assert message(doc).endswith("Zoë 变更 😀".encode().join(doc.data.split("Zoë 变更 😀".encode())))
    assert b"\xef\xbb\xbf" not in message(doc)


@pytest.mark.parametrize("stamp", ["2026-02-03T10:30:00,5Z", "yesterday", "2026-02-03T10:30:00.1234567Z", 5, None])
def test_a_time_that_rfc_5424_does_not_allow_becomes_nil(stamp):
    assert RFC5424.fullmatch(message(document(1, change(timestamp=stamp))))[2] == b"-"


@pytest.mark.parametrize(("name", "shown"), [("", "-"), ("büro host", "b_ro_host"), ("x" * 300, "x" * 255)])
def test_header_fields_are_printable_ascii_of_the_allowed_length(name, shown):
    assert frame.header_value(name, 255) == shown


def test_a_long_dataset_is_cut_to_the_32_characters_of_a_msgid():
    doc = document(1, change(data_stream__dataset="fieldtrail." + "x" * 40))
    assert len(RFC5424.fullmatch(message(doc))[6]) == 32


def test_structured_data_values_are_escaped():
    assert frame.param_value('a"b\\c]d') == 'a\\"b\\\\c\\]d'


def test_a_checkpoint_goes_without_its_leaf_hashes_unless_all_is_wanted():
    doc = checkpoint(12, leaves=100)
    short = RFC5424.fullmatch(message(doc))
    assert short[7].decode() == f'[seal@32473 log="{LOG}" size="12"]'
    told = orjson.loads(short[8])
    whole = orjson.loads(doc.data)
    del whole["trail"]["checkpoint"]["leaves"]
    assert told == whole
    assert message(doc, notes=False).endswith(doc.data)


def test_a_control_leaf_is_sealed_and_goes_whole():
    doc = control(9)
    assert message(doc).endswith(doc.data)


@given(st.text(max_size=30), st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_whatever_a_value_holds_the_frame_is_one_message(value, name):
    try:
        doc = document(1, change(message=value, user__name=value))
    except TypeError:  # a lone surrogate cannot be sealed
        return
    text = message(doc, hostname=frame.header_value(name, 255))
    assert RFC5424.fullmatch(text)[8] == doc.data
    assert b"\n" not in text
    length, _, rest = frame.octet_counted(text).partition(b" ")
    assert int(length) == len(rest) == len(text)
    assert frame.newline_ended(text) == text + b"\n"


def test_a_message_over_the_limit_is_refused_never_cut():
    output = SyslogOutput(section(max_bytes=480, control="none"), hostname="h")
    receipt = output.deliver(batch(0, document(1), control(2), checkpoint(3)))
    (refused,) = receipt.refused
    assert refused.document == document(1)
    assert refused.type == "message_too_long" and "480" in refused.reason
    assert receipt.delivered == 2 and not receipt.retry  # control documents are left out as configured


@pytest.mark.parametrize("address", ["tcp://h:0", "tcp://h:99999", "http://h:1", "tcp://h"])
def test_an_impossible_address_is_a_configuration_error(address):
    with pytest.raises(ConfigError):
        SyslogOutput(section().model_copy(update={"address": address}), hostname="h")


def test_a_ca_file_that_holds_no_certificate_is_a_configuration_error(tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("nothing")
    output = SyslogOutput(section(address="tls://192.0.2.1:6514", tls={"ca": ca}), hostname="h")
    with pytest.raises(ConfigError, match=r"tls\.ca"):
        output.open({})


def test_tls_is_1_2_or_newer_and_checks_the_name():
    output = SyslogOutput(section(address="tls://192.0.2.1:6514"), hostname="h")
    context = output._target.context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname


def test_a_certificate_error_says_what_to_set():
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "self-signed certificate in certificate chain"
    assert "tls.ca" in explain(error)
    error.verify_message = "Hostname mismatch, certificate is not valid for 'a'."
    assert "tls.server_name" in explain(error)
    error.verify_message = "certificate has expired"
    assert "the receiver's certificate has expired" in explain(error) and "date -u" in explain(error)


# -- the window of what is not confirmed -------------------------------------------------------------------------------


def test_what_the_peer_has_acknowledged_for_a_while_is_confirmed():
    window = Window(hold=5)
    window.add(7, b"a", 100.0)
    window.add(8, b"b", 103.0)
    window.settle(1, 200.0)
    assert window.oldest() == 7
    window.settle(0, 104.9)
    assert window.oldest() == 7
    window.settle(0, 105.0)
    assert window.oldest() == 8
    window.settle(0, 108.0)
    assert window.is_empty() and window.oldest() is None


def test_nothing_is_confirmed_where_the_kernel_cannot_say():
    window = Window(hold=5)
    window.add(7, b"a", 0.0)
    window.settle(-1, 1000.0)
    assert window.oldest() == 7


def test_what_lies_a_whole_window_behind_is_confirmed():
    window = Window(largest=100)
    for seq in range(10):
        window.add(seq, b"x" * 30, 0.0)
    assert window.oldest() == 6
    assert sum(map(len, window.unconfirmed())) >= 100


def test_after_sending_again_the_time_begins_anew():
    window = Window(hold=5)
    window.add(7, b"a", 0.0)
    window.sent_again(100.0)
    window.settle(0, 104.0)
    assert list(window.unconfirmed()) == [b"a"]
    window.settle(0, 105.0)
    assert window.is_empty()


def test_a_document_of_another_shape_still_makes_a_message():
    doc = Document(-1, "fieldtrail.checkpoint", "odd", b'{"trail":"x"}')
    match = RFC5424.fullmatch(message(doc))
    assert match[7] == b"-" and match[8] == doc.data


def test_a_connection_with_a_high_descriptor_is_closed_as_any_other():
    with open_files(1200):
        ours, theirs = socket.socketpair()
        with theirs, socket.socket(fileno=fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 1100)) as high:
            ours.close()
            theirs.sendall(b"unread")
            Stream(high).close()
            assert theirs.recv(1) == b""
