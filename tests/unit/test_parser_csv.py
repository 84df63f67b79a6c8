"""The format csv: a first line that is a header is taken for one, and the first line of a log is not."""

from __future__ import annotations

import time

import pytest

from parsers import Context, Rejected, csv
from shipper.formats import Formats

CTX = Context()
ERROR = '2026/02/03 10:30:00 [error] 9#9: *4 open() "/srv/x" failed (2: No such file or directory), client: 192.0.2.1, server: x, request: "GET /x HTTP/1.1", host: "shop.example"'
CSVLOG = '2026-02-03 10:30:00.123 UTC,"kim","hr",123,"[local]",698b2f50.7b,1,"idle",2026-02-03 10:00:00 UTC,3/0,0,LOG,00000,"statement: SELECT 1",,,,,,,,,"psql","client backend",,0'

LOGS = {
    "syslog": "Feb  3 10:30:00 web1 app[7]: saved, user kim, record 55",
    "syslog of RFC 5424": "<13>1 2026-02-03T10:30:00Z web1 app 7 - - saved, user kim, record 55",
    "nginx error": ERROR,
    "nginx access": '192.0.2.1 - - [03/Feb/2026:10:30:00 +0000] "GET /a,b HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11, x)"',
    "Apache error": "[Tue Feb 03 10:30:00.123456 2026] [core:error] [pid 7:tid 8] AH00128: File does not exist: /srv/a, b",
    "log4j": "2026-02-03 10:30:00,123 INFO  [main] com.app.Main - saved, done",
    "log4j without a date": "10:30:00,123 INFO com.app.Main - saved",
    "logback": "10:30:00.123 [main] INFO com.app.Main -- saved, done",
    "java.util.logging": "INFO: saved, done",
    "Java exception": "java.lang.IllegalStateException: saved, not done",
    "Python logging": "2026-02-03 10:30:00,123 - hr.api - INFO - saved",
    "Python logging, basic": "WARNING:hr.api:saved, user kim",
    "PostgreSQL csvlog": CSVLOG,
    "PostgreSQL": "2026-02-03 10:30:00.123 UTC [7] kim@hr LOG:  parameters: $1 = '5', $2 = '7'",
    "MySQL general log": "2026-02-03T10:30:00.123456Z\t    8 Query\tSELECT 1",
    "JSON": '{"event":"saved","level":"info"}',
    "JSON behind a blank": ' {"event":"saved","level":"info"}',
    "JSON in an array": '[{"event":"saved","level":"info"},',
    "a member of an object": '  "event": "saved", "level": "info",',
    "logfmt": "level=info, user=kim, msg=saved",
    "CEF": "CEF:0|Vendor|Product|1.0|100|saved|3|",
    "LEEF": "LEEF:1.0|Vendor|Product|1.0|41|x=1",
    "Rails": "I, [2026-02-03T10:30:00.123456 #7]  INFO -- : saved",
    "glog": "I0203 10:30:00.123456 7 main.go:12] saved, done",
    "Go": "2026/02/03 10:30:00 saved, done",
    "the kernel": "[    0.000000] Linux version 6.1.0, built by ann",
    "Windows": "2/3/2026, 10:30:00 AM, Information, Service Control Manager, 7036",
    "dates of Germany": "03.02.2026;Kim;angelegt",
    "a sentence": "Could not reach the server, so the request was given up, and will be made again later",
    "XML": "<Event><Level>4</Level>, <x/></Event>",
    "data without a header": "55,kim,kim@co.example,90000",
    "numbers": "1,2,3",
    "addresses": "192.0.2.1,web1,up",
    "a URL": "https://shop.example/a,up",
    "colour": "\x1b[32mINFO\x1b[0m, saved",
    "nothing but separators": ",,,,",
    "gaps": "kim,,saved,,55",
}

HEADERS = [
    "Name,Value",
    "id,created_at,updated_at,user_id,old_value,new_value",
    "Employee ID,First Name,Last Name,Date of Birth,Base Salary (Annual),E-mail",
    "Employee Id, First Name, Last Name",
    "Personal-Nr.;Name;Straße / Hausnr.;PLZ;Ort;Geburtsdatum;Gültig ab;Gehalt (€);Anteil %",
    "Änderungsdatum;Geändert von;Feld;Alter Wert;Neuer Wert",
    "Fecha\tUsuario\tAcción\tDirección IP",
    "時刻,利用者,操作",
    '"Report run at","Run by","Rows"',
    '"Name, first","Name, last"',
    "Account Name: Account Owner,Created By: Full Name",
    "Manager's Name,Team",
    "Timestamp,How satisfied are you with your new team?,Why?",
    "userPrincipalName,accountEnabled,@odata.type",
    ",name,salary",
    "name,salary,,",
    "#,Name,%",
    "Name,2024,2025,2026",
    "Weight [kg],Rate [€/h],Length [m²]",
    "tags[0],emails[0].value,items[].id",
    "Record/ID|Type|Owner",
    "Info,Error Code,Warning Text",
    "Custom field (customfield_10045),Issue key",
    "time.local,=cmd()",
]


def parse(first, second=None):
    """A row of as many fields below a first line, or a given second line."""
    separator = max(",;\t|", key=first.count)
    return csv.parse(f"{first}\n{second or separator.join('x' for _ in first.split(separator))}".encode(), CTX)


@pytest.mark.parametrize("line", LOGS.values(), ids=LOGS)
def test_the_first_line_of_a_log_is_no_header(line):
    assert isinstance(parse(line, line), Rejected)
    assert isinstance(parse(line), Rejected)
    assert Formats().judge(f"{line}\n".encode(), CTX).format != "csv"
    assert Formats().judge(f"{line}\n".encode() * 3, CTX).format != "csv"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("line", HEADERS)
def test_a_header_of_an_export_is_one(line, mark):
    row = '"a","b"' if line.startswith('"Name,') else None
    found = parse(mark + line, row)
    assert not isinstance(found, Rejected), found
    assert not isinstance(parse(mark + line + "\r", row), Rejected)
    if row is None:
        separator = max(",;\t|", key=line.count)
        table = f"{mark}{line}\n" + f"{separator.join('x' for _ in line.split(separator))}\n" * 3
        assert Formats().judge(table.encode(), CTX).format == "csv"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a,,b,c", "a column without a name"),
        (",,a,b", "a column without a name"),
        ("a,,", "fewer than two columns have a name"),
        ("a,b:10:30", "column 2 has a text that is no name"),
        ("x" * 65 + ",b", "column 1 has a text that is no name"),
        ("a," + "b " * 11, "column 2 has a text that is no name"),
    ],
)
def test_what_is_no_header_is_refused_with_a_reason(line, why):
    found = parse(line)
    assert isinstance(found, Rejected)
    assert found.reason == f"no CSV header: {why}"


def test_a_long_first_line_takes_no_longer_than_long_lines():
    for unit in (b"a,", b"[a", b"1.", b"a@", b"a ", b"[0]", b"a[", b"0:", b"=a"):
        line = unit * 50_000
        start = time.perf_counter()
        csv.parse(line + b",b\n1", CTX)
        csv.parse(line + b",b\n" + b"," * line.count(b",") + b",", CTX)
        assert time.perf_counter() - start < 1
