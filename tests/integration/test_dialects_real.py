r"""What real rsyslog and syslog-ng read out of our messages, in CEF, LEEF and RFC 5424: the values that went in.

rsyslog has parsers for all of it: liblognorm's for CEF, mmfields, mmjsonparse, mmpstrucdata. syslog-ng reads JSON and
structured data; for CEF and LEEF it has regular expressions, and its kv-parser is not enough (see the last test).
The configurations are those of docs/howto/siem-syslog.md.
"""

import json
import re
from pathlib import Path

import pytest

from tests.integration.receivers_real import Lab, Rsyslog, SyslogNg
from tests.shipped import batch, change, document

GUIDE = (Path(__file__).parents[2] / "docs/howto/siem-syslog.md").read_text(encoding="utf-8")
HARD = {
    "bar": "a|b||c",
    "equals": "a=b",
    "a pair": "k=v word=x cs2=y newValue=z",
    "backslashes": "C:\\new\\\\table\\=\\n\\",
    "line ends": "one\ntwo\r\nthree\r",
    "quotes": "\"quoted\" 'it''s' \"half",
    "brackets": ']} [x="y"] {{%msg%}}',
    "emoji": "😀 Zoë 变更 \u202e\u2028",
    "blanks": "  two before, one after ",
    "empty": "",
    "long": "x|=\\\n" * 3_900,
    "long and plain": "Zoë " * 6_200,
    "controls": "tab\tescape\x1b[1mdelete\x7f",
}
"""Names and values. The long ones, old and new together, make messages of 55,000 to 63,300 bytes."""
DOCUMENTS = [
    document(number, change(trail__change__old=text, trail__change__new=f"<{text}>", user__name=f"ACME\\{name}"))
    for number, (name, text) in enumerate(HARD.items())
]
PICTURED = {**{code: chr(0x2400 + code) for code in range(32)}, 0x7F: "\u2421"}
CEF_PICTURED = {code: picture for code, picture in PICTURED.items() if chr(code) not in "\r\n"}


class ParsingRsyslog(Rsyslog):
    """Writes `$!all-json` of each message. Options: `modules`, `actions`."""

    def command(self):
        command = super().command()
        config = self.folder / "rsyslog.conf"
        begin = config.read_text().partition("template(")[0]
        (self.folder / "cef.rulebase").write_text(RULE)
        loaded = "".join(f'module(load="{name}")\n' for name in self.options["modules"])
        actions = self.options["actions"].replace("/etc/rsyslog.d", str(self.folder))
        config.write_text(f"""{begin}{loaded}template(name="all" type="string" string="%$!all-json%\\n")
ruleset(name="keep") {{ {actions} action(type="omfile" file="{self.written}" template="all") }}
{self._input()}
""")
        return command


class ParsingSyslogNg(SyslogNg):
    """Writes a template of each message. Options: `source` (with PLACE), `parsers`, `template`."""

    def command(self):
        command = super().command()
        config = self.folder / "syslog-ng.conf"
        begin = config.read_text().partition("source in")[0]
        source = self.options["source"].replace("PLACE", f'ip("127.0.0.1") port({self.port})')
        config.write_text(f"""{begin}source in {{ {source}; }};
parser read {{ {self.options["parsers"]} }};
destination out {{ file("{self.written}" template("{self.options["template"]}\\n")); }};
log {{ source(in); parser(read); destination(out); }};
""")
        return command


PARSING = {"rsyslog": ParsingRsyslog, "syslog-ng": ParsingSyslogNg}


@pytest.fixture
def read(tmp_path):
    """`read(name, format, …)`: what the daemon of that name made of the documents, as objects, in order."""
    lab = Lab(tmp_path, PARSING)

    def run(name, dialect, documents=DOCUMENTS, values=None, **options):
        receiver = lab.start(name, "tcp", **options)
        output = lab.output(receiver, format=dialect, **(values or {}))
        assert output.deliver(batch(0, *documents)).delivered == len(documents)
        return [json.loads(line) for line in receiver.lines(len(documents))]

    yield run
    lab.close()


def told(event, dialect=None):
    """(old, new, name) of a document's event, as they are to be found."""
    changed = json.loads(event.data)
    values = (changed["trail"]["change"]["old"], changed["trail"]["change"]["new"], changed["user"]["name"])
    return tuple(value.translate(dialect or {}) for value in values)


def unescaped(value):
    """A CEF value that came as it stood in the message."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), value)


TAKE_TAG = "set $.line = $syslogtag & $msg;"
NORMALIZE_LINE = 'action(type="mmnormalize" ruleBase="/etc/rsyslog.d/cef.rulebase" variable="$.line")'
NORMALIZE = NORMALIZE_LINE.replace(' variable="$.line"', "")
RULE = "version=2\nrule=:%event:cef%\n"
FIELDS = 'action(type="mmfields" separator="^" jsonRoot="!leef")'
JSON, STRUCTURED = 'action(type="mmjsonparse" cookie="" container="!doc")', 'action(type="mmpstrucdata" jsonRoot="!sd")'
# No value in CEF can hold ` cs2Label=`: each `=` in it has a backslash before it.
CEF_PATTERN = r"cs1Label=Old Value cs1=(?<old>.*?) cs2Label=New Value cs2=(?<new>.*?) cs3Label=.*? cs6=(?<id>\S+)"
LEEF_PATTERN = r"\^oldValue=(?<old>[^^]*)\^newValue=(?<new>[^^]*)\^"


@pytest.mark.parametrize("part", [TAKE_TAG, NORMALIZE_LINE, RULE, FIELDS, JSON, STRUCTURED, CEF_PATTERN, LEEF_PATTERN])
def test_the_guide_shows_what_is_tried_here(part):
    assert part in GUIDE


@pytest.mark.parametrize(("header", "actions"), [("rfc3164", f"{TAKE_TAG} {NORMALIZE_LINE}"), ("rfc5424", NORMALIZE)])
def test_rsyslog_reads_every_value_out_of_cef(read, header, actions):
    found = read("rsyslog", "cef", values={"header": header}, modules=["mmnormalize"], actions=actions)
    for number, (one, sent) in enumerate(zip(found, DOCUMENTS, strict=True)):
        event = one["event"]
        assert (event["DeviceVendor"], event["SignatureID"], event["Severity"]) == ("Fieldtrail", "field.update", "3")
        keys = event["Extensions"]
        assert (keys["cs1"], keys["cs2"], keys["suser"]) == told(sent, CEF_PICTURED)
        assert (keys["cs1Label"], keys["cs6"], keys["cn1"]) == ("Old Value", sent.id, str(number))
        assert keys["rt"] == "1770114600000"


def test_rsyslog_reads_every_value_out_of_leef(read):
    found = read("rsyslog", "leef", modules=["mmfields"], actions=FIELDS)
    for number, (one, sent) in enumerate(zip(found, DOCUMENTS, strict=True)):
        head, *pieces = one["leef"].values()
        assert head == "2.0|Fieldtrail|Fieldtrail|0.1.0|field.update|"
        keys = dict(piece.split("=", 1) for piece in (piece.removeprefix("|") for piece in pieces))
        assert (keys["oldValue"], keys["newValue"], keys["usrName"]) == told(sent, PICTURED)
        assert (keys["documentId"], keys["sealIndex"]) == (sent.id, str(number))


def test_rsyslog_reads_the_document_and_its_seal_out_of_rfc_5424(read):
    found = read("rsyslog", "rfc5424", modules=["mmjsonparse", "mmpstrucdata"], actions=f"{JSON} {STRUCTURED}")
    for one, sent in zip(found, DOCUMENTS, strict=True):
        event = json.loads(sent.data)
        assert one["doc"] == event
        seal = {name: str(value) for name, value in event["seal"].items()}
        assert one["sd"]["rfc5424-sd"]["seal@32473"] == seal


def test_syslog_ng_reads_the_document_and_its_seal_out_of_rfc_5424(read):
    seal = " ".join(f"--pair sd.{name}=${{.SDATA.seal@32473.{name}}}" for name in ("i", "log", "n"))
    found = read(
        "syslog-ng",
        "rfc5424",
        source='syslog(PLACE transport("tcp"))',
        parsers='json-parser(prefix(".doc."));',
        template=f"$(format-json --rekey .doc.* --shift-levels 1 --key .doc.* {seal})",
    )
    for one, sent in zip(found, DOCUMENTS, strict=True):
        event = json.loads(sent.data)
        changed, wanted = one["doc"]["trail"]["change"], event["trail"]["change"]
        assert {name: changed[name] for name in wanted} == {name: str(value) for name, value in wanted.items()}
        assert one["doc"]["user"]["name"] == event["user"]["name"]
        assert one["sd"] == {name: str(value) for name, value in event["seal"].items()}


def test_syslog_ng_reads_values_out_of_cef_by_a_regular_expression(read):
    found = read(
        "syslog-ng",
        "cef",
        source='network(PLACE transport("tcp") keep-hostname(yes) time-zone("UTC"))',
        parsers=f"regexp-parser(prefix(\".cef.\") patterns('{CEF_PATTERN}'));",
        template="$(format-json --rekey .cef.* --shift-levels 2 --key .cef.* --pair at=$ISODATE --pair host=$HOST)",
    )
    for one, sent in zip(found, DOCUMENTS, strict=True):
        assert (unescaped(one["old"]), unescaped(one["new"])) == told(sent, CEF_PICTURED)[:2]
        assert one["id"] == sent.id
        assert (one["at"], one["host"]) == ("2026-02-03T10:30:00+00:00", "hr-app-03")


def test_syslog_ng_reads_values_out_of_leef_by_a_regular_expression(read):
    found = read(
        "syslog-ng",
        "leef",
        source='network(PLACE transport("tcp") keep-hostname(yes) time-zone("UTC"))',
        parsers=f"regexp-parser(prefix(\".leef.\") patterns('{LEEF_PATTERN}'));",
        template="$(format-json --rekey .leef.* --shift-levels 2 --key .leef.*)",
    )
    for one, sent in zip(found, DOCUMENTS, strict=True):
        assert (one["old"], one["new"]) == told(sent, PICTURED)[:2]


@pytest.mark.parametrize("name", PARSING)
@pytest.mark.parametrize("dialect", ["cef", "leef"])
@pytest.mark.parametrize("framing", ["newline", "octet-counting"])
def test_both_keep_a_message_byte_for_byte(tmp_path, name, dialect, framing):
    lab = Lab(tmp_path, {"rsyslog": WholeRsyslog, "syslog-ng": WholeSyslogNg})
    try:
        source = 'network(PLACE transport("tcp"))' if framing == "newline" else 'syslog(PLACE transport("tcp"))'
        receiver = lab.start(name, "tcp", source=source)
        header = "rfc3164" if framing == "newline" else "rfc5424"
        output = lab.output(receiver, format=dialect, header=header, framing=framing)
        assert output.deliver(batch(0, *DOCUMENTS)).delivered == len(DOCUMENTS)
        mark = f"{dialect.upper()}:".encode()
        sent = [text[text.index(mark) :] for _, text in output._messages.of(DOCUMENTS)[0]]
        assert [line[line.index(mark) :] for line in receiver.lines(len(sent))] == sent
    finally:
        lab.close()


class WholeRsyslog(Rsyslog):
    """Writes the message with the tag that rsyslog takes off it: `CEF:`."""

    def command(self):
        command = super().command()
        config = self.folder / "rsyslog.conf"
        config.write_text(config.read_text().replace('string="%msg%', 'string="%syslogtag%%msg%'))
        return command


class WholeSyslogNg(SyslogNg):
    """Writes the message with the program name that syslog-ng takes off it: `CEF`."""

    def command(self):
        command = super().command()
        config = self.folder / "syslog-ng.conf"
        text = config.read_text().replace('template("$MSG', 'template("${LEGACY_MSGHDR}${MSG}')
        source = self.options["source"].replace("PLACE", f'ip("127.0.0.1") port({self.port})')
        config.write_text(re.sub(r"source in \{.*\};\n", lambda _: f"source in {{ {source}; }};\n", text))
        return command


def test_a_value_cannot_be_taken_for_another_attribute(read):
    """A receiver with a fixed separator reads what was sent, whatever the author of a value wrote into it."""
    documents = [document(1, change(message="x^newValue=1^y", trail__change__new="190000"))]
    (found,) = read("rsyslog", "leef", documents, modules=["mmfields"], actions=FIELDS)
    news = [value for value in found["leef"].values() if value.startswith("newValue=")]
    assert news == ["newValue=190000"]
    assert "msg=x\uff3enewValue=1\uff3ey" in found["leef"].values()


def test_syslog_ngs_parser_for_pairs_is_not_enough(read):
    """What docs/howto/siem-syslog.md warns of: it takes quotes off, and ends a value at a blank and a word with `=`."""
    documents = [document(n, change(trail__change__old=text)) for n, text in enumerate(["plain words", '"q"', "a b=c"])]
    found = read(
        "syslog-ng",
        "leef",
        documents,
        source='network(PLACE transport("tcp"))',
        parsers='kv-parser(prefix(".kv.") pair-separator("^"));',
        template="$(format-json --rekey .kv.* --shift-levels 2 --key .kv.*)",
    )
    assert [one["oldValue"] for one in found] == ["plain words", "q", "a"]
